import { setMaxListeners } from 'node:events';
import type { WorkContext } from '../../core/format.js';
import { Meeting } from '../../kernels/meeting.js';
import { together } from '../../kernels/together.js';
import { startRuntime } from '../../runtime/process.js';
import { SourceRun } from '../../validate/source-run.js';
import type { Beside, OutputOptions } from '../write.js';

/**
 * Makes outputs of one model side by side: each goes its own way, but where they read the model, they read it together, and
 * it is run once. An error that one of them throws ends them all; it is thrown when they have ended.
 */
export async function sideBySide<Item, Made>(
  items: readonly Item[],
  make: (item: Item, beside: Beside, context: WorkContext) => Promise<Made>,
  {
    inputs,
    validate,
    dryRun,
    keeps,
  }: Pick<OutputOptions, 'inputs' | 'validate' | 'dryRun'> & {
    /** No item is a copy of the model: what they will want of it a second time is kept. */
    readonly keeps: boolean;
  },
  context: WorkContext,
): Promise<ReadonlyMap<Item, Made>> {
  const made = new Map<Item, Made>();
  const sourceRun = new SourceRun(inputs);
  const closing: (() => Promise<void>)[] = [() => sourceRun.close()];
  try {
    await together(context.signal, (signal) => {
      // Every item listens, in several places.
      setMaxListeners(0, signal);
      const runtime = startRuntime({ signal });
      closing.push(() => runtime.close());
      // Its process starts while the first files are read.
      if (validate === 'run' && !dryRun) runtime.warm();
      const meeting = new Meeting({ ...context, signal }, { keeps });
      closing.push(async () => meeting.close());
      // What they are at is told by the meeting.
      const progress = { stage() {}, advance: (bytes: number) => context.progress.advance(bytes) };
      return items.map(
        (item) => () =>
          meeting.join(async (shared) => {
            made.set(
              item,
              await make(item, { runtime, sourceRun }, { ...context, signal, progress, shared }),
            );
          }),
      );
    });
  } finally {
    for (const close of closing) await close();
  }
  return made;
}
