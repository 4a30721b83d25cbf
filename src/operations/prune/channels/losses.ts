import { biasPlace } from '../../../graph/channels/biases.js';
import { consumersOf } from '../../../graph/channels/consumers.js';
import type { ChannelGraph } from '../../../graph/channels/graph.js';
import { matrixOf } from '../../../graph/channels/matrix.js';
import { residualVariances } from '../../../kernels/reconstruct.js';
import type { Grams } from './grams.js';
import type { Ranked } from './ranked.js';

/**
 * By group, then by how many of its units stay (0 … all): what that costs, in shares of what the next layers compute. It is
 * what least squares leave of it, which grows faster the fewer stay to make up for the others; where they cannot be
 * known, units that go count as they are weighed.
 */
export async function lossesOf(
  graph: ChannelGraph,
  groups: readonly Ranked[],
  grams: Grams,
): Promise<readonly Float64Array[]> {
  const units = await residuals(graph, groups, grams);
  return groups.map((one) => {
    const own = units.get(one) ?? Float64Array.from(one.order, (unit) => one.importance[unit] ?? 0);
    const sums = new Float64Array(own.length + 1);
    for (let k = own.length - 1; k >= 0; k--) sums[k] = (sums[k + 1] ?? 0) + (own[k] ?? 0);
    return sums;
  });
}

/** By group, for every unit in order: what goes on top of those behind it add. */
async function residuals(
  graph: ChannelGraph,
  groups: readonly Ranked[],
  grams: Grams,
): Promise<Map<Ranked, Float64Array>> {
  const wanted = groups.flatMap((ranked) =>
    consumersOf(graph, ranked.group).map((consumer) => ({ ranked, consumer })),
  );
  const found = new Map<Ranked, Float64Array>();
  await grams.each(
    wanted.map(({ consumer }) => consumer.feeds),
    async (key, gram) => {
      for (const { ranked, consumer } of wanted) {
        const { weight, node, outputs, places } = consumer;
        const tensor = graph.tensor(weight.value);
        if (consumer.feeds.key !== key || !tensor) continue;
        const columns = weight.units.length * places;
        const rank = new Map(ranked.order.map((unit, at) => [unit, at]));
        const at = (column: number): number => rank.get(weight.units[Math.floor(column / places)] ?? -1) ?? 0;
        // The least important ones go first.
        const order = Array.from({ length: columns }, (_, c) => c).sort((a, b) => at(b) - at(a) || a - b);
        const fed = { matrix: await matrixOf(consumer, tensor), outputs, columns, gram };
        const left = residualVariances(fed, order, biasPlace(graph, node, outputs) !== undefined);
        const total = left?.reduce((sum, x) => sum + x, 0) ?? 0;
        if (!left || !(total > 0)) continue;
        const sums = found.get(ranked) ?? new Float64Array(ranked.order.length);
        order.forEach((column, i) => {
          sums[at(column)] = (sums[at(column)] ?? 0) + (left[i] ?? 0) / total;
        });
        found.set(ranked, sums);
      }
    },
  );
  return found;
}
