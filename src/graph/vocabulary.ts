import { type Model, tensorMap } from '../core/model.js';
import type { NodeProto } from '../formats/onnx/schema.js';
import { protoOf } from '../formats/onnx/summary.js';

/** Operators that hand on ids as they are. */
const PASSING = new Set([
  'Cast',
  'Identity',
  'Reshape',
  'Squeeze',
  'Unsqueeze',
  'Flatten',
  'Transpose',
  'Clip',
]);
/** com.microsoft.EmbedLayerNormalization: ids and the tables that they index. */
const FUSED_TABLES = [
  [0, 2],
  [1, 4],
] as const;

/**
 * For every graph input that indexes a table of weights (an embedding): how many rows the smallest such table has.
 * Feeds made up for it stay below.
 */
export function vocabularyOf(model: Model): ReadonlyMap<string, number> {
  const sizes = new Map<string, number>();
  const graph = model.graph && protoOf(model.graph).graph;
  if (!model.graph || !graph) return sizes;
  const weights = tensorMap(model);
  const inputs = new Set(model.graph.inputs.map((input) => input.name));
  const makers = new Map<string, NodeProto>();
  for (const node of graph.node) for (const output of node.output) makers.set(output, node);

  const origin = (name: string | undefined): string => {
    let at = name ?? '';
    // Bounded: a broken graph may run in circles.
    for (let step = 0; step < 64; step++) {
      const node = makers.get(at);
      if (!node || !PASSING.has(node.opType ?? '')) return at;
      at = node.input[0] ?? '';
    }
    return at;
  };
  const note = (ids: string | undefined, table: string | undefined, axis: number): void => {
    const input = origin(ids);
    const shape = weights.get(origin(table))?.info.shape;
    const rows = shape?.at(axis);
    if (rows !== undefined && inputs.has(input)) sizes.set(input, Math.min(rows, sizes.get(input) ?? rows));
  };
  for (const node of graph.node) {
    if (node.opType === 'Gather') {
      const axis = node.attribute.find(({ name }) => name === 'axis')?.i ?? 0n;
      note(node.input[1], node.input[0], Number(axis));
    }
    if (node.opType === 'EmbedLayerNormalization')
      for (const [ids, table] of FUSED_TABLES) note(node.input[ids], node.input[table], 0);
  }
  return sizes;
}
