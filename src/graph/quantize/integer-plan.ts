import type { TensorSource } from '../../core/tensor.js';
import { MlserError } from '../../errors.js';
import type { AffineSpec } from '../../kernels/quantize/affine.js';
import type { QuantizedType } from '../../kernels/quantize/integers.js';
import { matrixSpec, type NBitsSpec } from '../../kernels/quantize/matmul-nbits.js';
import type { EditNode, GraphEdit } from '../edit.js';
import { opsetFor } from './dequantize.js';
import { turnedTensor } from './turned.js';
import type { QuantizeSettings } from './types.js';
import { type Weight, type WeightOp, weightsOf } from './weights.js';

/** What makes one scheme of integer weights differ from another. */
export interface IntegerWeights {
  readonly id: string;
  readonly bits: 2 | 4 | 8;
  readonly ops: ReadonlySet<WeightOp>;
  /** Block of MatMul and Gemm weights where the caller names none; undefined: a scale a channel. */
  readonly block: number | undefined;
  /** MatMulNBits for MatMul, unless the caller says otherwise. */
  readonly operators: boolean;
}

/** How one weight is stored. */
export type Plan =
  | {
      readonly weight: Weight;
      readonly kind: 'nbits';
      readonly nbits: NBitsSpec;
      /** The weight is N × K and has to be turned. */
      readonly turned: boolean;
    }
  | { readonly weight: Weight; readonly kind: 'linear'; readonly spec: AffineSpec };

export const specOf = (plan: Plan): AffineSpec =>
  plan.kind === 'nbits' ? matrixSpec(plan.nbits) : plan.spec;

/** The weight as the plan takes it: K × N for MatMulNBits. */
export function tensorOf(edit: GraphEdit, plan: Plan): TensorSource | undefined {
  const tensor = edit.tensor(plan.weight.name);
  return tensor && plan.kind === 'nbits' && plan.turned ? turnedTensor(tensor) : tensor;
}

export const opsetOf = (plan: Plan): number => (plan.kind === 'nbits' ? 0 : opsetFor(plan.spec));

export function checkBlock(block: number | undefined): void {
  if (block === undefined || (block >= 16 && block <= 256 && Number.isInteger(Math.log2(block)))) return;
  throw new MlserError('E_USAGE', `--block ${block}: blocks have 16, 32, 64, 128 or 256 elements`);
}

export const plansOf = (
  edit: GraphEdit,
  scheme: IntegerWeights,
  settings: QuantizeSettings,
): readonly Plan[] =>
  weightsOf(edit, settings, scheme.ops).map((weight) => planOf(edit, weight, scheme, settings));

/** A Gemm that only multiplies and adds. */
const isProduct = ({ attribute }: EditNode): boolean =>
  attribute.every(
    ({ name, f = 0, i = 0n }) =>
      name === 'transB' || (name === 'transA' && i === 0n) || (/^(alpha|beta)$/.test(name ?? '') && f === 1),
  );

function planOf(edit: GraphEdit, weight: Weight, scheme: IntegerWeights, settings: QuantizeSettings): Plan {
  // Zero points are what HQQ moves.
  const { symmetric = settings.refine !== 'hqq', operators = scheme.operators } = settings;
  const { perChannel, reduceRange = false } = settings;
  const { bits } = scheme;
  const scale = edit.tensor(weight.name)?.info.dtype === 'f16' ? ({ scaleType: 'f16' } as const) : {};
  const product = weight.op === 'MatMul' || weight.op === 'Gemm';
  const block = settings.block ?? (product && perChannel === undefined ? scheme.block : undefined);
  if (
    operators &&
    block !== undefined &&
    (weight.op === 'MatMul' || (weight.op === 'Gemm' && weight.nodes.every(isProduct))) &&
    weight.shape.length === 2 &&
    !weight.shared
  )
    return {
      ...{ weight, kind: 'nbits', nbits: { bits, block, symmetric, ...scale } },
      turned: weight.sums === 1,
    };
  const signed = settings.weightSign ? settings.weightSign === 'signed' : symmetric || bits === 8;
  const dtype: QuantizedType = `${signed ? 'i' : 'u'}${bits}`;
  const base = { dtype, symmetric, reduceRange, ...scale };
  if (block !== undefined && weight.op !== 'Gather')
    // Few bits use the lowest integer too, as the runtime's own blocks of 4 bits do.
    return {
      weight,
      kind: 'linear',
      spec: { ...base, axis: weight.sums, block, ...(bits === 8 ? {} : { rule: 'nbits' as const }) },
    };
  return { weight, kind: 'linear', spec: perChannel === false ? base : { ...base, axis: weight.channels } };
}
