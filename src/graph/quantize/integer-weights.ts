import type { WorkContext } from '../../core/format.js';
import type { Model } from '../../core/model.js';
import { type Finding, MlserError } from '../../errors.js';
import { type AffineSpec, fitted, storedBytes, withParameters } from '../../kernels/quantize/affine.js';
import {
  type MatrixJob,
  type QuantizedMatrices,
  type QuantizedMatrix,
  quantizeMatrices,
} from '../../kernels/quantize/blocks-pool.js';
import type { QuantizedType } from '../../kernels/quantize/integers.js';
import {
  matrixSpec,
  type NBitsMatrix,
  type NBitsSpec,
  nbitsMatrix,
} from '../../kernels/quantize/matmul-nbits.js';
import { leastSquares } from '../../kernels/quantize/search.js';
import { GraphEdit } from '../edit.js';
import { keptNotFinite, keptSmall, openAtLeast } from './coded-weights.js';
import { dequantizeGathered, dequantizeInFront, opsetFor } from './dequantize.js';
import { multiplyNBits } from './nbits-node.js';
import type { Quantized, QuantizedTensor, QuantizeSettings } from './types.js';
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
type Plan =
  | { readonly weight: Weight; readonly kind: 'nbits'; readonly nbits: NBitsSpec }
  | { readonly weight: Weight; readonly kind: 'linear'; readonly spec: AffineSpec };

const specOf = (plan: Plan): AffineSpec => (plan.kind === 'nbits' ? matrixSpec(plan.nbits) : plan.spec);

/** Weights as integers: MatMulNBits where that is asked for, DequantizeLinear in front of everything else. */
export async function quantizeWeights(
  source: Model,
  scheme: IntegerWeights,
  settings: QuantizeSettings,
  context?: WorkContext,
): Promise<Quantized> {
  checkBlock(settings.block);
  const plain = await GraphEdit.open(source);
  const needed = Math.max(0, ...plansOf(plain, scheme, settings).map(opsetOf));
  const why = `${scheme.id} needs operator set ${needed} (DequantizeLinear)`;
  const { edit, findings: raised } = await openAtLeast(source, needed, why);
  const findings = [...raised];
  const quantized: QuantizedTensor[] = [];
  const plans = plansOf(edit, scheme, settings);
  const pooled = await matricesOf(edit, plans, settings, context);
  for (const plan of plans) {
    const known = pooled?.done.get(plan.weight.name);
    const done =
      plan.kind === 'nbits' && known
        ? takeMatrix(edit, plan.weight, plan.nbits, known, scheme)
        : await quantizeOne(edit, plan, scheme, settings);
    if ('code' in done) findings.push(done);
    else quantized.push(done);
  }
  return { model: edit.finish(), quantized, findings, ...(pooled ? { release: pooled.release } : {}) };
}

/** Blocks of matrices that the pool can make by itself. */
async function matricesOf(
  edit: GraphEdit,
  plans: readonly Plan[],
  { method }: QuantizeSettings,
  context: WorkContext | undefined,
): Promise<QuantizedMatrices | undefined> {
  if (!context || method === 'mse') return undefined;
  const jobs = plans.flatMap((plan): MatrixJob[] => {
    const tensor = edit.tensor(plan.weight.name);
    return plan.kind === 'nbits' && tensor ? [{ tensor, spec: plan.nbits }] : [];
  });
  return quantizeMatrices(jobs, context);
}

function takeMatrix(
  edit: GraphEdit,
  weight: Weight,
  spec: NBitsSpec,
  { matrix, loss }: QuantizedMatrix,
  { id }: IntegerWeights,
): QuantizedTensor | Finding {
  const { name } = weight;
  if (!matrix) return keptNotFinite(name);
  multiplyNBits(edit, weight, matrix, spec);
  const { dequantized } = matrix;
  return { name, scheme: id, dtypeOut: matrixSpec(spec).dtype, bytesOut: bytesOf(matrix), dequantized, loss };
}

const bytesOf = ({ packed, scales, zeroPoints }: NBitsMatrix): number =>
  packed.byteLength + scales.byteLength + (zeroPoints?.byteLength ?? 0);

const opsetOf = (plan: Plan): number => (plan.kind === 'nbits' ? 0 : opsetFor(plan.spec));

function checkBlock(block: number | undefined): void {
  if (block === undefined || (block >= 16 && block <= 256 && Number.isInteger(Math.log2(block)))) return;
  throw new MlserError('E_USAGE', `--block ${block}: blocks have 16, 32, 64, 128 or 256 elements`);
}

const plansOf = (edit: GraphEdit, scheme: IntegerWeights, settings: QuantizeSettings): readonly Plan[] =>
  weightsOf(edit, settings, scheme.ops).map((weight) => planOf(edit, weight, scheme, settings));

function planOf(edit: GraphEdit, weight: Weight, scheme: IntegerWeights, settings: QuantizeSettings): Plan {
  const { symmetric = true, perChannel, reduceRange = false, operators = scheme.operators } = settings;
  const { bits } = scheme;
  const scale = edit.tensor(weight.name)?.info.dtype === 'f16' ? ({ scaleType: 'f16' } as const) : {};
  const product = weight.op === 'MatMul' || weight.op === 'Gemm';
  const block = settings.block ?? (product && perChannel === undefined ? scheme.block : undefined);
  if (
    operators &&
    block !== undefined &&
    weight.op === 'MatMul' &&
    weight.shape.length === 2 &&
    !weight.shared
  )
    return { weight, kind: 'nbits', nbits: { bits, block, symmetric, ...scale } };
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

/** Quantizes one weight in the edited graph; a finding where it stays as it is. */
async function quantizeOne(
  edit: GraphEdit,
  plan: Plan,
  scheme: IntegerWeights,
  settings: QuantizeSettings,
): Promise<QuantizedTensor | Finding> {
  const { weight } = plan;
  const { name } = weight;
  const tensor = edit.tensor(name);
  if (!tensor) throw new Error(`${name} is not in the graph`);
  const spec = specOf(plan);
  const all = await fitted(tensor, spec);
  if (!all) return keptNotFinite(name);
  const parameters = settings.method === 'mse' ? await leastSquares(tensor, spec, all) : all;
  const facts = { name, scheme: scheme.id };
  if (plan.kind === 'nbits') {
    const matrix = nbitsMatrix(tensor, plan.nbits, parameters);
    multiplyNBits(edit, weight, matrix, plan.nbits);
    const { dequantized } = matrix;
    return { ...facts, dtypeOut: spec.dtype, bytesOut: bytesOf(matrix), dequantized };
  }
  const affine = withParameters(tensor, spec, parameters);
  const bytesOut = storedBytes(affine);
  if (bytesOut >= tensor.byteLength) return keptSmall(name);
  if (weight.op === 'Gather' && !weight.shared) dequantizeGathered(edit, weight, affine, spec);
  else dequantizeInFront(edit, weight, affine, spec);
  return { ...facts, dtypeOut: spec.dtype, bytesOut, dequantized: affine.dequantized };
}
