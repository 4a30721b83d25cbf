import { isFloat } from '../../core/dtype.js';
import { NO_PROGRESS, type WorkContext } from '../../core/format.js';
import { type Model, tensorMap } from '../../core/model.js';
import type { TensorSource } from '../../core/tensor.js';
import { type Finding, finding } from '../../errors.js';
import { convertOpset } from '../../graph/opset.js';
import type { GraphScheme, Quantized, QuantizeSettings } from '../../graph/quantize/types.js';
import { isWeight, storeAs } from '../../graph/store-as.js';
import { castTensor } from '../../kernels/cast.js';
import { type HalfLoss, halfLosses } from '../../kernels/quantize/half-pool.js';
import type { LossFigures } from '../../kernels/quantize/loss.js';
import { overflowOf, saturatedCast } from '../../kernels/saturate.js';
import { statTensors } from '../../kernels/statistics.js';
import { reaches, staysFinding } from '../out-of-range.js';
import type { TensorScheme } from './tensor-scheme.js';

export type StorageType = 'f16' | 'bf16' | 'f8_e4m3fn' | 'f8_e5m2';

/** The cast to f8_e4m3fn, which has no infinity, saturates by itself: from here on (half a step above 448). */
const E4M3_OVERFLOWS = 464;

const ALONE: WorkContext = { threads: 1, maxMemory: 64 * 1024 * 1024, progress: NO_PROGRESS };

/** Floats that get smaller; 8 bits only for weights of two and more dimensions. */
const takes = (dtype: StorageType, settings: QuantizeSettings) => {
  const small = dtype.startsWith('f8');
  return (tensor: TensorSource): boolean => {
    const { name, dtype: from, shape } = tensor.info;
    const wide = isFloat(from) && ['f64', 'f32', ...(small ? ['f16', 'bf16'] : [])].includes(from);
    return wide && isWeight(tensor) && (!small || shape.length > 1) && settings.selects(name);
  };
};

interface Fits {
  /** What rounding does to some of them, by name. */
  readonly losses: ReadonlyMap<string, LossFigures>;
  /** Names of tensors that the type holds, or that are saturated to it. */
  readonly stored: ReadonlySet<string>;
  cast(tensor: TensorSource): TensorSource;
  readonly findings: readonly Finding[];
}

/** Larger tensors are rounded on trial: their errors are wanted anyway, and tell that they fit. */
const LEAST_TRIED = 1 << 16;

/**
 * Finds out which tensors have values past the largest of the type. 8 bits saturate there, as ONNX Cast does; 16 bits, which
 * are for exactness, leave such a tensor as it is. Reads every tensor once.
 */
async function fitted(
  dtype: StorageType,
  tensors: readonly TensorSource[],
  context: WorkContext,
): Promise<Fits> {
  const half = dtype === 'f16' || dtype === 'bf16' ? dtype : undefined;
  const large = tensors.filter(({ byteLength }) => byteLength >= LEAST_TRIED);
  const tried = half ? await halfLosses(large, half, context) : new Map<TensorSource, HalfLoss>();
  const fits = new Map([...tried].filter(([, { finite }]) => finite));
  const open = tensors.filter((tensor) => !fits.has(tensor));
  const stats = await statTensors(open, context);
  const saturated = new Set<string>();
  const kept = new Set<string>();
  const findings: Finding[] = [];
  const most = dtype === 'f8_e4m3fn' ? E4M3_OVERFLOWS : overflowOf(dtype);
  open.forEach(({ info: { name } }, i) => {
    const { min = null, max = null, inf = 0 } = stats[i] ?? {};
    const exceeds = reaches({ min, max }, most);
    if (!half && (exceeds || inf > 0)) saturated.add(name);
    if (!exceeds) return;
    if (half) kept.add(name);
    const clipped = `it has values past the largest ${dtype}: become the largest ${dtype}`;
    findings.push(half ? staysFinding(name, dtype) : finding('warning', 'OUT_OF_RANGE', name, clipped));
  });
  return {
    losses: new Map([...fits].map(([{ info }, loss]) => [info.name, loss])),
    stored: new Set(tensors.flatMap(({ info: { name } }) => (kept.has(name) ? [] : [name]))),
    cast: (tensor) =>
      dtype === 'f8_e5m2' && saturated.has(tensor.info.name)
        ? saturatedCast(tensor, dtype)
        : castTensor(tensor, dtype),
    findings,
  };
}

/** What was stored as another type, with what it counts as. */
function told(
  id: string,
  dtype: StorageType,
  { losses }: Fits,
  before: Model,
  after: Model,
): Quantized['quantized'] {
  const stored = tensorMap(after);
  return before.tensors.flatMap(({ info: { name, dtype: from } }) => {
    const small = stored.get(name);
    if (!small || small.info.dtype !== dtype || from === dtype) return [];
    const dequantized = castTensor(small, from);
    const loss = losses.get(name);
    return [
      {
        ...{ name, scheme: id, dtypeOut: dtype, bytesOut: small.byteLength, dequantized },
        ...(loss ? { loss } : {}),
      },
    ];
  });
}

/** Smaller floats in formats that hold tensors only. */
export const storedTensors = (id: string, dtype: StorageType): TensorScheme => ({
  id,
  title: `weights as ${dtype}`,
  async apply(model, settings, context = ALONE) {
    const fits = await fitted(dtype, model.tensors.filter(takes(dtype, settings)), context);
    const { stored, cast, findings } = fits;
    const tensors = model.tensors.map((tensor) => (stored.has(tensor.info.name) ? cast(tensor) : tensor));
    const after = { ...model, tensors };
    return { model: after, quantized: told(id, dtype, fits, model, after), findings };
  },
});

/** Operator set from which Cast knows 8-bit floats (docs/Changelog.md: Cast-19). */
const CAST_OPSET = 19;

/** Smaller floats in a graph that goes on computing as it did. */
export const storedWeights = (id: string, dtype: StorageType): GraphScheme => ({
  id,
  title: `weights as ${dtype}`,
  async apply(model, settings, _ranges, context = ALONE) {
    const findings: Finding[] = [];
    let source = model;
    if ((model.graph?.opsets.get('') ?? CAST_OPSET) < CAST_OPSET) {
      const converted = await convertOpset(model, CAST_OPSET);
      const why = `${id} needs operator set ${CAST_OPSET} (Cast)`;
      findings.push(finding('info', 'OPSET_RAISED', 'graph', why), ...converted.findings);
      source = converted.model;
    }
    const fits = await fitted(dtype, source.tensors.filter(takes(dtype, settings)), context);
    const after = storeAs(source, dtype, ({ info }) => fits.stored.has(info.name), fits.cast);
    return {
      model: after,
      quantized: told(id, dtype, fits, source, after),
      findings: [...findings, ...fits.findings],
    };
  },
});
