import type { WorkContext } from '../../core/format.js';
import type { Model } from '../../core/model.js';
import type { Finding } from '../../errors.js';
import {
  type AffineSpec,
  type AffineTensor,
  fitted,
  storedBytes,
  withParameters,
} from '../../kernels/quantize/affine.js';
import { quantizeMatrices } from '../../kernels/quantize/blocks-pool.js';
import { halfQuadratic } from '../../kernels/quantize/half-quadratic.js';
import { levelled } from '../../kernels/quantize/level-sums.js';
import { quantizeLinear } from '../../kernels/quantize/linear-pool.js';
import type { LossFigures } from '../../kernels/quantize/loss.js';
import { type NBitsMatrix, nbitsMatrix } from '../../kernels/quantize/matmul-nbits.js';
import { leastSquares } from '../../kernels/quantize/search.js';
import { GraphEdit } from '../edit.js';
import { keptNotFinite, keptSmall, openAtLeast } from './coded-weights.js';
import { compensatedWeights } from './compensated-weights.js';
import { dequantizeGathered, dequantizeInFront } from './dequantize.js';
import { foreseeOthers } from './foresee.js';
import {
  checkBlock,
  type IntegerWeights,
  opsetOf,
  type Plan,
  plansOf,
  specOf,
  tensorOf,
} from './integer-plan.js';
import { multiplyNBits } from './nbits-node.js';
import { turnedTensor } from './turned.js';
import type { LayerFeeds, Quantized, QuantizedTensor, QuantizeSettings } from './types.js';

/** A weight as integers. Neither: a value is NaN or infinite. */
interface Made {
  readonly matrix?: NBitsMatrix | undefined;
  readonly affine?: AffineTensor | undefined;
  readonly loss?: LossFigures | undefined;
}

const FEW_BITS: ReadonlySet<string> = new Set(['i4', 'u4', 'i2', 'u2']);

/** Weights that are made already, by name. */
interface Pooled {
  readonly made: ReadonlyMap<string, Made>;
  release(): void;
}

/** Weights as integers: MatMulNBits where that is asked for, DequantizeLinear in front of everything else. */
export async function quantizeWeights(
  source: Model,
  scheme: IntegerWeights,
  settings: QuantizeSettings,
  context?: WorkContext,
  feeds?: LayerFeeds,
): Promise<Quantized> {
  checkBlock(settings.block);
  const plain = await GraphEdit.open(source);
  const needed = Math.max(0, ...plansOf(plain, scheme, settings).map(opsetOf));
  const why = `${scheme.id} needs operator set ${needed} (DequantizeLinear)`;
  const { edit, findings: raised } = await openAtLeast(source, needed, why);
  const findings = [...raised];
  const quantized: QuantizedTensor[] = [];
  const plans = plansOf(edit, scheme, settings);
  const refined =
    feeds && settings.refine === 'gptq'
      ? await compensatedWeights(edit, plans, settings, feeds, context?.signal)
      : undefined;
  findings.push(...(refined?.findings ?? []));
  const rest = plans.filter(({ weight }) => !refined?.made.has(weight.name));
  // What the pool cannot make by itself is streamed.
  const pooled =
    context && settings.method !== 'mse' && settings.refine !== 'hqq'
      ? await inPool(source, edit, rest, settings, context)
      : undefined;
  const release = (): void => {
    refined?.release();
    pooled?.release();
  };
  for (const plan of plans) {
    const { name } = plan.weight;
    const made = refined?.made.get(name) ?? pooled?.made.get(name) ?? (await streamed(edit, plan, settings));
    const done = put(edit, plan, made, scheme.id);
    if ('code' in done) findings.push(done);
    else quantized.push(done);
  }
  return { model: edit.finish(), quantized, findings, release };
}

async function inPool(
  model: Model,
  edit: GraphEdit,
  plans: readonly Plan[],
  settings: QuantizeSettings,
  context: WorkContext,
): Promise<Pooled> {
  const matrices = plans.flatMap((plan) => {
    const tensor = tensorOf(edit, plan);
    return plan.kind === 'nbits' && !plan.turned && tensor ? [{ tensor, spec: plan.nbits }] : [];
  });
  const others = plans.flatMap((plan) => {
    const tensor = edit.tensor(plan.weight.name);
    return plan.kind === 'linear' && tensor && !isLevelled(plan.spec, settings)
      ? [{ tensor, spec: plan.spec }]
      : [];
  });
  foreseeOthers(model, [...matrices, ...others], context);
  const blocks = await quantizeMatrices(matrices, context);
  try {
    const linear = await quantizeLinear(others, context);
    return {
      made: new Map<string, Made>([...blocks.done, ...linear.done]),
      release() {
        blocks.release();
        linear.release();
      },
    };
  } catch (error) {
    blocks.release();
    throw error;
  }
}

/** Few bits without blocks. `--method minmax` rounds each value by itself, as onnxruntime does. */
const isLevelled = ({ dtype }: AffineSpec, { method }: QuantizeSettings): boolean =>
  FEW_BITS.has(dtype) && method !== 'minmax';

async function streamed(edit: GraphEdit, plan: Plan, settings: QuantizeSettings): Promise<Made> {
  const { method, refine } = settings;
  const tensor = tensorOf(edit, plan);
  if (!tensor) throw new Error(`${plan.weight.name} is not in the graph`);
  const spec = specOf(plan);
  const all = await fitted(tensor, spec);
  if (!all) return {};
  const searched = method === 'mse' ? await leastSquares(tensor, spec, all) : all;
  const parameters = refine === 'hqq' ? await halfQuadratic(tensor, spec, searched) : searched;
  if (plan.kind === 'nbits') return { matrix: nbitsMatrix(tensor, plan.nbits, parameters) };
  const levels = isLevelled(spec, settings) ? await levelled(tensor, spec, parameters) : undefined;
  return { affine: levels ?? withParameters(tensor, spec, parameters) };
}

/** Puts a weight into the edited graph; a finding where it stays as it is. */
function put(
  edit: GraphEdit,
  plan: Plan,
  { matrix, affine, loss }: Made,
  scheme: string,
): QuantizedTensor | Finding {
  const { weight } = plan;
  const { name } = weight;
  const before = edit.tensor(name)?.byteLength ?? 0;
  const facts = { name, scheme, dtypeOut: specOf(plan).dtype, ...(loss ? { loss } : {}) };
  if (plan.kind === 'nbits') {
    if (!matrix) return keptNotFinite(name);
    const { packed, scales, zeroPoints, dequantized } = matrix;
    const [rows = 0, columns = 0] = weight.shape;
    multiplyNBits(edit, weight, matrix, plan.nbits, plan.turned ? [columns, rows] : [rows, columns]);
    const bytesOut = packed.byteLength + scales.byteLength + (zeroPoints?.byteLength ?? 0);
    return { ...facts, bytesOut, dequantized: plan.turned ? turnedTensor(dequantized) : dequantized };
  }
  if (!affine) return keptNotFinite(name);
  const bytesOut = storedBytes(affine);
  if (bytesOut >= before) return keptSmall(name);
  if (weight.op === 'Gather' && !weight.shared) dequantizeGathered(edit, weight, affine, plan.spec);
  else dequantizeInFront(edit, weight, affine, plan.spec);
  return { ...facts, bytesOut, dequantized: affine.dequantized };
}
