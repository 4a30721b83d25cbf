import type { WorkContext } from '../../core/format.js';
import { type Finding, finding, MlserError } from '../../errors.js';
import { inputBytes, type OpenedModel } from '../open.js';
import { exactly, type Override } from './assign.js';
import { layerLosses, lossOf, withTrials } from './layers.js';
import { type Layer, pointsOf, shown } from './points.js';
import { type QuantizeOptions, quantizedNames, quantizeOpened, weightLosses } from './quantize.js';
import type { QuantizeReport } from './report.js';
import { schemeById } from './schemes.js';

/** What a weight may become where no scheme is named, from the mildest to the boldest. */
export const LADDER = ['int8-weights', 'int4-weights', 'int2-weights'];
/** In larger models the loss of a weight is told by its own error: running them once a weight would take hours. */
const LARGEST_RUN_BYTES = 256 << 20;
const TRIES = 8;

/**
 * Chooses a scheme for every weight so that the file has at most `targetSize` bytes and the sum of the measured losses
 * is least. The scheme of the options may name several, separated by commas.
 *
 * @throws E_UNSUPPORTED where even the boldest choice is larger.
 */
export async function meetSize(
  opened: OpenedModel,
  output: string,
  options: QuantizeOptions & { readonly targetSize: number },
  context: WorkContext,
): Promise<QuantizeReport> {
  const { targetSize, scheme, ...rest } = options;
  const schemes = fitting(scheme.split(','), opened);
  const layers = await measure(opened, { ...rest, scheme }, schemes, context);
  const total = inputBytes(opened);
  const points = pointsOf(layers, total);
  const least = points.at(-1)?.bytes ?? total;
  // What is written has a few bytes that the weights do not explain: aim lower until it fits.
  let aim = targetSize;
  for (let tries = 0; tries < TRIES; tries++) {
    const point = points.find(({ bytes }) => bytes <= aim) ?? (tries === 0 ? undefined : points.at(-1));
    if (!point) throw tooSmall(targetSize, least);
    const own = { ...rest, scheme: schemes[0] ?? scheme, overrides: asOverrides(point.chosen) };
    const report = await quantizeOpened(opened, output, own, context, targetSize);
    if (report.bytesOut <= targetSize || !report.validation.passed || options.dryRun)
      return {
        ...report,
        frontier: shown(points, (scheme) => scheme).map(({ counts, ...point }) => ({
          ...point,
          schemes: counts,
        })),
        findings: [...report.findings, met(report, targetSize)],
      };
    if (point === points.at(-1)) break;
    aim = Math.min(aim, point.bytes) - (report.bytesOut - targetSize);
  }
  throw tooSmall(targetSize, least);
}

/** Those that are for such a model; all, so that the first says why, where none is. */
function fitting(schemes: readonly string[], { model }: OpenedModel): readonly string[] {
  const kind = model.graph ? 'graph' : 'tensors';
  const known = schemes.filter((id) => schemeById(id)?.[kind] !== undefined);
  return known.length > 0 ? known : schemes;
}

const met = ({ bytesOut }: QuantizeReport, target: number): Finding =>
  finding('info', 'TARGET_SIZE', 'model', `${bytesOut} bytes were written; ${target} were allowed`);

const tooSmall = (target: number, least: number): MlserError =>
  new MlserError(
    'E_UNSUPPORTED',
    `the model cannot become as small as ${target} bytes: about ${least} at least`,
    {
      details: { targetSize: target, least },
      hint: 'allow more bytes, name bolder schemes (--scheme int4-weights,palette-2), or prune it first',
    },
  );

async function measure(
  opened: OpenedModel,
  options: QuantizeOptions,
  schemes: readonly string[],
  context: WorkContext,
): Promise<Layer<string>[]> {
  const found = new Map<string, { bytesIn: number; steps: Layer<string>['steps'][number][] }>();
  const add = (name: string, scheme: string, bytesIn: number, bytes: number, loss: number): void => {
    const layer = found.get(name) ?? { bytesIn, steps: [] };
    layer.steps.push({ choice: scheme, bytes, loss });
    found.set(name, layer);
  };
  const size = opened.model.tensors.reduce((sum, { byteLength }) => sum + byteLength, 0);
  if (!opened.model.graph || size > LARGEST_RUN_BYTES)
    for (const scheme of schemes)
      for (const { name, bytesIn, bytesOut, error } of await weightLosses(
        opened,
        { ...options, scheme },
        context,
      ))
        add(name, scheme, bytesIn, bytesOut, error);
  else
    await withTrials(opened, options, context, quantizeOpened, async (trial) => {
      for (const scheme of schemes) {
        const names = await quantizedNames(opened, { ...options, scheme }, context);
        for (const loss of await layerLosses(trial, scheme, names))
          add(loss.name, scheme, loss.bytesIn, loss.bytesOut, lossOf(loss));
      }
    });
  return [...found].map(([name, layer]) => ({ name, ...layer }));
}

function asOverrides(chosen: ReadonlyMap<string, string>): readonly Override[] {
  const each = [...chosen].map(
    ([name, scheme]): Override => ({ pattern: exactly(name), scheme, settings: {} }),
  );
  return [...each, { pattern: /(?:)/, scheme: 'keep', settings: {} }];
}
