import { readTensor, type TensorInfo, type TensorSource } from '../../../core/tensor.js';
import { biasPlace, type Shift } from '../../../graph/channels/biases.js';
import { type Consumer, consumersOf } from '../../../graph/channels/consumers.js';
import { type Cut, keptPositions } from '../../../graph/channels/cut.js';
import type { ChannelGraph } from '../../../graph/channels/graph.js';
import { fromMatrix, matrixOf, withNumbers } from '../../../graph/channels/matrix.js';
import { channelAxis } from '../../../graph/channels/rules/products.js';
import type { ScratchTensors } from '../../../kernels/quantize/scratch-tensors.js';
import { type Fed, reconstructed } from '../../../kernels/reconstruct.js';
import type { Grams } from './grams.js';
import type { Feeds } from './pruned-feeds.js';

/** What makes up for channels that go. */
export interface Compensated {
  /** Weights as large as before, zero where channels go. */
  readonly weights: ReadonlyMap<string, TensorSource>;
  readonly shifts: readonly Shift[];
  /** Weights behind cut channels for which nothing could be done. */
  readonly left: readonly string[];
}

/** A product behind cut channels, and which columns of its weight stay. */
export interface Behind {
  readonly consumer: Consumer;
  readonly kept: readonly number[];
}

/** In the order in which the graph computes them. */
function behind(graph: ChannelGraph, cuts: readonly Cut[]): readonly Behind[] {
  const found = cuts.flatMap(({ group, kept }) =>
    kept.size === group.units
      ? []
      : consumersOf(graph, group).map((consumer) => {
          const { weight, places } = consumer;
          const positions = keptPositions(weight, kept);
          return {
            consumer,
            kept: positions.flatMap((p) => Array.from({ length: places }, (_, i) => p * places + i)),
          };
        }),
  );
  const place = new Map(graph.nodes.map((node, i) => [node, i]));
  return found.sort((a, b) => (place.get(a.consumer.node) ?? 0) - (place.get(b.consumer.node) ?? 0));
}

/** The means of what goes, as the whole model computes them, become part of the biases. */
export async function compensatedBiases(
  graph: ChannelGraph,
  cuts: readonly Cut[],
  grams: Grams,
): Promise<Compensated> {
  const wanted = behind(graph, cuts);
  const shifts: Shift[] = [];
  const left = new Set(wanted.map(({ consumer }) => consumer.weight.value));
  await grams.each(
    wanted.map(({ consumer }) => consumer.feeds),
    async (key, gram) => {
      for (const { consumer, kept } of wanted) {
        const { weight, node, outputs } = consumer;
        const fed = consumer.feeds.key === key ? await fedOf(graph, consumer, gram) : undefined;
        if (!fed) continue;
        const values = meansOf(fed, kept);
        if (!values.every(Number.isFinite)) continue;
        left.delete(weight.value);
        const place = biasPlace(graph, node, outputs);
        if (place !== undefined) shifts.push(shiftOf(graph, consumer, cuts, place, values));
      }
    },
  );
  return { weights: new Map(), shifts, left: [...left] };
}

/**
 * Makes up for channels that go in the layers that would have summed over them, one after the other in the order of the
 * graph: by least squares over the samples, each towards what it computes in the whole model, from what the layers before
 * it feed it now that they have lost channels and were solved themselves. What they could not make up for, it tries to.
 */
export async function compensatedWeights(
  graph: ChannelGraph,
  cuts: readonly Cut[],
  feeds: Feeds,
  scratch: ScratchTensors,
): Promise<Compensated> {
  const wanted = behind(graph, cuts);
  const places = new Map<string, { readonly info: TensorInfo; readonly at: number }>();
  const shifts: Shift[] = [];
  const left = new Set(wanted.map(({ consumer }) => consumer.weight.value));
  const weights = (): Map<string, TensorSource> =>
    new Map([...places].map(([name, { info, at }]) => [name, scratch.tensor(info, at)]));
  // Products that take the same value know nothing of each other.
  for (const value of new Set(wanted.map(({ consumer }) => consumer.node.input[0] ?? ''))) {
    const own = wanted.filter(({ consumer }) => consumer.node.input[0] === value);
    await feeds.each(
      value,
      own,
      { weights: weights(), shifts, cuts },
      async ({ consumer, kept }, gram, now) => {
        const { weight, node, outputs } = consumer;
        const tensor = graph.tensor(weight.value);
        const fed = await fedOf(graph, consumer, gram);
        if (!tensor || !fed) return;
        const place = biasPlace(graph, node, outputs);
        const found = reconstructed(fed, kept, place !== undefined, now);
        if (!found?.matrix.every(Number.isFinite) || !found.bias.every(Number.isFinite)) return;
        left.delete(weight.value);
        if (place !== undefined) shifts.push(shiftOf(graph, consumer, cuts, place, found.bias));
        const next = withNumbers(tensor, fromMatrix(consumer, found.matrix));
        places.set(weight.value, { info: tensor.info, at: scratch.put(await readTensor(next)) });
      },
    );
  }
  return { weights: weights(), shifts, left: [...left] };
}

async function fedOf(graph: ChannelGraph, consumer: Consumer, gram: Float64Array): Promise<Fed | undefined> {
  const tensor = graph.tensor(consumer.weight.value);
  if (!tensor) return undefined;
  const { outputs, weight, places } = consumer;
  return { matrix: await matrixOf(consumer, tensor), outputs, columns: weight.units.length * places, gram };
}

const shiftOf = (
  graph: ChannelGraph,
  consumer: Consumer,
  cuts: readonly Cut[],
  place: Shift['place'],
  values: Float64Array,
): Shift => ({
  ...{ node: consumer.node, place, values, dtype: graph.tensor(consumer.weight.value)?.info.dtype ?? 'f32' },
  kept: keptOutputs(graph, consumer, cuts),
});

/** What columns that go add to the outputs in the mean. */
function meansOf({ matrix, outputs, columns, gram }: Fed, kept: readonly number[]): Float64Array {
  const size = columns + 1;
  const rows = gram[size * size - 1] ?? 1;
  const bias = new Float64Array(outputs);
  const stays = new Set(kept);
  for (let c = 0; c < columns; c++) {
    if (stays.has(c)) continue;
    const mean = (gram[c * size + columns] ?? 0) / rows;
    for (let o = 0; o < outputs; o++) bias[o] = (bias[o] ?? 0) + mean * (matrix[o * columns + c] ?? 0);
  }
  return bias;
}

/** Outputs of a product that stay themselves. */
export function keptOutputs(
  graph: ChannelGraph,
  { node, outputs }: Pick<Consumer, 'node' | 'outputs'>,
  cuts: readonly Cut[],
): readonly number[] {
  const axis = channelAxis(node, graph);
  for (const { group, kept } of cuts) {
    const member = group.values.find((one) => one.value === node.output[0] && one.axis === axis);
    if (member) return keptPositions(member, kept);
  }
  return Array.from({ length: outputs }, (_, i) => i);
}
