import type { EditNode } from '../edit.js';
import type { DynamicGraph, NodeList } from './dynamic-graph.js';

/**
 * Gather from a table of floats (an embedding): rows of integers are gathered, and only those turned back. This only
 * saves space, so it is left where somebody needs the floats anyway. Unsigned integers, whose zero point may be
 * anywhere, hold more of a table than signed ones around zero, and no product is formed from them.
 */
export async function dynamicGather(
  graph: DynamicGraph,
  node: EditNode,
  floats: ReadonlySet<string>,
): Promise<NodeList | undefined> {
  const [table = '', indices = ''] = node.input;
  const [output = ''] = node.output;
  const tensor = graph.weights.wanted(table);
  if (!tensor || tensor.info.shape.length < 2) return undefined;
  if (floats.has(table)) {
    graph.remarks.left(table, 'are needed as floats by other nodes');
    return undefined;
  }
  const stored =
    graph.weights.plain(table) ??
    (await graph.weights.store(table, { dtype: 'u8', symmetric: graph.settings.symmetric ?? false }));
  if (!stored) return undefined;
  const rows = graph.edit.fresh(`${output}_quantized`);
  const gather = { ...node, input: [stored.integers, indices], output: [rows] };
  const nodes: NodeList = [gather];
  graph.step(nodes, 'DequantizeLinear', [rows, stored.scale, stored.zeroPoint], output);
  return nodes;
}
