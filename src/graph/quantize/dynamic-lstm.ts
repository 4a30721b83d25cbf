import type { EditNode } from '../edit.js';
import { type DynamicGraph, intOf, labelOf, type NodeList } from './dynamic-graph.js';
import type { StoredWeight } from './dynamic-weights.js';

const DOMAIN = 'com.microsoft';
/** X, W, R, B, sequence_lens, initial_h, initial_c, P; scales and zero points come after them. */
const INPUTS = 8;

/**
 * LSTM: com.microsoft DynamicQuantizeLSTM, which quantizes its activations itself in every step. There is no way to
 * say it in standard operators. Its weights lie with their last two axes exchanged and are signed, whatever is asked.
 */
export async function dynamicLstm(graph: DynamicGraph, node: EditNode): Promise<NodeList | undefined> {
  const [x = '', w = '', r = '', ...rest] = node.input;
  const weights = [w, r].map((name) => graph.weights.wanted(name));
  if (weights.some((tensor) => tensor?.info.shape.length !== 3)) return undefined;
  if (intOf(node, 'layout', 0) !== 0) {
    graph.remarks.left(labelOf(node), 'are LSTMs with the batch first');
    return undefined;
  }
  const input = await storedGates(graph, w);
  const recurrent = input && (await storedGates(graph, r));
  if (!input || !recurrent) return undefined;
  graph.edit.importDomain(DOMAIN, 1);
  const given = [x, input.integers, recurrent.integers, ...rest];
  const absent = Array<string>(INPUTS - given.length).fill('');
  const parameters = [input.scale, input.zeroPoint, recurrent.scale, recurrent.zeroPoint];
  const { attribute } = node;
  const made = graph.edit.make({
    op: 'DynamicQuantizeLSTM',
    domain: DOMAIN,
    inputs: [...given, ...absent, ...parameters],
    outputs: node.output,
  });
  return [{ ...made, attribute: attribute.filter(({ name }) => name !== 'layout') }];
}

/** [directions, gates, inputs], with a scale for each direction or each of its gates' rows. */
async function storedGates(graph: DynamicGraph, name: string): Promise<StoredWeight | undefined> {
  const [directions = 1, gates = 1, inputs = 1] = graph.edit.tensor(name)?.info.shape ?? [];
  const perChannel = graph.settings.perChannel === true;
  return graph.weights.store(name, {
    dtype: 'i8',
    symmetric: true,
    axis: 0,
    ...(perChannel ? { shape: [directions * gates, inputs], scales: [directions, gates] } : {}),
    turned: true,
  });
}
