import { NO_PROGRESS, type WorkContext } from '../../core/format.js';
import { type Model, tensorMap } from '../../core/model.js';
import type { TensorSource } from '../../core/tensor.js';
import { type Finding, finding, MlserError } from '../../errors.js';
import { protoOf } from '../../formats/onnx/summary.js';
import { castTensor } from '../../kernels/cast.js';
import type { HalfLoss } from '../../kernels/quantize/half-pool.js';
import { FreshNames } from '../opset/constants-made.js';
import { namesOf } from '../opset/names.js';
import { convertOpset, sourcesOf, withProto } from '../opset.js';
import { collect } from './half-collect.js';
import { fitConstants } from './half-constants.js';
import { markExceeding, measurable } from './half-measured.js';
import type { Half } from './half-operators.js';
import { plan } from './half-plan.js';
import { remarksOn } from './half-remarks.js';
import { Rewrite } from './half-rewrite.js';
import { framesOf } from './half-values.js';
import { Versions } from './half-versions.js';
import { inlineFunctions } from './inline-functions.js';
import type { ActivationRanges, GraphScheme, Quantized, QuantizedTensor, QuantizeSettings } from './types.js';

/** The first operator set whose Cast knows the type; those before 7 are not known here. */
const FIRST_OPSET = { f16: 7, bf16: 13 } as const;

const ALONE: WorkContext = { threads: 1, maxMemory: 64 * 1024 * 1024, progress: NO_PROGRESS };

/**
 * Graphs in 16-bit floats. f16: all that can computes in it, with casts around what cannot. bf16: weights are stored
 * in it and cast where they are used, since the cpu computes nothing in bf16.
 */
const scheme = (id: string, half: Half, title: string): GraphScheme => ({
  id,
  title,
  // bf16 reaches as far as f32.
  ...(half === 'f16' ? { activations: async (model: Model) => measurable(model), rangesIfData: true } : {}),
  apply: (model, settings, ranges, context = ALONE) => apply(model, id, half, settings, ranges, context),
});

export const fp16 = scheme('fp16', 'f16', 'graph computes in half precision');
export const bf16 = scheme('bf16', 'bf16', 'weights stored as bfloat16, computed in f32');

async function apply(
  given: Model,
  id: string,
  half: Half,
  settings: QuantizeSettings,
  ranges: ActivationRanges | undefined,
  context: WorkContext,
): Promise<Quantized> {
  const { model, findings } = await withCast(given, half);
  if (!model.graph) return { model, quantized: [], findings: [] };
  const written = protoOf(model.graph);
  const opset = model.graph.opsets.get('') ?? FIRST_OPSET[half];
  const sources = sourcesOf(model, written);
  const names = new FreshNames(namesOf(written).taken);
  // What computes in f32 anyway may stay a function.
  const proto = half === 'f16' ? inlineFunctions(written, names) : written;
  const main = await collect(proto, sources, opset);
  if (!main) return { model, quantized: [], findings: [] };
  const keepIo = settings.keepIo ?? true;
  for (const frame of framesOf(main))
    for (const value of frame.values.values())
      if (value.message && value.tensor && !settings.selects(value.tensor.info.name)) value.kept = true;
  const losses = await fitConstants(main, half, context);
  if (ranges && half === 'f16') markExceeding(main, ranges);
  const overridable = (proto.irVersion ?? 0n) >= 4n;
  plan(main, { half, keepIo, blocked: new Set(settings.blockedOperators), overridable, opset });

  const versions = new Versions(half, names);
  const next = { ...proto, graph: await new Rewrite(half, keepIo, versions).graph(main) };
  const made = withProto(model, next, new Map([...sources, ...versions.made]));
  const before = tensorMap(given);
  const quantized = [...versions.made.values()].flatMap((tensor): QuantizedTensor[] => {
    const source = before.get(tensor.info.name);
    return source ? [record(id, source, tensor, losses.get(source))] : [];
  });
  return {
    model: { ...made, aliases: sameTypes(made) },
    quantized,
    findings: [...findings, ...remarksOn(main, half, versions.casts)],
  };
}

const record = (
  scheme: string,
  { info }: TensorSource,
  half: TensorSource,
  loss: HalfLoss | undefined,
): QuantizedTensor => ({
  name: info.name,
  scheme,
  dtypeOut: half.info.dtype,
  bytesOut: half.byteLength,
  dequantized: castTensor(half, 'f32'),
  ...(loss?.finite ? { loss } : {}),
});

/** Ties hold where both ends have changed their type, or neither. */
function sameTypes(model: Model): Model['aliases'] {
  const tensors = tensorMap(model);
  const type = (name: string): string | undefined => tensors.get(name)?.info.dtype;
  return new Map([...model.aliases].filter(([alias, canonical]) => type(alias) === type(canonical)));
}

/** The model in an operator set that has casts to the type. */
async function withCast(model: Model, half: Half): Promise<{ model: Model; findings: readonly Finding[] }> {
  const opset = model.graph?.opsets.get('');
  const first = FIRST_OPSET[half];
  if (opset === undefined || opset >= first) return { model, findings: [] };
  if (half === 'bf16' && opset >= FIRST_OPSET.f16) {
    const converted = await convertOpset(model, first);
    const why = `operator set ${opset} → ${first}: the first one that casts to bf16`;
    return { model: converted.model, findings: [finding('info', 'OPSET_RAISED', 'graph', why)] };
  }
  throw new MlserError('E_UNSUPPORTED', `the model uses operator set ${opset}; ${half} needs 7 or later`, {
    details: { from: opset },
    hint: 'export the model again for a newer operator set',
  });
}
