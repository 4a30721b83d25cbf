import { elementCount } from '../../../core/dtype.js';
import { consumersOf } from '../../../graph/channels/consumers.js';
import type { ChannelGraph } from '../../../graph/channels/graph.js';
import type { ChannelGroup, Member } from '../../../graph/channels/groups.js';
import { matrixOf, numbersOf } from '../../../graph/channels/matrix.js';
import { outputVariances } from '../../../kernels/reconstruct.js';
import type { Importance } from '../names.js';
import type { Grams } from './grams.js';

/** How much each unit of a group matters: shares of the group that add up to the number of its units. */
export interface Weighed {
  readonly group: ChannelGroup;
  readonly importance: Float64Array;
  readonly by: Importance;
}

/**
 * Importance of the units of all groups. By size: the mean, over all weights of a group, of what share a unit has in the
 * weight (|w|, or w²). By activation: what share of the variance of the next layers' outputs comes from it.
 */
export async function weighed(
  graph: ChannelGraph,
  groups: readonly ChannelGroup[],
  by: Importance,
  grams: Grams | undefined,
): Promise<readonly Weighed[]> {
  const seen =
    by === 'activation' && grams
      ? await byActivation(graph, groups, grams)
      : new Map<ChannelGroup, Float64Array>();
  const found: Weighed[] = [];
  for (const group of groups) {
    const importance = seen.get(group);
    if (importance) found.push({ group, importance, by });
    else {
      const power = by === 'l2' ? 2 : 1;
      found.push({ group, importance: await bySize(graph, group, power), by: power === 2 ? 'l2' : 'l1' });
    }
  }
  return found;
}

async function byActivation(
  graph: ChannelGraph,
  groups: readonly ChannelGroup[],
  grams: Grams,
): Promise<Map<ChannelGroup, Float64Array>> {
  const consumers = groups.flatMap((group) => consumersOf(graph, group).map((one) => ({ ...one, group })));
  const sums = new Map<ChannelGroup, Float64Array>();
  await grams.each(
    consumers.map(({ feeds }) => feeds),
    async (key, gram) => {
      for (const consumer of consumers) {
        const { group, weight, places, outputs } = consumer;
        const tensor = graph.tensor(weight.value);
        if (consumer.feeds.key !== key || !tensor) continue;
        const columns = weight.units.length * places;
        const units = Int32Array.from(
          { length: columns },
          (_, c) => weight.units[Math.floor(c / places)] ?? -1,
        );
        const matrix = await matrixOf(consumer, tensor);
        addShares(sums, group, outputVariances({ matrix, outputs, columns, gram }, units, group.units));
      }
    },
  );
  return sums;
}

/** Sizes of the weights behind each other; those of one dimension (biases, norms) do not count. */
async function bySize(graph: ChannelGraph, group: ChannelGroup, power: 1 | 2): Promise<Float64Array> {
  const sums = new Map<ChannelGroup, Float64Array>([[group, new Float64Array(group.units)]]);
  for (const member of group.weights) {
    const tensor = graph.tensor(member.value);
    if (!tensor || tensor.info.shape.length < 2) continue;
    addShares(sums, group, sizesOf(await numbersOf(tensor), tensor.info.shape, member, group.units, power));
  }
  return sums.get(group) ?? new Float64Array(group.units);
}

function sizesOf(
  values: Float64Array,
  shape: readonly number[],
  { axis, units }: Member,
  count: number,
  power: 1 | 2,
): Float64Array {
  const inner = elementCount(shape.slice(axis + 1));
  const length = shape[axis] ?? 1;
  const sums = new Float64Array(count);
  for (let i = 0; i < values.length; i++) {
    const size = Math.abs(values[i] ?? 0);
    const unit = units[Math.floor(i / inner) % length] ?? -1;
    sums[unit] = (sums[unit] ?? 0) + (power === 2 ? size * size : size);
  }
  return sums;
}

/** Shares of what one weight has: weights of any size count the same. */
function addShares(sums: Map<ChannelGroup, Float64Array>, group: ChannelGroup, own: Float64Array): void {
  const total = own.reduce((sum, x) => sum + x, 0);
  const before = sums.get(group) ?? new Float64Array(group.units);
  sums.set(group, total > 0 ? before.map((x, u) => x + (own[u] ?? 0) / total) : before);
}
