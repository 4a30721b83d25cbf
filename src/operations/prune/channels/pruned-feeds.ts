import type { WorkContext } from '../../../core/format.js';
import type { TensorSource } from '../../../core/tensor.js';
import { beside } from '../../../graph/channels/beside.js';
import { type Shift, shiftBiases } from '../../../graph/channels/biases.js';
import type { Consumer } from '../../../graph/channels/consumers.js';
import { type Cut, cutChannels } from '../../../graph/channels/cut.js';
import { ChannelGraph } from '../../../graph/channels/graph.js';
import { GraphEdit } from '../../../graph/edit.js';
import type { GramRequest } from '../../../graph/quantize/types.js';
import type { OpenedModel } from '../../open.js';
import { layerFeeds } from '../../quantize/calibration/grams.js';
import type { Behind } from './compensate.js';
import { type Grams, MOST_COLUMNS } from './grams.js';

/** What has become of a model so far. */
export interface SoFar {
  readonly weights: ReadonlyMap<string, TensorSource>;
  readonly shifts: readonly Shift[];
  readonly cuts: readonly Cut[];
}

/** `now`: the columns of the matrix that hold what is fed in the place of those that stay. */
type Take = (behind: Behind, gram: Float64Array, now: readonly number[]) => Promise<void>;

interface From {
  readonly opened: OpenedModel;
  readonly shapes: ReadonlyMap<string, readonly number[]>;
  readonly data: string;
  readonly grams: Grams;
  readonly context: WorkContext;
}

/** XᵀX of what products are fed with in the whole model beside what the pruned one feeds them. */
export class PrunedFeeds {
  readonly #from: From;

  constructor(from: From) {
    this.#from = from;
  }

  /**
   * Hands over [X P 1]ᵀ[X P 1] of products that take `value`: X by the whole model, P by what it has become so far. Where
   * that is too large, or a sub-graph in the way, the whole model has to tell what they are fed with.
   */
  async each(value: string, wanted: readonly Behind[], soFar: SoFar, take: Take): Promise<void> {
    const { opened, data, context, grams } = this.#from;
    const fits = wanted.filter(({ consumer, kept }) => columnsOf(consumer) + kept.length < MOST_COLUMNS);
    const axis = wanted[0]?.consumer.feeds.sources[0]?.patches ? 1 : -1;
    const both = fits.length > 0 ? await beside(opened.model, await this.#cut(soFar), value, axis) : undefined;
    if (both) {
      const feeds = layerFeeds({ files: opened.files, data, context });
      const requests = fits.map((one) => joined(one, both.value));
      await feeds.grams(both.model, requests, async (key, gram) => {
        const one = fits.find(({ consumer }) => consumer.feeds.key === key);
        const from = one ? columnsOf(one.consumer) : 0;
        if (one) await take(one, gram, Array.from(one.kept.keys(), (i) => from + i));
      });
    }
    const others = both ? wanted.filter((one) => !fits.includes(one)) : wanted;
    await grams.each(
      others.map(({ consumer }) => consumer.feeds),
      async (key, gram) => {
        const one = others.find(({ consumer }) => consumer.feeds.key === key);
        if (one) await take(one, gram, one.kept);
      },
    );
  }

  async #cut({ weights, shifts, cuts }: SoFar): Promise<OpenedModel['model']> {
    const { opened, shapes } = this.#from;
    const graph = await ChannelGraph.open(await GraphEdit.open(opened.model), shapes);
    await shiftBiases(graph, shifts);
    return cutChannels(graph, cuts, weights);
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
