import { NO_PROGRESS, type WorkContext } from '../../core/format.js';
import { finding, MlserError } from '../../errors.js';
import { compareTensors } from '../../kernels/compare.js';
import { type OpenContext, type OpenedModel, withModel } from '../open.js';
import { layerLosses } from '../quantize/layers.js';
import type { LayerLoss, SensitivityReport } from '../quantize/report.js';
import type { WriteReport } from '../reports.js';
import { candidatesOf } from './choose.js';
import { factorable, needsGraph } from './factored.js';
import { prunedTensors, putsZeros } from './methods.js';
import { type PruneModelOptions, pruneOpened } from './prune.js';
import type { PruneReport } from './report.js';
import { asGraph, type Trial, withTrials } from './trials.js';

/**
 * The loss of every weight when it alone is pruned, ranked: which ones to keep. A graph is run for each of them; of weights
 * without a graph only their own error is known.
 */
export const pruneSensitivity = (
  input: string,
  options: PruneModelOptions,
  context: WorkContext & OpenContext,
): Promise<SensitivityReport> =>
  withModel(input, context, async (opened) => {
    const started = performance.now();
    const scheme = methodText(options);
    const runs = opened.model.graph !== undefined;
    if (!runs && !putsZeros(options))
      throw options.method === 'low-rank' ? needsGraph(opened.input) : needsRuns(opened.input, options);
    const layers = runs
      ? await byRuns(opened, options, scheme, context)
      : await byErrors(opened, options, scheme, context);
    return {
      command: 'sensitivity',
      path: input,
      scheme,
      synthetic: runs && options.inputs === undefined,
      layers,
      findings: runs ? [] : [NOT_RUN],
      seconds: (performance.now() - started) / 1000,
    };
  });

const needsRuns = (input: string, { method }: PruneModelOptions): MlserError =>
  new MlserError('E_UNSUPPORTED', `${method}: what one of them costs shows when a graph is run`, {
    details: { input },
    hint: 'give the model as ONNX',
  });

const NOT_RUN = finding(
  'info',
  'NOT_RUN',
  'model',
  'it has no graph that could be run: weights are ranked by their own error',
);

function methodText({ method, sparsity, threshold, pattern, rank, energy }: PruneModelOptions): string {
  if (method === 'magnitude') return `magnitude ${sparsity ?? 0.5}`;
  if (method === 'channels') return `channels ${sparsity ?? 0.3}`;
  if (method === 'layers') return 'layers 1 block';
  if (method === 'threshold') return `threshold ${threshold ?? ''}`;
  if (method === 'n:m') return `n:m ${pattern?.keep ?? 2}:${pattern?.of ?? 4}`;
  return rank === undefined ? `${method} energy ${energy ?? 0.95}` : `${method} rank ${rank}`;
}

async function byRuns(
  opened: OpenedModel,
  options: PruneModelOptions,
  scheme: string,
  context: WorkContext,
): Promise<LayerLoss[]> {
  return withTrials(opened, options, context, pruneOpened, async (trial) => {
    const names = await namesOf(opened, options, trial, context);
    context.progress.stage('layers', names.length);
    const blocks = new Map<string, Pick<LayerLoss, 'bytesIn' | 'bytesOut'>>();
    const losses = await layerLosses(
      async (only) => {
        // What a share of a group costs is asked for, not what it would be worth.
        const gone = options.method === 'layers' ? { layers: numbersOf(names.filter(only)) } : {};
        const report = await trial(asGraph({ only, speed: false, ...gone }), '.onnx');
        context.progress.advance(1);
        for (const { name, channels, denseBytes } of report.prune.tensors)
          if (options.method === 'layers' && channels?.after === 0)
            blocks.set(name, { bytesIn: denseBytes, bytesOut: 0 });
        return withStored(report);
      },
      scheme,
      names,
    );
    return losses.map((loss) => ({ ...loss, ...blocks.get(loss.name) }));
  });
}

/** Weights, groups of channels by the weight that makes them, or blocks, that can be pruned alone. */
async function namesOf(
  opened: OpenedModel,
  options: PruneModelOptions,
  trial: Trial,
  context: WorkContext,
): Promise<readonly string[]> {
  const { model } = opened;
  if (options.method === 'layers') {
    const { blocksOf, blockName } = await import('./layers/layers.js');
    const { blocks } = await blocksOf(opened, options, context);
    return blocks.map(({ number }) => blockName(number));
  }
  if (options.method === 'channels') {
    const { prune } = await trial(asGraph({}), '.onnx');
    return prune.tensors.flatMap(({ name, reason }) => (reason === undefined ? [name] : []));
  }
  if (putsZeros(options)) return candidatesOf(model, options).map(({ tensor }) => tensor.info.name);
  return (await factorable(model, options)).weights.map(({ tensor }) => tensor.info.name);
}

const numbersOf = (names: readonly string[]): readonly number[] =>
  names.map((name) => Number(/\d+$/.exec(name)?.[0]));

/** Bytes of weights are those that they take as zeros or factors. */
function withStored(report: PruneReport): WriteReport {
  const stored = new Map(report.prune.tensors.map(({ name, storedBytes }) => [name, storedBytes]));
  const tensors = report.tensors.map((one) => ({ ...one, bytesOut: stored.get(one.name) ?? one.bytesOut }));
  return { ...report, tensors };
}

async function byErrors(
  opened: OpenedModel,
  options: PruneModelOptions,
  scheme: string,
  context: WorkContext,
): Promise<LayerLoss[]> {
  if (!putsZeros(options)) return [];
  const candidates = candidatesOf(opened.model, options);
  const own: PruneModelOptions & { readonly method: typeof options.method } = {
    ...options,
    scope: 'tensor',
  };
  const { tensors } = await prunedTensors(candidates, own, { ...context, progress: NO_PROGRESS });
  const pairs = candidates.flatMap(({ tensor }, i) => {
    const after = tensors[i];
    return after ? [{ a: tensor, b: after }] : [];
  });
  const errors = await compareTensors(pairs, context);
  const losses = pairs.map(
    ({ a: { info, byteLength } }, i): LayerLoss => ({
      ...{ name: info.name, scheme, bytesIn: byteLength, bytesOut: byteLength },
      weightSqnrDb: errors[i]?.sqnrDb ?? null,
      ...{ cosine: null, maxAbs: 0, sqnrDb: null },
    }),
  );
  const rank = ({ weightSqnrDb }: LayerLoss): number => weightSqnrDb ?? Number.POSITIVE_INFINITY;
  return losses.sort((a, b) => rank(a) - rank(b) || (a.name < b.name ? -1 : 1));
}
