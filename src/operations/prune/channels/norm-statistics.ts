import type { WorkContext } from '../../../core/format.js';
import type { Model } from '../../../core/model.js';
import {
  countName,
  meanName,
  type Norm,
  normalizingBatches,
  normsBehind,
  type Statistics,
  varianceName,
  withStatistics,
} from '../../../graph/channels/batch-norms.js';
import { GraphEdit } from '../../../graph/edit.js';
import type { InputFiles } from '../../../io/files.js';
import { withArrays } from '../../../runtime/arrays.js';
import { feedsFromFile } from '../../../runtime/feed-source.js';
import { startRuntime } from '../../../runtime/process.js';
import { toNumbers, type Values } from '../../../runtime/values.js';
import { inputsOf } from '../../../validate/runnable.js';
import { withOutputs } from '../../observed-model.js';
import { onlyInputs, openChanged } from '../../open-changed.js';

/** Samples in one batch, whose statistics its norms use. */
const BATCH = 256;
/** Sums of a run may depend on how it is cut among threads. */
const THREADS = 1;

export interface Renorming {
  /** With channels cut. */
  readonly model: Model;
  readonly files: InputFiles;
  /** Tensors that are not what they were. */
  readonly changed: ReadonlySet<string>;
  readonly shapes: ReadonlyMap<string, readonly number[]>;
  /** Path of an npz with samples. */
  readonly data: string;
  readonly context: WorkContext;
}

/**
 * Takes the running statistics of every BatchNormalization behind a change again: over the samples, while norms use those
 * of the batch, as in training. One pass for all norms.
 */
export async function withNewStatistics(request: Renorming): Promise<Model> {
  const { model, files, changed, shapes, data, context } = request;
  const norms = normsBehind(await GraphEdit.open(model), changed, (value) => shapes.get(value)?.length);
  const { graph } = model;
  if (norms.length === 0 || !graph) return model;
  const watched = await normalizingBatches(model, norms, (whole, names) => withOutputs(whole, names, []));
  const runtime = startRuntime(context.signal ? { signal: context.signal } : {});
  try {
    return await withArrays(data, async (file) => {
      const session = await openChanged({ model, files }, runtime, watched, THREADS);
      try {
        if (!file) throw new Error('samples are read from a file');
        const feeds = feedsFromFile(file, inputsOf(session, graph), BATCH);
        const moments = norms.map(({ channels }) => new Moments(channels));
        context.progress.stage('calibrate', feeds.slices?.length ?? 1);
        for (const slice of feeds.slices ?? [undefined]) {
          const { outputs } = await session.run(onlyInputs(session, await feeds.load(slice)));
          for (const [i, sums] of moments.entries()) sums.add(outputs, i);
          context.progress.advance(1);
        }
        const found = new Map<Norm, Statistics>();
        for (const [i, norm] of norms.entries()) {
          const statistics = moments[i]?.statistics();
          if (statistics) found.set(norm, statistics);
        }
        return withStatistics(model, found);
      } finally {
        await session.release();
      }
    });
  } finally {
    await runtime.close();
  }
}

/** Means and variances of batches put together. */
class Moments {
  readonly #sums: Float64Array;
  readonly #squares: Float64Array;
  #count = 0;

  constructor(channels: number) {
    this.#sums = new Float64Array(channels);
    this.#squares = new Float64Array(channels);
  }

  add(outputs: Values, i: number): void {
    const read = (name: string): ArrayLike<number> => {
      const value = outputs.get(name);
      return value ? toNumbers(value) : [];
    };
    const [means, variances] = [read(meanName(i)), read(varianceName(i))];
    const shape = Array.from(read(countName(i)));
    const count = shape.reduce((all, size, axis) => (axis === 1 ? all : all * size), 1);
    for (let c = 0; c < this.#sums.length; c++) {
      const mean = means[c] ?? 0;
      this.#sums[c] = (this.#sums[c] ?? 0) + count * mean;
      this.#squares[c] = (this.#squares[c] ?? 0) + count * ((variances[c] ?? 0) + mean * mean);
    }
    this.#count += count;
  }

  /** undefined where something was not finite. */
  statistics(): Statistics | undefined {
    const mean = this.#sums.map((sum) => sum / this.#count);
    const variance = this.#squares.map((sum, c) => Math.max(0, sum / this.#count - (mean[c] ?? 0) ** 2));
    return mean.every(Number.isFinite) && variance.every(Number.isFinite) ? { mean, variance } : undefined;
  }
}
