import type { WorkContext } from '../../core/format.js';
import type { Model } from '../../core/model.js';
import { MlserError } from '../../errors.js';
import type {
  ActivationRanges,
  GraphScheme,
  LayerFeeds,
  Quantized,
  QuantizedTensor,
  QuantizeSettings,
  Refinement,
} from '../../graph/quantize/types.js';
import { SCHEMES, schemeById } from './schemes.js';

/** A scheme with its settings, for some of the weights. */
export interface Assignment {
  readonly scheme: string;
  readonly settings: QuantizeSettings;
}

/** Refinements that change the graph before it is quantized. */
const CHANGES_GRAPH: ReadonlySet<Refinement> = new Set(['awq', 'smooth']);

/** Ranges of activations for a scheme that needs them. */
export type RangesFor = (
  scheme: GraphScheme,
  model: Model,
  settings: QuantizeSettings,
) => Promise<ActivationRanges | undefined>;

/** Applies schemes one after the other, each to the weights that are its own. */
export async function applyAll(
  source: Model,
  assignments: readonly Assignment[],
  rangesFor: RangesFor,
  context?: WorkContext,
  feeds?: LayerFeeds,
): Promise<Quantized> {
  let model = source;
  const quantized: QuantizedTensor[] = [];
  const findings = [];
  const releases: (() => void)[] = [];
  const release = (): void => {
    for (const one of releases) one();
  };
  try {
    for (const { scheme, settings } of assignments) {
      const made = await applyOne(model, scheme, settings, rangesFor, context, feeds);
      if (made.release) releases.push(made.release);
      model = made.model;
      quantized.push(...made.quantized);
      findings.push(...made.findings);
    }
  } catch (error) {
    release();
    throw error;
  }
  return { model, quantized, findings, release };
}

async function applyOne(
  model: Model,
  id: string,
  settings: QuantizeSettings,
  rangesFor: RangesFor,
  context: WorkContext | undefined,
  feeds: LayerFeeds | undefined,
): Promise<Quantized> {
  const entry = schemeById(id);
  if (!entry)
    throw new MlserError('E_USAGE', `--scheme ${JSON.stringify(id)}: no such scheme`, {
      hint: `schemes: ${names()}`,
    });
  if (model.graph) {
    const scheme = await entry.graph?.();
    if (!scheme) throw notFor(id, 'an ONNX graph');
    // A refinement is for the schemes that know it; beside them there may be others.
    const { refine, ...plain } = settings;
    const own: QuantizeSettings = refine && entry.refinements?.includes(refine) ? settings : plain;
    const prepared =
      feeds && own.refine && CHANGES_GRAPH.has(own.refine)
        ? await scheme.prepare?.(model, own, feeds)
        : undefined;
    const source = prepared?.model ?? model;
    const made = await scheme.apply(source, own, await rangesFor(scheme, source, own), context, feeds);
    if (!prepared) return made;
    return {
      ...made,
      quantized: made.quantized.map((tensor) => prepared.restored(tensor)),
      findings: [...prepared.findings, ...made.findings],
    };
  }
  const scheme = await entry.tensors?.();
  if (!scheme) throw notFor(id, 'weights without a graph');
  return scheme.apply(model, settings, context);
}

const names = (): string => SCHEMES.map(({ id }) => id).join(', ');

const notFor = (scheme: string, what: string): MlserError =>
  new MlserError('E_UNSUPPORTED', `--scheme ${scheme} is not for ${what}`, {
    details: { scheme },
    hint: `schemes: ${names()}`,
  });

/** An override of the command line: `RE=int4-weights,block=64,symmetric`. */
export interface Override {
  readonly pattern: RegExp;
  /** `keep`: stays as it is. */
  readonly scheme: string;
  readonly settings: Partial<QuantizeSettings>;
}

/** Matches this name and no other. */
export const exactly = (name: string): RegExp =>
  new RegExp(`^${name.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')}$`);

/** @throws E_USAGE. */
export function parseOverride(text: string): Override {
  const bad = (why: string): MlserError =>
    new MlserError('E_USAGE', `--set ${JSON.stringify(text)}: ${why}`, {
      hint: "write it as 'fc.*=int4-weights,block=64', or 'head=keep'",
    });
  const at = text.lastIndexOf('=', text.includes(',') ? text.indexOf(',') : text.length);
  if (at < 1) throw bad('is no pattern=scheme');
  const [scheme = '', ...rest] = text.slice(at + 1).split(',');
  let pattern: RegExp;
  try {
    pattern = new RegExp(text.slice(0, at));
  } catch {
    throw bad('does not start with a regular expression');
  }
  if (scheme !== 'keep' && !schemeById(scheme)) throw bad(`${JSON.stringify(scheme)} is no scheme`);
  const settings: { -readonly [K in keyof QuantizeSettings]?: QuantizeSettings[K] } = {};
  for (const part of rest) {
    const [key = '', value] = part.split('=');
    if (key === 'block' && /^\d+$/.test(value ?? '')) settings.block = Number(value);
    else if (key === 'symmetric' && value === undefined) settings.symmetric = true;
    else if (key === 'asymmetric' && value === undefined) settings.symmetric = false;
    else if (key === 'per-channel' && value === undefined) settings.perChannel = true;
    else if (key === 'per-tensor' && value === undefined) settings.perChannel = false;
    else throw bad(`${JSON.stringify(part)} is not known`);
  }
  return { pattern, scheme, settings };
}

/**
 * The default scheme for what no override takes; the first override that matches a weight decides about it. `selects` of
 * the default settings says which weights there are to decide about. `int4-weights+fp16`: the second takes what the first
 * has left, and what it has made (scales).
 */
export function assignmentsOf(
  scheme: string,
  settings: QuantizeSettings,
  overrides: readonly Override[],
): Assignment[] {
  const decides = (name: string): Override | undefined => overrides.find(({ pattern }) => pattern.test(name));
  const own = overrides
    .filter((override) => override.scheme !== 'keep')
    .map(
      (override): Assignment => ({
        scheme: override.scheme,
        settings: {
          ...settings,
          ...override.settings,
          selects: (name) => settings.selects(name) && decides(name) === override,
        },
      }),
    );
  const rest = { ...settings, selects: (name: string) => settings.selects(name) && !decides(name) };
  return [...scheme.split('+').map((one) => ({ scheme: one, settings: rest })), ...own];
}
