import type { WorkContext } from '../../core/format.js';
import { finding } from '../../errors.js';
import type { OpenedModel } from '../open.js';
import type { PruneModelOptions } from './prune.js';
import type { PruneReport } from './report.js';
import { asGraph, type Prune, withTrials } from './trials.js';

/** Names that a message shows. */
const SHOWN = 5;

/**
 * Prunes, and if the accuracy sinks by more than was allowed, leaves the most sensitive weights as they are: as few of
 * them as suffice, found by halving. How sensitive a weight is shows when it alone is pruned.
 */
export async function meetAccuracy(
  opened: OpenedModel,
  output: string,
  options: PruneModelOptions & { readonly maxAccuracyDrop: number },
  context: WorkContext,
  prune: Prune,
): Promise<PruneReport> {
  const { maxAccuracyDrop } = options;
  const { kept, all } = await withTrials(opened, options, context, prune, async (run) => {
    const trial: TryOnly = async (only, own = {}) => {
      const report = await run(asGraph({ ...own, only }), '.onnx');
      // Channels and blocks that stay anyway cost nothing.
      const names = report.prune.tensors.flatMap(({ name, channels }) =>
        channels && channels.after === channels.before ? [] : [name],
      );
      return { drop: report.accuracyDrop ?? Number.NaN, names };
    };
    const { names, drop } = await trial(() => true);
    return { all: names, kept: drop > maxAccuracyDrop ? await fewest(names, maxAccuracyDrop, trial) : [] };
  });
  const spared = new Set(kept);
  const report = await prune(opened, output, { ...options, only: (name) => !spared.has(name) }, context);
  if (kept.length === 0) return report;
  const more = kept.length > SHOWN ? ', …' : '';
  const message = `${kept.length} of ${all.length} weights stay as they are to keep the accuracy: ${kept.slice(0, SHOWN).join(', ')}${more}`;
  return { ...report, findings: [...report.findings, finding('info', 'KEPT_WHOLE', 'model', message)] };
}

type TryOnly = (
  only: (name: string) => boolean,
  own?: Partial<PruneModelOptions>,
) => Promise<{ readonly drop: number; readonly names: string[] }>;

/** The most sensitive weights, as few as have to be spared. */
async function fewest(names: readonly string[], allowed: number, trial: TryOnly): Promise<readonly string[]> {
  const drops = new Map<string, number>();
  for (const name of names) drops.set(name, (await trial((other) => other === name, { speed: false })).drop);
  const ranked = [...names].sort((a, b) => (drops.get(b) ?? 0) - (drops.get(a) ?? 0));
  let [few, many] = [0, ranked.length];
  while (many - few > 1) {
    const middle = Math.floor((few + many) / 2);
    const spared = new Set(ranked.slice(0, middle));
    if ((await trial((name) => !spared.has(name))).drop <= allowed) many = middle;
    else few = middle;
  }
  return ranked.slice(0, many);
}
