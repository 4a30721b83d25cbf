import type { Model } from '../../core/model.js';
import { type Finding, finding, MlserError } from '../../errors.js';
import { type AffineSpec, fitted, storedBytes, withParameters } from '../../kernels/quantize/affine.js';
import type { QuantizedType } from '../../kernels/quantize/integers.js';
import { matrixSpec, type NBitsSpec, nbitsMatrix } from '../../kernels/quantize/matmul-nbits.js';
import { leastSquares } from '../../kernels/quantize/search.js';
import { GraphEdit } from '../edit.js';
import { convertOpset } from '../opset.js';
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
): Promise<Quantized> {
  checkBlock(settings.block);
  const findings: Finding[] = [];
  let edit = await GraphEdit.open(source);
  const needed = Math.max(0, ...plansOf(edit, scheme, settings).map(opsetOf));
  if (needed > edit.opset()) {
    const converted = await convertOpset(source, needed);
    const why = `${scheme.id} needs operator set ${needed} (DequantizeLinear)`;
    findings.push(finding('info', 'OPSET_RAISED', 'graph', why), ...converted.findings);
    edit = await GraphEdit.open(converted.model);
  }
  const quantized: QuantizedTensor[] = [];
  for (const plan of plansOf(edit, scheme, settings)) {
    const done = await quantizeOne(edit, plan, scheme, settings);
    if ('code' in done) findings.push(done);
    else quantized.push(done);
  }
  return { model: edit.finish(), quantized, findings };
}

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
  if (!all)
    return finding('warning', 'KEPT_NOT_FINITE', name, 'it has NaN or infinite values: it stays as it is');
  const parameters = settings.method === 'mse' ? await leastSquares(tensor, spec, all) : all;
  const facts = { name, scheme: scheme.id };
  if (plan.kind === 'nbits') {
    const matrix = nbitsMatrix(tensor, plan.nbits, parameters);
    const { packed, scales, zeroPoints, dequantized } = matrix;
    multiplyNBits(edit, weight, matrix, plan.nbits);
    const bytesOut = packed.byteLength + scales.length + (zeroPoints?.length ?? 0);
    return { ...facts, dtypeOut: spec.dtype, bytesOut, dequantized };
  }
  const affine = withParameters(tensor, spec, parameters);
  const bytesOut = storedBytes(affine);
  if (bytesOut >= tensor.byteLength)
    return finding('info', 'KEPT_SMALL', name, `with its scales it would not get smaller: it stays as it is`);
  if (weight.op === 'Gather' && !weight.shared) dequantizeGathered(edit, weight, affine, spec);
  else dequantizeInFront(edit, weight, affine, spec);
  return { ...facts, dtypeOut: spec.dtype, bytesOut, dequantized: affine.dequantized };
}
