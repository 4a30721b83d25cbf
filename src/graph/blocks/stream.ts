import type { EditNode, GraphEdit } from '../edit.js';

/** A value that everything behind a place of the graph depends on, and the node that makes it. */
export interface Waypoint {
  readonly value: string;
  /** Place of its node among the nodes; −1 for an input of the graph. */
  readonly at: number;
}

/**
 * The values that every way from `start` to the outputs runs through, in order: cuts of the part of the graph that depends
 * on `start`. Nodes are in topological order, so a value is one where nothing made before it is taken after it.
 */
export function waypoints(
  nodes: readonly EditNode[],
  outputs: ReadonlySet<string>,
  start: Waypoint,
): readonly Waypoint[] {
  const reached = new Map<string, number>([[start.value, start.at]]);
  const reachedNodes: number[] = [];
  nodes.forEach((node, at) => {
    // Sizes are the same whichever way one takes.
    if (at <= start.at || node.opType === 'Shape' || !node.input.some((name) => reached.has(name))) return;
    reachedNodes.push(at);
    for (const name of node.output) if (name !== '') reached.set(name, at);
  });
  // What no output needs (a mask that is handed on, say) closes no way.
  const needed = new Set<string>(outputs);
  const useful: number[] = [];
  for (const at of reachedNodes.reverse()) {
    const node = nodes[at];
    if (!node?.output.some((name) => needed.has(name))) continue;
    useful.push(at);
    for (const name of node.input) needed.add(name);
  }
  useful.reverse();
  /** Where each value is taken for the last time; outputs are taken at the end. */
  const last = new Map<string, number>();
  for (const at of useful)
    for (const name of nodes[at]?.input ?? []) if (reached.has(name)) last.set(name, at);
  for (const name of outputs) if (reached.has(name)) last.set(name, nodes.length);
  const found: Waypoint[] = [start];
  let open = last.get(start.value) ?? start.at;
  for (const at of useful) {
    const made = (nodes[at]?.output ?? []).filter((name) => last.has(name));
    const [value, ...others] = made;
    if (open <= at && value !== undefined && others.length === 0) found.push({ value, at });
    for (const name of made) open = Math.max(open, last.get(name) ?? at);
  }
  return found;
}

export interface ShapesOf {
  shape(value: string): readonly number[] | undefined;
}

/** Starts that are looked at, the first ones of the graph. */
const MOST_STARTS = 512;

/**
 * Chains of waypoints of one shape: where one of them is the residual stream of a transformer, others begin inside its
 * blocks.
 */
export function streams(edit: GraphEdit, shapes: ShapesOf): readonly (readonly Waypoint[])[] {
  const { nodes, outputNames } = edit;
  const constant = new Set<string>();
  const starts: Waypoint[] = [];
  nodes.forEach((node, at) => {
    if (node.input.every((name) => name === '' || edit.isConstant(name) || constant.has(name)))
      for (const name of node.output) constant.add(name);
    else
      for (const value of node.output) {
        const shape = shapes.shape(value);
        if (shape && shape.length >= 2 && (shape.at(-1) ?? 0) > 1) starts.push({ value, at });
      }
  });
  const seen = new Set<string>();
  return starts.slice(0, MOST_STARTS).flatMap((start) => {
    // A chain from one of its waypoints is the end of the same chain.
    if (seen.has(start.value)) return [];
    const size = shapes.shape(start.value)?.join();
    const chain = waypoints(nodes, outputNames, start).filter(
      ({ value }) => shapes.shape(value)?.join() === size,
    );
    for (const { value } of chain) seen.add(value);
    return chain.length > 2 ? [chain] : [];
  });
}
