import { subgraphs } from '../../formats/onnx/graphs.js';
import type { EditNode } from '../edit.js';
import type { DynamicGraph } from './dynamic-graph.js';

/** Values that somebody takes besides nodes that are `gone`: other nodes, those of sub-graphs, outputs. */
export function otherUses(graph: DynamicGraph, gone: (node: EditNode) => boolean): ReadonlySet<string> {
  const uses = new Set(graph.edit.outputNames);
  for (const node of graph.edit.nodes) if (!gone(node)) for (const name of node.input) uses.add(name);
  for (const { graph: inner } of subgraphs(graph.edit.nodes, '')) {
    for (const { input } of inner.node) for (const name of input) uses.add(name);
    for (const { name } of inner.output) uses.add(name ?? '');
  }
  return uses;
}

/** Operators whose weights are worth a word where they stay. */
const WITH_WEIGHTS = new Set(['Conv', 'ConvTranspose', 'Einsum', 'GRU', 'Gemm', 'LSTM', 'MatMul', 'RNN']);

/** Says which weights stay since the pass does not reach them or has no integer operator for them. */
export function remarkLeft(graph: DynamicGraph, gone: (node: EditNode) => boolean): void {
  const { edit, remarks, weights } = graph;
  for (const node of edit.nodes) {
    const other =
      (node.domain ?? '') !== '' || ['ConvTranspose', 'Einsum', 'GRU', 'RNN'].includes(node.opType ?? '');
    if (gone(node) || !other) continue;
    for (const name of node.input)
      if ((edit.tensor(name)?.info.shape.length ?? 0) > 1)
        weights.wanted(name, `belong to ${node.opType ?? 'nodes'}, for which no integers are known`);
  }
  for (const { graph: inner, prefix } of subgraphs(edit.nodes, '')) {
    const own = new Set(inner.initializer.map(({ name }) => name ?? ''));
    for (const node of inner.node.filter(({ opType }) => WITH_WEIGHTS.has(opType ?? '')))
      for (const name of node.input)
        if (own.has(name)) remarks.left(`${prefix}${name}`, 'are in sub-graphs');
        else if ((edit.tensor(name)?.info.shape.length ?? 0) > 1)
          weights.wanted(name, 'are taken by sub-graphs');
  }
}
