import { biasPlace, type Shift } from '../../../graph/channels/biases.js';
import { consumersOf } from '../../../graph/channels/consumers.js';
import type { Cut } from '../../../graph/channels/cut.js';
import type { ChannelGraph } from '../../../graph/channels/graph.js';
import { matrixOf } from '../../../graph/channels/matrix.js';
import { meansByNorm } from '../../../graph/channels/norm-means.js';
import { keptOutputs } from './compensate.js';

/** Without samples: the mean of channels that go, as norms in front know it, goes into the biases of the next layers. */
export async function shiftsByNorms(graph: ChannelGraph, cuts: readonly Cut[]): Promise<readonly Shift[]> {
  const shifts: Shift[] = [];
  for (const { group, kept } of cuts) {
    if (kept.size === group.units) continue;
    for (const consumer of consumersOf(graph, group)) {
      const { node, weight, outputs, places } = consumer;
      const tensor = graph.tensor(weight.value);
      const place = biasPlace(graph, node, outputs);
      const means = await meansByNorm(graph, group, consumer);
      if (!tensor || !place || !means) continue;
      const matrix = await matrixOf(consumer, tensor);
      const columns = weight.units.length * places;
      const values = Float64Array.from({ length: outputs }, (_, o) => {
        let sum = 0;
        for (let c = 0; c < columns; c++) {
          const unit = weight.units[Math.floor(c / places)] ?? -1;
          if (!kept.has(unit)) sum += (matrix[o * columns + c] ?? 0) * (means[unit] ?? 0);
        }
        return sum;
      });
      if (values.every(Number.isFinite))
        shifts.push({
          node,
          place,
          values,
          dtype: tensor.info.dtype,
          kept: keptOutputs(graph, consumer, cuts),
        });
    }
  }
  return shifts;
}
