import { type FormatDescriptor, NO_PROGRESS, type WorkContext } from '../../core/format.js';
import { type Finding, finding, MlserError } from '../../errors.js';
import type { OpenedModel } from '../open.js';
import { outputFormat } from '../output.js';
import { layerLosses, lossOf } from '../quantize/layers.js';
import { type Layer, pointsOf, shown } from '../quantize/points.js';
import type { PruneModelOptions } from './prune.js';
import type { PruneReport } from './report.js';
import { asGraph, type Prune, type Trial, withTrials } from './trials.js';
import { weightErrors } from './weight-errors.js';

/** Shares of zeros, and of energy, that a weight may have, from the mildest to the boldest. */
const SPARSITIES = [0.3, 0.5, 0.7, 0.8, 0.9, 0.95];
const ENERGIES = [0.99, 0.95, 0.9, 0.8, 0.65];
/** In larger models the loss of a weight is told by its own error: running them once a weight would take hours. */
const LARGEST_RUN_BYTES = 256 << 20;
const TRIES = 8;

/**
 * Chooses how much of every weight goes so that the file has at most `targetSize` bytes and the sum of the measured losses
 * is least. Sizes are those of trial files in the format of the output. A sparsity of the options is the most that a
 * weight may get, an energy the least that it keeps.
 *
 * @throws E_UNSUPPORTED where even the boldest choice is larger, with the size that can be had.
 */
export async function meetSize(
  opened: OpenedModel,
  output: string,
  options: PruneModelOptions & { readonly targetSize: number },
  context: WorkContext,
  prune: Prune,
): Promise<PruneReport> {
  const { targetSize, ...rest } = options;
  const target = (await outputFormat(output, options.to)).descriptor;
  const { layers, total } = await withTrials(opened, options, context, prune, (trial) =>
    measured(opened, rest, target, trial, context),
  );
  const points = pointsOf(layers, total);
  const boldest = points.at(-1);
  // Feeds are for the runs of the trials; a format without a graph is proved without them.
  const { inputs: _inputs, labels: _labels, ...unfed } = rest;
  const wanted = target.keeps.graph ? rest : unfed;
  // What is written has a few bytes that the weights do not explain: aim lower until it fits.
  let aim = targetSize;
  for (let tries = 0; tries < TRIES; tries++) {
    const point = points.find(({ bytes }) => bytes <= aim) ?? boldest;
    if (!point) break;
    const { chosen } = point;
    const own = { ...wanted, levels: chosen, only: (name: string) => chosen.has(name) };
    const report = await prune(opened, output, own, context, targetSize);
    const bytes = options.dryRun ? point.bytes : report.bytesOut;
    if (bytes > targetSize && point === boldest) throw tooSmall(targetSize, bytes, target);
    if (bytes <= targetSize || !report.validation.passed) {
      const frontier = shown(points, (level) => levelText(level, options)).map(({ counts, ...at }) => ({
        ...at,
        levels: counts,
      }));
      const plain = report.findings.filter(({ code }) => chosen.size > 0 || code !== 'NOTHING_PRUNED');
      return { ...report, frontier, findings: [...plain, met(bytes, targetSize)] };
    }
    aim = Math.min(aim, point.bytes) - (bytes - targetSize);
  }
  throw tooSmall(targetSize, boldest?.bytes ?? total, target);
}

const levelText = (level: number, { method }: PruneModelOptions): string =>
  method === 'low-rank' ? `energy ${level}` : `${Math.round(level * 1000) / 10} %`;

export const met = (bytes: number, target: number): Finding =>
  finding('info', 'TARGET_SIZE', 'model', `it has ${bytes} bytes; ${target} were allowed`);

export const tooSmall = (target: number, least: number, { id, title }: FormatDescriptor): MlserError =>
  new MlserError(
    'E_UNSUPPORTED',
    `the model cannot become as small as ${target} bytes: ${least} at least (${title})`,
    {
      details: { targetSize: target, least },
      hint: `allow more bytes, ${id === 'mlck' ? '' : 'write .mlck, '}take another --method, or quantize it (mlser quantize --target-size)`,
    },
  );

/** The levels that the method has, the mildest first. */
function ladder({ method, sparsity, rank, energy }: PruneModelOptions): readonly number[] {
  if (method === 'magnitude') {
    const most = sparsity ?? 1;
    const some = SPARSITIES.filter((level) => level < most);
    return sparsity === undefined ? some : [...some, sparsity];
  }
  if (method === 'low-rank' && rank === undefined) {
    const some = ENERGIES.filter((level) => level > (energy ?? 0));
    return energy === undefined ? some : [...some, energy];
  }
  const what = rank === undefined ? `the method ${method}` : '--rank';
  throw new MlserError('E_USAGE', `--target-size and ${what} both say how much goes`, {
    hint: 'take --method magnitude, low-rank (without --rank), channels or layers',
  });
}

async function measured(
  opened: OpenedModel,
  options: PruneModelOptions,
  target: FormatDescriptor,
  trial: Trial,
  context: WorkContext,
): Promise<{ readonly layers: readonly Layer<number>[]; readonly total: number }> {
  const levels = ladder(options);
  const at = (level: number): Partial<PruneModelOptions> =>
    options.method === 'low-rank' ? { energy: level } : { sparsity: level, scope: 'tensor' };
  const size = (own: Partial<PruneModelOptions>): Promise<PruneReport> =>
    trial({ ...own, validate: 'none' }, target.extensions[0] ?? '');
  context.progress.stage('sizes', levels.length + 1);
  const dense = await size(options.method === 'low-rank' ? { energy: 1 } : at(0));
  const bytesOf = new Map(dense.prune.tensors.map(({ name, storedBytes }) => [name, storedBytes ?? 0]));
  context.progress.advance(1);
  if (dense.prune.storedBytes === null) throw noSizes(target);
  // Only what saves more than the milder levels is worth a run.
  const saving = new Map<number, Map<string, number>>();
  const least = new Map(bytesOf);
  for (const level of levels) {
    const { prune } = await size(at(level));
    const own = new Map<string, number>();
    for (const { name, storedBytes } of prune.tensors) {
      if (storedBytes === null || storedBytes >= (least.get(name) ?? 0)) continue;
      least.set(name, storedBytes);
      own.set(name, storedBytes);
    }
    saving.set(level, own);
    context.progress.advance(1);
  }
  const losses = await lossesOf(opened, options, saving, at, trial, context);
  const layers = [...bytesOf].map(([name, bytesIn]): Layer<number> => {
    const steps = [...saving].flatMap(([choice, own]) => {
      const bytes = own.get(name);
      return bytes === undefined ? [] : [{ choice, bytes, loss: losses.get(choice)?.get(name) ?? 0 }];
    });
    return { name, bytesIn, steps };
  });
  return { layers, total: dense.bytesOut };
}

/** By level and name. */
async function lossesOf(
  opened: OpenedModel,
  options: PruneModelOptions,
  saving: ReadonlyMap<number, ReadonlyMap<string, number>>,
  at: (level: number) => Partial<PruneModelOptions>,
  trial: Trial,
  context: WorkContext,
): Promise<ReadonlyMap<number, ReadonlyMap<string, number>>> {
  const size = opened.model.tensors.reduce((sum, { byteLength }) => sum + byteLength, 0);
  const runs = opened.model.graph !== undefined && size <= LARGEST_RUN_BYTES;
  const found = new Map<number, ReadonlyMap<string, number>>();
  context.progress.stage(
    'layers',
    [...saving.values()].reduce((sum, own) => sum + own.size, 0),
  );
  for (const [level, own] of saving) {
    const names = [...own.keys()];
    if (!runs) {
      const chosen = { ...options, ...at(level), only: (name: string) => own.has(name) };
      found.set(level, await weightErrors(opened.model, chosen, { ...context, progress: NO_PROGRESS }));
      context.progress.advance(names.length);
      continue;
    }
    const losses = await layerLosses(
      async (only) => {
        const report = await trial(asGraph({ ...at(level), only }), '.onnx');
        context.progress.advance(1);
        return report;
      },
      String(level),
      names,
    );
    found.set(level, new Map(losses.map((loss) => [loss.name, lossOf(loss)])));
  }
  return found;
}

const noSizes = ({ title }: FormatDescriptor): MlserError =>
  new MlserError('E_UNSUPPORTED', `${title}: what a weight takes in it is not known before it is written`, {
    hint: 'write .mlck, which stores positions and what is left',
  });
