import { dtypeFacts } from '../../core/dtype.js';
import type { TensorSource } from '../../core/tensor.js';
import { type AffineSpec, encodeScales, type Parameters, withParameters } from './affine.js';
import { Groups } from './groups.js';
import { packedBlocks, packedZeros, transposed } from './nbits-pack.js';

export interface NBitsSpec {
  readonly bits: 2 | 4 | 8;
  readonly block: number;
  readonly symmetric: boolean;
  readonly scaleType?: 'f32' | 'f16' | 'bf16';
}

/** Inputs 1 to 3 of MatMulNBits, and what the matrix counts as. */
export interface NBitsMatrix {
  /** u8 [N, blocks, bytes of a block]. */
  readonly packed: TensorSource;
  /** [N, blocks]. */
  readonly scaleShape: readonly [number, number];
  readonly scales: Uint8Array;
  /** u8 [N, bytes of a row]; absent where the zero point is the middle of the integers. */
  readonly zeroPoints?: Uint8Array;
  readonly zeroShape: readonly [number, number];
  readonly dequantized: TensorSource;
}

/** How a K × N matrix is quantized for MatMulNBits. */
export const matrixSpec = ({ bits, block, symmetric, scaleType }: NBitsSpec): AffineSpec => ({
  dtype: bits === 2 ? 'u2' : bits === 4 ? 'u4' : 'u8',
  ...{ symmetric, axis: 0, block, rule: 'nbits' },
  ...(scaleType === undefined ? {} : { scaleType }),
});

/** A K × N matrix for MatMulNBits, with the scales and zero points of its blocks, [blocks, N]. */
export function nbitsMatrix(tensor: TensorSource, spec: NBitsSpec, parameters: Parameters): NBitsMatrix {
  const affine = matrixSpec(spec);
  const groups = new Groups(tensor.info.shape, affine);
  const [blocks = 0, n = 0] = groups.shape;
  const { codes, scaleType, dequantized } = withParameters(tensor, affine, parameters);
  const { bits } = dtypeFacts(affine.dtype);
  const zeros = spec.symmetric
    ? undefined
    : packedZeros(transposed(parameters.zeros, blocks, n), blocks, bits);
  return {
    packed: packedBlocks(codes, spec.block),
    scaleShape: [n, blocks],
    scales: encodeScales(scaleType, transposed(parameters.scales, blocks, n)),
    ...(zeros ? { zeroPoints: zeros } : {}),
    zeroShape: [n, Math.ceil((blocks * bits) / 8)],
    dequantized,
  };
}
