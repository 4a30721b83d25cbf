import { memoryTensor, type TensorSource } from '../../core/tensor.js';
import {
  type AffineSpec,
  type AffineTensor,
  encodeScales,
  type Parameters,
  withParameters,
} from './affine.js';
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
  readonly scales: TensorSource;
  /** u8 [N, bytes of a row]; absent where the zero point is the middle of the integers. */
  readonly zeroPoints?: TensorSource;
  readonly dequantized: TensorSource;
}

/** How a K × N matrix is quantized for MatMulNBits. */
export const matrixSpec = ({ bits, block, symmetric, scaleType }: NBitsSpec): AffineSpec => ({
  dtype: bits === 2 ? 'u2' : bits === 4 ? 'u4' : 'u8',
  ...{ symmetric, axis: 0, block, rule: 'nbits' },
  ...(scaleType === undefined ? {} : { scaleType }),
});

/** Shapes of the three tensors for a K × N matrix. */
export function matrixShapes([k = 0, n = 0]: readonly number[], { bits, block }: NBitsSpec) {
  const blocks = Math.ceil(k / block);
  return {
    packed: [n, blocks, (block * bits) / 8],
    scales: [n, blocks],
    zeros: [n, Math.ceil((blocks * bits) / 8)],
  };
}

/** A K × N matrix for MatMulNBits, with the scales and zero points of its blocks, [blocks, N]. */
export function nbitsMatrix(tensor: TensorSource, spec: NBitsSpec, parameters: Parameters): NBitsMatrix {
  return packedMatrix(tensor, spec, parameters, withParameters(tensor, matrixSpec(spec), parameters));
}

/** The same with integers of their own. */
export function packedMatrix(
  tensor: TensorSource,
  spec: NBitsSpec,
  parameters: Parameters,
  { codes, scaleType, dequantized }: AffineTensor,
): NBitsMatrix {
  const { name } = tensor.info;
  const [blocks = 0, n = 0] = new Groups(tensor.info.shape, matrixSpec(spec)).shape;
  const shapes = matrixShapes(tensor.info.shape, spec);
  const scales = encodeScales(scaleType, transposed(parameters.scales, blocks, n));
  const zeros = spec.symmetric
    ? undefined
    : packedZeros(transposed(parameters.zeros, blocks, n), blocks, spec.bits);
  return {
    packed: packedBlocks(codes, spec.block),
    scales: memoryTensor({ name, dtype: scaleType, shape: shapes.scales }, scales),
    ...(zeros ? { zeroPoints: memoryTensor({ name, dtype: 'u8', shape: shapes.zeros }, zeros) } : {}),
    dequantized,
  };
}
