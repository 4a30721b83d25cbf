import type { DType } from '../../core/dtype.js';
import { dtypeFacts } from '../../core/dtype.js';
import type { TensorSource } from '../../core/tensor.js';
import { encodeElements, packedBytes } from '../elements.js';
import { isSubByte, packCodes } from '../packing.js';
import { mapped } from './values.js';

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

/** Codes of type `dtype` (u8, u4, u2), made when they are pulled. */
export function codedBy(tensor: TensorSource, dtype: 'u8' | 'u4' | 'u2', coder: Coder): CodedTensor {
  const { bits } = dtypeFacts(dtype);
  return {
    codes: mapped(tensor, dtype, (values, at) => {
      const codes = coder.codes(values, at);
      if (!isSubByte(bits)) return codes;
      const packed = new Uint8Array(packedBytes(dtype, codes.length));
      packCodes(codes, bits, codes.length, packed);
      return packed;
    }),
    dequantized: mapped(tensor, tensor.info.dtype, (values, at) =>
      encoded(tensor.info.dtype, coder.valuesOf(coder.codes(values, at), at)),
    ),
  };
}

/** Numbers as canonical bytes. */
export function encoded(dtype: DType, values: Float64Array): Uint8Array {
  const out = new Uint8Array(packedBytes(dtype, values.length));
  encodeElements(dtype, values, values.length, out);
  return out;
}
