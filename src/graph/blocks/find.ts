import type { EditNode, GraphEdit } from '../edit.js';
import { blockNumber } from './block-names.js';
import { type ShapesOf, streams, type Waypoint } from './stream.js';

/** A part of a graph that takes a value and gives one of the same shape, as its neighbours do. */
export interface Block {
  /** As names have it, else counted from 0. */
  readonly number: number;
  readonly before: string;
  readonly behind: string;
  /** Its nodes, and weights that only they take. */
  readonly nodes: readonly EditNode[];
  readonly weights: readonly string[];
}

/** Repetitions are looked for with so many waypoints at most. */
const MOST_PERIOD = 16;

/** The repeated blocks of a graph in order; none where nothing is repeated. */
export function repeatedBlocks(edit: GraphEdit, shapes: ShapesOf): readonly Block[] {
  const found = streams(edit, shapes).flatMap((stream) => {
    const segments = stream.slice(1).map((end, i) => segmentOf(edit, stream[i] as Waypoint, end));
    const repetition = bestRepetition(edit, segments);
    return repetition ? [{ stream, segments, ...repetition }] : [];
  });
  const best = found.reduce((a, b) => (a && compare(a.rank, b.rank) >= 0 ? a : b), found[0]);
  if (!best) return [];
  const { stream, segments, start, period, count } = best;
  const blocks = Array.from({ length: count }, (_, k) => {
    const first = start + k * period;
    const nodes = segments.slice(first, first + period).flat();
    return {
      number: k,
      before: stream[first]?.value ?? '',
      behind: stream[first + period]?.value ?? '',
      nodes,
      weights: weightsOf(edit, nodes),
    };
  });
  const named = blocks.map((block) => namedNumber(edit, block.nodes));
  const usable = named.every((number, k) => number !== undefined && number > (named[k - 1] ?? -1));
  return usable ? blocks.map((block, k) => ({ ...block, number: named[k] ?? k })) : blocks;
}

/** What is computed from one waypoint to the next; masks and sizes made on the way do not count. */
function segmentOf(edit: GraphEdit, from: Waypoint, to: Waypoint): readonly EditNode[] {
  const reached = new Set([from.value]);
  return edit.nodes.slice(from.at + 1, to.at + 1).filter((node) => {
    if (node.opType === 'Shape' || !node.input.some((name) => reached.has(name))) return false;
    for (const name of node.output) reached.add(name);
    return true;
  });
}

/** What a part computes: its operators with the shapes of their weights. Names do not count. */
function signature(edit: GraphEdit, nodes: readonly EditNode[]): string {
  const words = nodes.flatMap((node) => {
    const weights = node.input.flatMap((name) => {
      const shape = edit.tensor(name)?.info.shape;
      return shape && shape.length > 0 ? [`[${shape.join()}]`] : [];
    });
    return weights.length > 0 ||
      node.opType === 'MatMul' ||
      node.opType === 'Softmax' ||
      node.opType === 'Add'
      ? [`${node.opType ?? ''}${weights.sort().join('')}`]
      : [];
  });
  return words.sort().join(' ');
}

interface Repetition {
  readonly start: number;
  readonly period: number;
  readonly count: number;
  /** Of two the one with the larger numbers, the first ones first. */
  readonly rank: readonly number[];
}

/** The repetition that covers most nodes; of equals the one whose names agree, then the shortest period, the first start. */
function bestRepetition(edit: GraphEdit, segments: readonly (readonly EditNode[])[]): Repetition | undefined {
  const signatures = segments.map((nodes) => signature(edit, nodes));
  const weighty = (from: number, period: number): boolean =>
    segments
      .slice(from, from + period)
      .some((nodes) =>
        weightsOf(edit, nodes).some((name) => (edit.tensor(name)?.info.shape.length ?? 0) >= 2),
      );
  let best: Repetition | undefined;
  for (let period = 1; period <= Math.min(MOST_PERIOD, segments.length / 2); period++)
    for (let start = 0; start + 2 * period <= segments.length; start++) {
      let count = 1;
      while (
        start + (count + 1) * period <= segments.length &&
        signatures
          .slice(start, start + period)
          .every((one, i) => one === signatures[start + count * period + i])
      )
        count++;
      if (count < 2 || !weighty(start, period)) continue;
      const nodes = (k: number): readonly EditNode[] =>
        segments.slice(start + k * period, start + (k + 1) * period).flat();
      const agreeing = Array.from({ length: count }, (_, k) => namesAgree(edit, nodes(k))).filter(
        Boolean,
      ).length;
      const covered = segments.slice(start, start + count * period).flat().length;
      const rank = [covered, agreeing, -period, -start];
      if (!best || compare(rank, best.rank) > 0) best = { start, period, count, rank };
    }
  return best;
}

function compare(a: readonly number[], b: readonly number[]): number {
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return (a[i] ?? 0) - (b[i] ?? 0);
  return 0;
}

const numbersOf = (edit: GraphEdit, nodes: readonly EditNode[]): readonly number[] =>
  nodes.flatMap(({ name = '', input }) => {
    const weights = input.filter((one) => (edit.tensor(one)?.info.shape.length ?? 0) > 0);
    return [name, ...weights].flatMap((one) => blockNumber(one) ?? []);
  });

const namesAgree = (edit: GraphEdit, nodes: readonly EditNode[]): boolean =>
  new Set(numbersOf(edit, nodes)).size === 1;

/** The number that most names in a block have. */
function namedNumber(edit: GraphEdit, nodes: readonly EditNode[]): number | undefined {
  const counts = new Map<number, number>();
  for (const number of numbersOf(edit, nodes)) counts.set(number, (counts.get(number) ?? 0) + 1);
  return [...counts].sort((a, b) => b[1] - a[1] || a[0] - b[0])[0]?.[0];
}

function weightsOf(edit: GraphEdit, nodes: readonly EditNode[]): readonly string[] {
  const own = new Set(nodes);
  const takers = edit.consumers();
  const names = nodes.flatMap(({ input }) => input.filter((name) => edit.isConstant(name)));
  return [...new Set(names)].filter((name) => takers.get(name)?.every((node) => own.has(node)));
}
