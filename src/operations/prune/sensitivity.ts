import { NO_PROGRESS, type WorkContext } from '../../core/format.js';
import { finding } from '../../errors.js';
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
    if (!runs && !putsZeros(options)) throw needsGraph(opened.input);
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

const NOT_RUN = finding(
  'info',
  'NOT_RUN',
  'model',
  'it has no graph that could be run: weights are ranked by their own error',
);

function methodText({ method, sparsity, threshold, pattern, rank, energy }: PruneModelOptions): string {
  if (method === 'magnitude') return `magnitude ${sparsity ?? 0.5}`;
  if (method === 'channels') return `channels ${sparsity ?? 0.3}`;
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
    const names = await namesOf(opened, options, trial);
    context.progress.stage('layers', names.length);
    return layerLosses(
      async (only) => {
        const report = await trial(asGraph({ only }), '.onnx');
        context.progress.advance(1);
        return withStored(report);
      },
      scheme,
      names,
    );
  });
}

/** Weights, or groups of channels by the weight that makes them, that can be pruned alone. */
async function namesOf(
  { model }: OpenedModel,
  options: PruneModelOptions,
  trial: Trial,
): Promise<readonly string[]> {
  if (options.method === 'channels') {
    const { prune } = await trial(asGraph({}), '.onnx');
    return prune.tensors.flatMap(({ name, reason }) => (reason === undefined ? [name] : []));
  }
  if (putsZeros(options)) return candidatesOf(model, options).map(({ tensor }) => tensor.info.name);
  return (await factorable(model, options)).weights.map(({ tensor }) => tensor.info.name);
}

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
  const pruned = await prunedTensors(candidates, own, { ...context, progress: NO_PROGRESS });
  const pairs = candidates.flatMap(({ tensor }, i) => {
    const after = pruned[i]?.tensor;
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
