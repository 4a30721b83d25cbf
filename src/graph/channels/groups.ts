import { elementBytes, isFloat } from '../../core/dtype.js';
import type { EditNode } from '../edit.js';
import type { ChannelGraph } from './graph.js';
import { keyOf, Positions } from './positions.js';
import { describe, type Entry, type Surroundings } from './rule.js';
import { ruleFor } from './rules/index.js';
import { channelAxis } from './rules/products.js';
import { sizeUse } from './size-uses.js';

/** An axis that shrinks with a group. */
export interface Member {
  readonly value: string;
  readonly axis: number;
  /** The unit of every position. */
  readonly units: Int32Array;
}

/**
 * Channels that can only be taken out together: through all values and weights that they run through, unit by unit
 * (a channel, a head, a group of a convolution). The dependency groups of Fang et al., DepGraph (CVPR 2023), over
 * positions of axes instead of layers.
 */
export interface ChannelGroup {
  /** The weight whose outputs these channels are, and the first of them. */
  readonly name: string;
  readonly node: EditNode;
  /** How many units there are to choose from. */
  readonly units: number;
  /** Weights and other constants. */
  readonly weights: readonly Member[];
  /** Values that are computed. */
  readonly values: readonly Member[];
  /** Why nothing can be taken out; … */
  readonly reason?: string;
  /** … or why what is left is not computed as before, even where channels that go are zero. */
  readonly inexact?: string;
}

/** All groups of a graph, in the order of the nodes that make their channels. No axis is in two of them. */
export function channelGroups(graph: ChannelGraph): readonly ChannelGroup[] {
  const taken = new Set<string>();
  const groups: ChannelGroup[] = [];
  for (const node of graph.nodes) {
    const axis = channelAxis(node, graph);
    const [value = ''] = node.output;
    const weight = node.input[1] ?? '';
    if (axis === undefined || taken.has(keyOf(value, axis)) || !graph.isStatic(weight)) continue;
    groups.push(follow(graph, node, value, axis, taken));
  }
  return groups;
}

function follow(
  graph: ChannelGraph,
  seed: EditNode,
  value: string,
  axis: number,
  taken: Set<string>,
): ChannelGroup {
  const positions = new Positions();
  const reached: { readonly value: string; readonly axis: number }[] = [];
  let reason: string | undefined;
  let inexact: string | undefined;
  const refuse = (why: string): void => {
    reason ??= why;
  };
  const add = (name: string, at: number): void => {
    const size = graph.shape(name)?.[at];
    if (size === undefined) refuse(`the size of ${JSON.stringify(name)} is not known`);
    if (!positions.add(name, at, size ?? 0)) return;
    if (taken.has(keyOf(name, at))) refuse(`${JSON.stringify(name)} belongs to other channels, too`);
    taken.add(keyOf(name, at));
    reached.push({ value: name, axis: at });
  };
  const around: Surroundings = {
    opset: graph.opset,
    shape: (name) => graph.shape(name),
    integers: (name) => graph.integers(name),
    sizes: (name) => graph.sizes(name),
    sets: (name, at) => positions.setsOf(name, at),
  };
  add(value, axis);
  // The list grows while it is walked.
  for (let i = 0; i < reached.length; i++) {
    const place = reached[i];
    if (!place) break;
    const edge = edgeReason(graph, place.value);
    if (edge !== undefined) refuse(edge);
    for (const entry of entriesOf(graph, place.value, place.axis)) {
      const rule = ruleFor(entry.node.domain ?? '', entry.node.opType ?? '');
      const outcome = rule?.(entry, around) ?? { stop: 'it is not known how its axes hang together' };
      if ('stop' in outcome) {
        refuse(`${describe(entry.node)}: ${outcome.stop}`);
        continue;
      }
      if (outcome.inexact !== undefined) inexact ??= `${describe(entry.node)}: ${outcome.inexact}`;
      for (const ends of outcome.links) {
        for (const end of ends) add(end.value, end.axis);
        positions.link(ends);
      }
    }
  }
  const shrinks = (name: string, at: number): boolean => positions.setsOf(name, at) !== undefined;
  for (const place of reached) {
    const used = sizeUse(graph, place.value, place.axis, shrinks);
    if (used !== undefined) refuse(used);
  }
  return collected(graph, seed, { positions, reached, value, axis }, reason, inexact);
}

interface Reached {
  readonly positions: Positions;
  readonly reached: readonly { readonly value: string; readonly axis: number }[];
  readonly value: string;
  readonly axis: number;
}

function collected(
  graph: ChannelGraph,
  seed: EditNode,
  { positions, reached, value, axis }: Reached,
  reason: string | undefined,
  inexact: string | undefined,
): ChannelGroup {
  // Units are numbered in the order of the channels that gave the group its name, others after them.
  const numbers = new Map<number, number>();
  const unitsOf = (name: string, at: number): Int32Array =>
    Int32Array.from(positions.setsOf(name, at) ?? [], (set) => {
      const known = numbers.get(set);
      if (known !== undefined) return known;
      numbers.set(set, numbers.size);
      return numbers.size - 1;
    });
  unitsOf(value, axis);
  const members = reached.map((one) => ({ ...one, units: unitsOf(one.value, one.axis) }));
  const units = numbers.size;
  const why = reason ?? (units < 2 ? 'all of its channels hang together' : undefined);
  return {
    ...{ name: graph.weightName(seed), node: seed, units },
    weights: members.filter((one) => graph.tensor(one.value)),
    values: members.filter((one) => !graph.tensor(one.value)),
    ...(why === undefined ? {} : { reason: why }),
    ...(inexact === undefined ? {} : { inexact }),
  };
}

/** Why a value has to stay as large as it is. */
function edgeReason(graph: ChannelGraph, name: string): string | undefined {
  const quoted = JSON.stringify(name);
  if (graph.outputNames.has(name)) return `it reaches the output ${quoted}`;
  if (graph.captured.has(name)) return `a sub-graph takes ${quoted}`;
  const tensor = graph.tensor(name);
  if (!tensor) return graph.inputNames.has(name) ? `it reaches the input ${quoted}` : undefined;
  if (!graph.isConstant(name)) return `${quoted} is an input, too`;
  const { dtype } = tensor.info;
  if (elementBytes(dtype) === undefined) return `${quoted} has elements of less than a byte`;
  return isFloat(dtype) || tensor.info.shape.length < 2 ? undefined : `${quoted} is quantized`;
}

/** The node that makes a value, and every place that takes it. */
function entriesOf(graph: ChannelGraph, value: string, axis: number): readonly Entry[] {
  const producer = graph.producer(value);
  const made = producer
    ? [{ node: producer, side: 'output' as const, index: producer.output.indexOf(value), value, axis }]
    : [];
  const takers = graph
    .takers(value)
    .flatMap((node) =>
      node.input.flatMap((name, index) =>
        name === value ? [{ node, side: 'input' as const, index, value, axis }] : [],
      ),
    );
  return [...made, ...takers];
}
