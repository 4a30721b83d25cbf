import type { WorkGraph } from './work-graph.js';

/**
 * What every pass must leave behind: values that are made before they are taken, by one node each, and outputs that
 * something makes. Throws naming the pass: that is a mistake of ours, told before anything is written.
 */
export function checkWork(graph: WorkGraph, pass: string): void {
  const known = new Set<string>([...graph.inputNames, ...graph.tensors.keys()]);
  const broken = (what: string): Error => new Error(`pass ${pass} broke the graph: ${what}`);
  const visible = (name: string): boolean => known.has(name) || graph.isOuter(name);
  for (const node of graph.nodes) {
    const label = `${node.opType ?? ''} ${node.name ?? ''}`;
    for (const name of [...node.input, ...graph.capturedBy(node)])
      if (name !== '' && !visible(name)) throw broken(`${label} takes ${name}, which nothing made before`);
    for (const name of node.output) {
      if (name === '') continue;
      if (known.has(name)) throw broken(`${label} makes ${name} a second time`);
      known.add(name);
    }
  }
  for (const name of graph.outputNames) if (!visible(name)) throw broken(`nothing makes the output ${name}`);
}
