import { type DType, dtypeFacts, elementCount, tensorBytes } from '../../core/dtype.js';
import type { ByteRange, TensorSource } from '../../core/tensor.js';
import { encodeElements, packedBytes } from '../elements.js';
import { isSubByte, packCodes, unpackCodes } from '../packing.js';
import { GROUP } from '../pipeline.js';
import { mapped, mappedAs, type Packing } from './values.js';

/** A tensor as codes that look values up. */
export interface CodedTensor {
  readonly codes: TensorSource;
  readonly dequantized: TensorSource;
}

/** Codes of a piece that begins at element `at`, and the values that they stand for. */
export interface Coder {
  codes(values: Float32Array, at: number): Uint8Array;
  valuesOf(codes: Uint8Array, at: number): Float64Array;
}

/** Bits of a code in some place. */
export type CodeBits = 2 | 3 | 4 | 6 | 8;

/** Codes as elements of a type of their own, in the shape of the tensor. */
export const typedCodes = (shape: readonly number[], dtype: 'u8' | 'u4' | 'u2'): Packing => ({
  ...{ dtype, shape },
  bits: dtypeFacts(dtype).bits,
});

/** Codes in bytes, for formats without such types: rows stay rows where they fill bytes. */
export function bytesOfCodes(shape: readonly number[], bits: CodeBits): Packing {
  const rowBits = (shape.at(-1) ?? 1) * bits;
  const bytes =
    rowBits % 8 === 0 && shape.length > 0
      ? [...shape.slice(0, -1), rowBits / 8]
      : [Math.ceil((elementCount(shape) * bits) / 8)];
  return { dtype: 'u8', shape: bytes, bits };
}

/** Codes, one a byte, as they are stored. */
export function packedAs(codes: Uint8Array, bits: number): Uint8Array {
  if (!isSubByte(bits)) return codes;
  const packed = new Uint8Array(Math.ceil((codes.length * bits) / 8));
  packCodes(codes, bits, codes.length, packed);
  return packed;
}

/** Codes, made when they are pulled. */
export const codedBy = (tensor: TensorSource, packing: Packing, coder: Coder): CodedTensor => ({
  codes: mappedAs(tensor, packing, (values, at) => packedAs(coder.codes(values, at), packing.bits)),
  dequantized: mapped(tensor, tensor.info.dtype, (values, at) =>
    encoded(tensor.info.dtype, coder.valuesOf(coder.codes(values, at), at)),
  ),
});

/** The values that stored codes stand for, in a type and shape. */
export function decodedBy(
  stored: TensorSource,
  bits: CodeBits,
  { dtype, shape }: { readonly dtype: DType; readonly shape: readonly number[] },
  valuesOf: Coder['valuesOf'],
): TensorSource {
  const codes = unpacked(stored, bits, shape);
  return mapped(codes, dtype, (values, at) => encoded(dtype, valuesOf(new Uint8Array(values), at)));
}

/** Packed codes as bytes, one each, in the shape that they belong to. */
function unpacked(stored: TensorSource, bits: CodeBits, shape: readonly number[]): TensorSource {
  const { name } = stored.info;
  const byteLength = tensorBytes('u8', shape, name);
  return {
    info: { name, dtype: 'u8', shape },
    byteLength,
    ...(stored.role === undefined ? {} : { role: stored.role }),
    stream: (range = { start: 0, end: byteLength }) =>
      bits === 8 ? stored.stream(range) : streamUnpacked(stored, bits, byteLength, range),
  };
}

async function* streamUnpacked(
  stored: TensorSource,
  bits: Exclude<CodeBits, 8>,
  count: number,
  { start, end }: ByteRange,
): AsyncGenerator<Uint8Array> {
  // Groups of elements fill whole bytes.
  let done = Math.floor(start / GROUP) * GROUP;
  const last = Math.min(count, Math.ceil(end / GROUP) * GROUP);
  const range = { start: (done * bits) / 8, end: Math.ceil((last * bits) / 8) };
  let kept = new Uint8Array(0);
  if (start >= end) return;
  for await (const chunk of stored.stream(range)) {
    const bytes = kept.length === 0 ? chunk : Buffer.concat([kept, chunk]);
    const whole = Math.floor((bytes.length * 8) / bits);
    const n = done + whole >= last ? last - done : Math.floor(whole / GROUP) * GROUP;
    kept = bytes.slice((n * bits) / 8);
    const codes = new Uint8Array(n);
    unpackCodes(bytes, bits, n, codes);
    const part = codes.subarray(Math.max(0, start - done), end - done);
    done += n;
    if (part.length > 0) yield part;
  }
}

/** Numbers as canonical bytes. */
export function encoded(dtype: DType, values: Float64Array): Uint8Array {
  const out = new Uint8Array(packedBytes(dtype, values.length));
  encodeElements(dtype, values, values.length, out);
  return out;
}
