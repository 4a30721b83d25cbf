import type { Model } from '../../core/model.js';
import type { EditNode, GraphEdit } from '../edit.js';
import type { Block } from './find.js';

/**
 * Leaves blocks out: what took the value behind one takes the one before it. Nodes that nothing needs any more go with
 * them; what a block makes for others beside (a table of positions) stays.
 */
export function dropBlocks(edit: GraphEdit, blocks: readonly Block[]): Model {
  const joined = new Map(blocks.map(({ before, behind }) => [behind, before]));
  const source = (name: string): string => {
    let at = name;
    for (let next = joined.get(at); next !== undefined; next = joined.get(at)) at = next;
    return at;
  };
  const outputs = edit.outputNames;
  const captured = edit.captured;
  edit.rewrite((node) => {
    const kept = { ...node, input: node.input.map(source) };
    const made = node.output.filter((name) => joined.has(name) && (outputs.has(name) || captured.has(name)));
    if (made.length === 0) return [kept];
    // An output, or what a sub-graph takes, keeps its name.
    return made.map((name) => edit.make({ op: 'Identity', inputs: [source(name)], outputs: [name] }));
  });
  const needed = new Set([...outputs, ...captured]);
  const alive = new Set<EditNode>();
  for (const node of [...edit.nodes].reverse()) {
    if (!node.output.some((name) => needed.has(name))) continue;
    alive.add(node);
    for (const name of node.input) needed.add(name);
  }
  edit.rewrite((node) => (alive.has(node) ? undefined : []));
  return edit.finish();
}
