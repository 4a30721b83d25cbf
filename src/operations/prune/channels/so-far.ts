import type { Model } from '../../../core/model.js';
import type { TensorSource } from '../../../core/tensor.js';
import { type Shift, shiftBiases } from '../../../graph/channels/biases.js';
import { type Cut, cutChannels } from '../../../graph/channels/cut.js';
import { ChannelGraph } from '../../../graph/channels/graph.js';
import { GraphEdit } from '../../../graph/edit.js';

/** What has become of a model so far. */
export interface SoFar {
  /** Weights that make up for channels that go, as large as before. */
  readonly weights: ReadonlyMap<string, TensorSource>;
  readonly shifts: readonly Shift[];
  readonly cuts: readonly Cut[];
}

/** The model without its channels; the one that is given stays as it is. */
export async function cutSoFar(
  model: Model,
  shapes: ReadonlyMap<string, readonly number[]>,
  { weights, shifts, cuts }: SoFar,
): Promise<Model> {
  const graph = await ChannelGraph.open(await GraphEdit.open(model), shapes);
  await shiftBiases(graph, shifts);
  return cutChannels(graph, cuts, weights);
}
