import type { WorkContext } from '../../core/format.js';
import type { TensorSource } from '../../core/tensor.js';
import { programOf } from '../program.js';

/** What was made of weights, in scratch files that go with `release`. */
interface Made {
  release(): void;
}

interface Entry<T> {
  readonly made: T;
  readonly holders: Set<symbol>;
  /** All had given it back. */
  gone: boolean;
}

/**
 * What several outputs that are made side by side want of the same weights is made once, and goes when the last of them has
 * given it back. Each job has a tensor, and all else that decides what comes out.
 */
export async function sharedScratch<T extends Made>(
  kind: string,
  jobs: readonly { readonly tensor: TensorSource }[],
  { shared }: WorkContext,
  make: () => Promise<T>,
): Promise<T> {
  if (!shared) return make();
  const what = jobs.map(({ tensor, ...rest }) => [
    tensor.info,
    programOf(tensor)?.path,
    programOf(tensor)?.offset,
    rest,
  ]);
  const start = async (): Promise<Entry<T>> => ({ made: await make(), holders: new Set(), gone: false });
  const entry = await shared.once(JSON.stringify([kind, what]), start);
  if (entry.gone) return make();
  const { made, holders } = entry;
  const self = Symbol(kind);
  holders.add(self);
  return {
    ...made,
    release() {
      if (!holders.delete(self) || holders.size > 0) return;
      entry.gone = true;
      made.release();
    },
  };
}
