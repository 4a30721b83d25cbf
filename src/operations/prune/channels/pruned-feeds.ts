import type { WorkContext } from '../../../core/format.js';
import { beside } from '../../../graph/channels/beside.js';
import type { Consumer } from '../../../graph/channels/consumers.js';
import type { GramRequest } from '../../../graph/quantize/types.js';
import type { OpenedModel } from '../../open.js';
import { layerFeeds } from '../../quantize/calibration/grams.js';
import type { Behind } from './compensate.js';
import { type Grams, MOST_COLUMNS } from './grams.js';
import { cutSoFar, type SoFar } from './so-far.js';

/** `now`: the columns of the matrix that hold what is fed in the place of those that stay. */
type Take = (behind: Behind, gram: Float64Array, now: readonly number[]) => Promise<void>;

/** Who tells what products are fed with. */
export interface Feeds {
  each(value: string, wanted: readonly Behind[], soFar: SoFar, take: Take): Promise<void>;
}

/** What the whole model feeds them with. */
export const wholeFeeds = (grams: Grams): Feeds => ({
  each: (_value, wanted, _soFar, take) =>
    grams.each(
      wanted.map(({ consumer }) => consumer.feeds),
      async (key, gram) => {
        const one = wanted.find(({ consumer }) => consumer.feeds.key === key);
        if (one) await take(one, gram, one.kept);
      },
    ),
});

interface From {
  readonly opened: OpenedModel;
  readonly shapes: ReadonlyMap<string, readonly number[]>;
  readonly data: string;
  readonly grams: Grams;
  readonly context: WorkContext;
}

/** XᵀX of what products are fed with in the whole model beside what the pruned one feeds them. */
export class PrunedFeeds implements Feeds {
  readonly #from: From;

  constructor(from: From) {
    this.#from = from;
  }

  /**
   * Hands over [X P 1]ᵀ[X P 1] of products that take `value`: X by the whole model, P by what it has become so far. Where
   * that is too large, or a sub-graph in the way, the whole model has to tell what they are fed with.
   */
  async each(value: string, wanted: readonly Behind[], soFar: SoFar, take: Take): Promise<void> {
    const { opened, shapes, data, context, grams } = this.#from;
    const fits = wanted.filter(({ consumer, kept }) => columnsOf(consumer) + kept.length < MOST_COLUMNS);
    const axis = wanted[0]?.consumer.feeds.sources[0]?.patches ? 1 : -1;
    const both =
      fits.length > 0
        ? await beside(opened.model, await cutSoFar(opened.model, shapes, soFar), [value], { axis })
        : undefined;
    if (both) {
      const feeds = layerFeeds({ files: opened.files, data, context });
      const requests = fits.map((one) => joined(one, both.values[0] ?? ''));
      await feeds.grams(both.model, requests, async (key, gram) => {
        const one = fits.find(({ consumer }) => consumer.feeds.key === key);
        const from = one ? columnsOf(one.consumer) : 0;
        if (one)
          await take(
            one,
            gram,
            Array.from(one.kept.keys(), (i) => from + i),
          );
      });
    }
    await wholeFeeds(grams).each(
      value,
      both ? wanted.filter((one) => !fits.includes(one)) : wanted,
      soFar,
      take,
    );
  }
}

const columnsOf = ({ weight, places }: Consumer): number => weight.units.length * places;

/** The rows of the value that both versions make, joined: the columns of the whole model, then those that are left. */
function joined({ consumer, kept }: Behind, value: string): GramRequest {
  const { key, sources } = consumer.feeds;
  const size = columnsOf(consumer) + kept.length;
  return {
    ...{ key, size: size + 1 },
    sources: sources.map((source) => ({
      ...{ ...source, value, size },
      ...(source.patches
        ? {
            patches: {
              ...source.patches,
              shape: [size / consumer.places, ...source.patches.shape.slice(1)],
            },
          }
        : {}),
    })),
  };
}
