import type { Finding } from '../errors.js';
import { type ArrayFile, openArrays } from '../runtime/arrays.js';
import type { Slice } from '../runtime/feed-source.js';
import type { OutputComparison } from '../runtime/metrics.js';
import { KeptOutputs } from './kept-outputs.js';
import { execute, isFinding, type Preparing, prepare } from './prepare.js';
import { type Before, secondRun } from './reference-run.js';
import type { Runnable } from './runnable.js';

/**
 * The run of a model that several outputs are compared with: it runs once, on all feeds, and what comes out is kept in a
 * scratch file until `close`, so that neither time nor memory grow with the number of outputs.
 */
export class SourceRun {
  readonly #inputs: string | undefined;
  readonly #kept = new KeptOutputs();
  #file: ArrayFile | undefined;
  #run: Promise<Before | Finding> | undefined;

  /** `inputs`: path of an npz with feeds. */
  constructor(inputs: string | undefined) {
    this.#inputs = inputs;
  }

  /** The first who asks has it run. A finding if the runtime refuses it. */
  of(request: Preparing, model: Runnable): Promise<Before | Finding> {
    this.#run ??= this.#start(request, model);
    return this.#run;
  }

  async #start(request: Preparing, model: Runnable): Promise<Before | Finding> {
    if (this.#inputs !== undefined) this.#file = await openArrays(this.#inputs);
    const file = this.#file;
    const ready = await prepare(request, model, 'cpu', file);
    if (isFinding(ready)) return ready;
    const { session, feeds, first } = ready;
    const places = new Map<Slice | undefined, number>();
    for (const slice of feeds.slices ?? [undefined])
      places.set(slice, this.#kept.put(places.size === 0 ? first : await execute(ready, slice)));
    await session.release();
    let second: Promise<readonly OutputComparison[]> | undefined;
    return {
      feeds,
      outputs: async (slice) => this.#kept.get(places.get(slice) ?? 0),
      again: () => {
        second ??= secondRun(request, model, file, { feeds, first });
        return second;
      },
      release: async () => {},
    };
  }

  async close(): Promise<void> {
    this.#kept.close();
    await this.#file?.close();
  }
}
