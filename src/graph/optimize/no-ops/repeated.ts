import type { NodeProto } from '../../../formats/onnx/schema.js';
import { floatOf, inputOf } from '../../opset/attributes.js';
import { opsetOf } from '../rewritten.js';
import type { WorkGraph } from '../work-graph.js';
import type { Rule, Rules } from './rule.js';

/** Done a second time it takes back what it did. */
const undone: Rule = (graph, node) => {
  const first = graph.maker(inputOf(node, 0), graph.op(node) ?? '');
  return first && inputOf(first, 0);
};
/** Done a second time it does nothing. */
const again: Rule = (graph, node) =>
  graph.maker(inputOf(node, 0), graph.op(node) ?? '') ? inputOf(node, 0) : undefined;

export const REPEATED: Rules = {
  Neg: undone,
  Not: undone,
  BitwiseNot: undone,
  Relu: again,
  Abs: again,
  Ceil: again,
  Floor: again,
  Round: again,
  Sign: again,
  Clip: async (graph, node) => {
    const input = inputOf(node, 0);
    const bounds = await boundsOf(graph, node);
    if (input === undefined || !bounds) return undefined;
    const type = graph.fact(input).dtype ?? '';
    const [least, most] = LIMITS.get(type) ?? [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY];
    if (bounds[0] <= least && bounds[1] >= most) return input;
    const first = graph.maker(input, 'Clip');
    const before = first && (await boundsOf(graph, first));
    if (!before || before[0] > before[1]) return undefined;
    // The first one has done it all.
    return bounds[0] <= before[0] && bounds[1] >= before[1] ? input : undefined;
  },
};

/** What integers can be. */
const LIMITS = new Map<string, readonly [number, number]>([
  ['u8', [0, 255]],
  ['i8', [-128, 127]],
  ['u16', [0, 65535]],
  ['i16', [-32768, 32767]],
  ['u32', [0, 2 ** 32 - 1]],
  ['i32', [-(2 ** 31), 2 ** 31 - 1]],
]);

/** Smallest and largest value that Clip lets through; undefined where they are not known. */
async function boundsOf(graph: WorkGraph, node: NodeProto): Promise<readonly [number, number] | undefined> {
  const nothing = [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY] as const;
  // Attributes of old operator sets were finite by default.
  if (opsetOf(graph) < 11) {
    const [least, most] = [floatOf(node, 'min'), floatOf(node, 'max')];
    return least === undefined || most === undefined ? undefined : [least, most];
  }
  const bounds: number[] = [];
  for (const at of [0, 1] as const) {
    const name = inputOf(node, at + 1);
    const bound = name === undefined ? nothing[at] : (await graph.value(name))?.numbers[0];
    if (bound === undefined || Number.isNaN(bound)) return undefined;
    bounds.push(bound);
  }
  return [bounds[0] ?? nothing[0], bounds[1] ?? nothing[1]];
}
