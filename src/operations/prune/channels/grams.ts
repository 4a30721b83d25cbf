import type { WorkContext } from '../../../core/format.js';
import type { Model } from '../../../core/model.js';
import type { GramRequest } from '../../../graph/quantize/types.js';
import type { InputFiles } from '../../../io/files.js';
import { layerFeeds } from '../../quantize/calibration/grams.js';

/** Matrices that are kept for the second time that they are asked for, in bytes together. */
const KEPT_BYTES = 128 << 20;
/** Columns that a matrix is not larger than: 4096² doubles are 128 MiB. */
export const MOST_COLUMNS = 4096;

/** XᵀX of what products are fed with, over the calibration data. */
export class Grams {
  readonly #model: Model;
  readonly #feeds: ReturnType<typeof layerFeeds>;
  readonly #kept = new Map<string, Float64Array>();
  #room = KEPT_BYTES;

  constructor(model: Model, files: InputFiles, data: string, context: WorkContext) {
    this.#model = model;
    this.#feeds = layerFeeds({ files, data, context });
  }

  /** Hands over those that are not too large, once each. Who takes a matrix does not change it. */
  async each(
    wanted: readonly GramRequest[],
    take: (key: string, gram: Float64Array) => Promise<void>,
  ): Promise<void> {
    const requests = new Map(
      wanted.flatMap((one) => (one.size > MOST_COLUMNS ? [] : [[one.key, one] as const])),
    );
    for (const key of requests.keys()) {
      const known = this.#kept.get(key);
      if (known) await take(key, known);
    }
    const unknown = [...requests.values()].filter(({ key }) => !this.#kept.has(key));
    await this.#feeds.grams(this.#model, unknown, async (key, gram) => {
      if (gram.byteLength <= this.#room) {
        this.#room -= gram.byteLength;
        this.#kept.set(key, gram);
      }
      await take(key, gram);
    });
  }
}
