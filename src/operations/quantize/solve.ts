import type { WorkContext } from '../../core/format.js';
import { type Finding, finding, MlserError } from '../../errors.js';
import type { OpenedModel } from '../open.js';
import type { QuantizeReport } from '../reports.js';
import type { Override } from './assign.js';
import { type LayerLoss, layerLosses, withTrials } from './layers.js';
import { type QuantizeOptions, quantizedNames, quantizeOpened } from './quantize.js';

/** Schemes that a target size is met with, from the mildest to the boldest. */
const LADDER = ['int8-weights', 'int4-weights'];

/** A weight with what each step of the ladder makes of it. */
interface Layer {
  readonly name: string;
  readonly bytesIn: number;
  readonly steps: readonly { readonly scheme: string; readonly bytes: number; readonly loss: number }[];
}

export interface FrontierPoint {
  readonly bytes: number;
  readonly loss: number;
  readonly schemes: Readonly<Record<string, number>>;
}

const lossOf = ({ cosine, accuracyDrop }: LayerLoss): number =>
  Math.max(0, 1 - (cosine ?? 1)) + 10 * Math.max(0, accuracyDrop ?? 0);

/**
 * Chooses a scheme for every weight so that the file has at most `targetSize` bytes and the sum of the measured losses
 * is small: from all in float, always the step that costs least for a byte that is saved, until it fits.
 *
 * @throws E_UNSUPPORTED where even the boldest choice is larger.
 */
export async function meetSize(
  opened: OpenedModel,
  output: string,
  options: QuantizeOptions & { readonly targetSize: number },
  context: WorkContext,
): Promise<QuantizeReport> {
  const { targetSize, ...rest } = options;
  const layers = await measure(opened, rest, context);
  const total = opened.files.opened().reduce((sum, { size }) => sum + size, 0);
  const frontier = frontierOf(layers, total);
  // What is written has a few bytes that the weights do not explain: aim lower until it fits.
  let aim = targetSize;
  for (let tries = 0; tries < 6; tries++) {
    const point = frontier.find(({ bytes }) => bytes <= aim) ?? (tries === 0 ? undefined : frontier.at(-1));
    if (!point) throw tooSmall(targetSize, frontier.at(-1)?.bytes ?? total);
    const report = await quantizeOpened(
      opened,
      output,
      { ...rest, ...asOverrides(point.choice), scheme: 'int8-weights' },
      { ...context },
      targetSize,
    );
    if (report.bytesOut <= targetSize || !report.validation.passed)
      return {
        ...report,
        frontier: shown(frontier),
        findings: [...report.findings, met(report, targetSize)],
      };
    aim -= report.bytesOut - targetSize + 64;
  }
  throw tooSmall(targetSize, frontier.at(-1)?.bytes ?? total);
}

const met = ({ bytesOut }: QuantizeReport, target: number): Finding =>
  finding('info', 'TARGET_SIZE', 'model', `${bytesOut} bytes were written; ${target} were allowed`);

const tooSmall = (target: number, least: number): MlserError =>
  new MlserError(
    'E_UNSUPPORTED',
    `the model cannot become as small as ${target} bytes: about ${least} at least`,
    {
      details: { targetSize: target, least },
      hint: 'allow more bytes, or prune it first',
    },
  );

async function measure(
  opened: OpenedModel,
  options: QuantizeOptions,
  context: WorkContext,
): Promise<Layer[]> {
  const found = new Map<string, { bytesIn: number; steps: Layer['steps'][number][] }>();
  await withTrials(opened, options, context, quantizeOpened, async (trial) => {
    for (const scheme of LADDER) {
      const names = await quantizedNames(opened, { ...options, scheme }, context);
      for (const loss of await layerLosses(trial, scheme, names)) {
        const layer = found.get(loss.name) ?? { bytesIn: loss.bytesIn, steps: [] };
        layer.steps.push({ scheme, bytes: loss.bytesOut, loss: lossOf(loss) });
        found.set(loss.name, layer);
      }
    }
  });
  return [...found].map(([name, layer]) => ({ name, ...layer }));
}

interface Point {
  readonly bytes: number;
  readonly loss: number;
  readonly choice: ReadonlyMap<string, string>;
}

function frontierOf(layers: readonly Layer[], total: number): Point[] {
  const choice = new Map<string, string>();
  const current = new Map(layers.map(({ name, bytesIn }) => [name, { bytes: bytesIn, loss: 0 }]));
  let bytes = total;
  let loss = 0;
  const points: Point[] = [{ bytes, loss, choice: new Map() }];
  for (;;) {
    let best: { layer: Layer; step: Layer['steps'][number]; rate: number } | undefined;
    for (const layer of layers)
      for (const step of layer.steps) {
        const now = current.get(layer.name);
        if (!now || step.bytes >= now.bytes) continue;
        const rate = (step.loss - now.loss) / (now.bytes - step.bytes);
        if (!best || rate < best.rate) best = { layer, step, rate };
      }
    if (!best) return points;
    const now = current.get(best.layer.name) ?? { bytes: 0, loss: 0 };
    bytes -= now.bytes - best.step.bytes;
    loss += best.step.loss - now.loss;
    current.set(best.layer.name, best.step);
    choice.set(best.layer.name, best.step.scheme);
    points.push({ bytes, loss, choice: new Map(choice) });
  }
}

const exactly = (name: string): RegExp => new RegExp(`^${name.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')}$`);

function asOverrides(choice: ReadonlyMap<string, string>): { readonly overrides: readonly Override[] } {
  const chosen = [...choice].map(
    ([name, scheme]): Override => ({ pattern: exactly(name), scheme, settings: {} }),
  );
  return { overrides: [...chosen, { pattern: /(?:)/, scheme: 'keep', settings: {} }] };
}

function shown(points: readonly Point[]): FrontierPoint[] {
  const every = Math.max(1, Math.ceil(points.length / 20));
  return points
    .filter((_, i) => i % every === 0 || i === points.length - 1)
    .map(({ bytes, loss, choice }) => {
      const schemes: Record<string, number> = {};
      for (const scheme of choice.values()) schemes[scheme] = (schemes[scheme] ?? 0) + 1;
      return { bytes, loss, schemes };
    });
}

/**
 * Quantizes, and if the accuracy sinks by more than was allowed, keeps the most sensitive weights in float: as few of
 * them as suffice, found by halving.
 */
export async function meetAccuracy(
  opened: OpenedModel,
  output: string,
  options: QuantizeOptions & { readonly maxAccuracyDrop: number },
  context: WorkContext,
): Promise<QuantizeReport> {
  const { maxAccuracyDrop } = options;
  const names = await quantizedNames(opened, options, context);
  const kept = await withTrials(opened, options, context, quantizeOpened, async (trial) => {
    const dropOf = async (keep: ReadonlySet<string>): Promise<number> => {
      const report = await trial((name) => names.includes(name) && !keep.has(name), options.scheme);
      const { accuracy } = report.validation;
      return accuracy?.before === undefined ? Number.NaN : accuracy.before - accuracy.after;
    };
    const all = await dropOf(new Set());
    if (Number.isNaN(all) || all <= maxAccuracyDrop) return [];
    const ranked = (await layerLosses(trial, options.scheme, names)).map(({ name }) => name);
    let [few, many] = [0, ranked.length];
    while (many - few > 1) {
      const middle = Math.floor((few + many) / 2);
      if ((await dropOf(new Set(ranked.slice(0, middle)))) <= maxAccuracyDrop) many = middle;
      else few = middle;
    }
    return ranked.slice(0, many);
  });
  const keeping = kept.map((name): Override => ({ pattern: exactly(name), scheme: 'keep', settings: {} }));
  const report = await quantizeOpened(
    opened,
    output,
    { ...options, overrides: [...keeping, ...(options.overrides ?? [])] },
    context,
  );
  if (kept.length === 0) return report;
  const message = `${kept.length} of ${names.length} weights stay in float to keep the accuracy: ${kept.slice(0, 5).join(', ')}${kept.length > 5 ? ', …' : ''}`;
  return { ...report, findings: [...report.findings, finding('info', 'KEPT_IN_FLOAT', 'model', message)] };
}
