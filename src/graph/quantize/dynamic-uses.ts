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

/** Operators that have no counterpart for integers, and the rank of their weights: biases have less. */
const FLOAT_ONLY: ReadonlyMap<string, number> = new Map([
  ['ConvTranspose', 3],
  ['Einsum', 2],
  ['GRU', 3],
  ['RNN', 3],
  ['Attention', 2],
  ['FusedConv', 3],
  ['FusedGemm', 2],
  ['FusedMatMul', 2],
]);
const IN_SUBGRAPHS = new Set([...FLOAT_ONLY.keys(), 'Conv', 'Gemm', 'LSTM', 'MatMul']);

/** Says which weights stay since the pass does not reach them or knows no operator for them. */
export function remarkLeft(graph: DynamicGraph, gone: (node: EditNode) => boolean): void {
  const { edit, remarks, weights } = graph;
  const isWeight = (name: string, rank: number): boolean =>
    (edit.tensor(name)?.info.shape.length ?? 0) >= rank;
  for (const node of edit.nodes) {
    const rank = FLOAT_ONLY.get(node.opType ?? '');
    if (rank === undefined || gone(node)) continue;
    for (const name of node.input)
      if (isWeight(name, rank))
        weights.wanted(name, `belong to ${node.opType}, which has no form for integers`);
  }
  for (const { graph: inner, prefix } of subgraphs(edit.nodes, '')) {
    const own = new Set(inner.initializer.map(({ name }) => name ?? ''));
    for (const node of inner.node.filter(({ opType }) => IN_SUBGRAPHS.has(opType ?? '')))
      for (const name of node.input)
        if (own.has(name)) remarks.left(`${prefix}${name}`, 'are in sub-graphs');
        else if (isWeight(name, 2)) weights.wanted(name, 'are taken by sub-graphs');
  }
}
