import { type DType, dtypeFacts, elementCount } from '../../core/dtype.js';
import type { TensorSource } from '../../core/tensor.js';
import { encodeElements, packedBytes } from '../elements.js';
import { isSubByte, packCodes } from '../packing.js';
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

/** Numbers as canonical bytes. */
export function encoded(dtype: DType, values: Float64Array): Uint8Array {
  const out = new Uint8Array(packedBytes(dtype, values.length));
  encodeElements(dtype, values, values.length, out);
  return out;
}
