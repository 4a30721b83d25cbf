import { readTensor, type TensorInfo, type TensorSource } from '../../../core/tensor.js';
import { biasPlace, type Shift } from '../../../graph/channels/biases.js';
import { type Consumer, consumersOf } from '../../../graph/channels/consumers.js';
import { type Cut, keptPositions } from '../../../graph/channels/cut.js';
import type { ChannelGraph } from '../../../graph/channels/graph.js';
import { fromMatrix, matrixOf, withNumbers } from '../../../graph/channels/matrix.js';
import { channelAxis } from '../../../graph/channels/rules/products.js';
import type { ScratchTensors } from '../../../kernels/quantize/scratch-tensors.js';
import { type Fed, reconstructed } from '../../../kernels/reconstruct.js';
import type { Compensation } from '../names.js';
import type { Grams } from './grams.js';

/** What makes up for channels that go. */
export interface Compensated {
  /** Weights as large as before, zero where channels go. */
  readonly weights: ReadonlyMap<string, TensorSource>;
  readonly shifts: readonly Shift[];
  /** Weights behind cut channels for which nothing could be done. */
  readonly left: readonly string[];
}

/**
 * Makes up for channels that go in the layers that would have summed over them, one layer by itself: over the samples,
 * with what the whole model feeds it. `weights`: least squares; `bias`: the mean of what goes.
 */
export async function compensated(
  graph: ChannelGraph,
  cuts: readonly Cut[],
  how: Exclude<Compensation, 'none'>,
  grams: Grams,
  scratch: ScratchTensors,
): Promise<Compensated> {
  const wanted = cuts.flatMap((cut) =>
    cut.kept.size < cut.group.units
      ? consumersOf(graph, cut.group).map((consumer) => ({ consumer, kept: cut.kept }))
      : [],
  );
  const places = new Map<string, { readonly info: TensorInfo; readonly at: number }>();
  const shifts: Shift[] = [];
  const left = new Set(wanted.map(({ consumer }) => consumer.weight.value));
  await grams.each(
    wanted.map(({ consumer }) => consumer.feeds),
    async (key, gram) => {
      for (const { consumer, kept } of wanted) {
        const { weight, node, outputs, places: each } = consumer;
        const tensor = graph.tensor(weight.value);
        if (consumer.feeds.key !== key || !tensor) continue;
        const place = biasPlace(graph, node, outputs);
        const fed = {
          matrix: await matrixOf(consumer, tensor),
          outputs,
          columns: weight.units.length * each,
          gram,
        };
        const stays = (column: number): boolean => kept.has(weight.units[Math.floor(column / each)] ?? -1);
        const found =
          how === 'weights' ? reconstructed(fed, stays, place !== undefined) : meansOf(fed, stays);
        if (!found?.matrix.every(Number.isFinite) || !found.bias.every(Number.isFinite)) continue;
        left.delete(weight.value);
        const { dtype } = tensor.info;
        if (place !== undefined)
          shifts.push({ node, place, values: found.bias, dtype, kept: keptOutputs(graph, consumer, cuts) });
        if (how === 'bias') continue;
        const next = withNumbers(tensor, fromMatrix(consumer, found.matrix));
        places.set(weight.value, { info: tensor.info, at: scratch.put(await readTensor(next)) });
      }
    },
  );
  const weights = new Map([...places].map(([name, { info, at }]) => [name, scratch.tensor(info, at)]));
  return { weights, shifts, left: [...left] };
}

/** What columns that go add to the outputs in the mean. */
function meansOf(
  { matrix, outputs, columns, gram }: Fed,
  stays: (column: number) => boolean,
): Pick<Fed, 'matrix'> & {
  readonly bias: Float64Array;
} {
  const size = columns + 1;
  const rows = gram[size * size - 1] ?? 1;
  const bias = new Float64Array(outputs);
  for (let c = 0; c < columns; c++) {
    if (stays(c)) continue;
    const mean = (gram[c * size + columns] ?? 0) / rows;
    for (let o = 0; o < outputs; o++) bias[o] = (bias[o] ?? 0) + mean * (matrix[o * columns + c] ?? 0);
  }
  return { matrix, bias };
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
