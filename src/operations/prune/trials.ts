import type { WorkContext } from '../../core/format.js';
import { joinPath } from '../../io/disk.js';
import type { OpenedModel } from '../open.js';
import { inScratch, withBeside } from '../tried.js';
import { provedWith } from './proved-with.js';
import type { PruneModelOptions } from './prune.js';
import type { PruneReport } from './report.js';

export type Prune = (
  opened: OpenedModel,
  output: string,
  options: PruneModelOptions,
  context: WorkContext,
  mostBytes?: number,
) => Promise<PruneReport>;

/** Prunes once more with other options and says what came out; the file goes again. `extension`: of its format. */
export type Trial = (options: Partial<PruneModelOptions>, extension: string) => Promise<PruneReport>;

/** Runs `work` with a way to try options. */
export async function withTrials<T>(
  opened: OpenedModel,
  options: PruneModelOptions,
  context: WorkContext,
  prune: Prune,
  work: (trial: Trial) => Promise<T>,
): Promise<T> {
  const { targetSize: _size, maxAccuracyDrop: _drop, dryRun: _dry, ...free } = provedWith(options);
  const quiet = { ...context, progress: { stage() {}, advance() {} } };
  const always = { sync: false, force: true, tolerance: Number.MAX_VALUE };
  return withBeside(free.inputs, context, (beside) =>
    work((own, extension) =>
      inScratch('mlser-prune-', (folder) =>
        prune(opened, joinPath(folder, `trial${extension}`), { ...free, ...always, beside, ...own }, quiet),
      ),
    ),
  );
}

/** Runs the graph with these options, as ONNX. */
export const asGraph = (options: Partial<PruneModelOptions>): Partial<PruneModelOptions> => ({
  ...options,
  to: 'onnx',
  validate: 'run',
});
