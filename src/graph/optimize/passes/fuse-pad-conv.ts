import type { NodeProto } from '../../../formats/onnx/schema.js';
import {
  floatOf,
  inputOf,
  intsOf,
  numberOf,
  outputOf,
  textOf,
  withAttributes,
  withInputs,
  without,
} from '../../opset/attributes.js';
import { nodesOf, opsetOf } from '../fuse.js';
import type { GraphPass } from '../pass.js';
import type { WorkGraph } from '../work-graph.js';

/** Operator set from which AveragePool may count its padding. */
const COUNTS_PADDING = 7;
/** What is never below zero: padding with zeros then changes no maximum. */
const NOT_NEGATIVE = new Set(['Relu', 'Sigmoid', 'HardSigmoid', 'Softplus', 'Abs', 'Exp', 'Softmax']);

/**
 * Pad in front of a convolution or a pool becomes its own padding, where both mean the same: zeros for Conv, zeros
 * that are counted for AveragePool, what no maximum sees for MaxPool.
 */
export const fusePadConv: GraphPass = {
  name: 'fuse-pad-conv',
  summary:
    'Pad in front of Conv, AveragePool and MaxPool becomes their own padding where that means the same',
  level: 'extended',
  async apply(graph) {
    let fused = 0;
    for (const node of nodesOf(graph, 'Conv', 'AveragePool', 'MaxPool'))
      if (await absorb(graph, node)) fused++;
    return fused;
  },
};

async function absorb(graph: WorkGraph, node: NodeProto): Promise<boolean> {
  const pad = graph.maker(inputOf(node, 0), 'Pad');
  if (!pad || graph.soleTaker(outputOf(pad, 0)) !== node) return false;
  const added = await padsOf(graph, pad);
  const own = ownPads(node, added?.length);
  if (!added || !own) return false;
  const pads = added.map((size, i) => size + (own[i] ?? 0));
  if (!(await meansTheSame(graph, pad, node, { own, pads }))) return false;
  const counted = graph.op(node) === 'AveragePool' ? { count_include_pad: 1n } : {};
  const padded = withAttributes(without(node, 'auto_pad'), { pads: pads.map(BigInt), ...counted });
  graph.replace(node, withInputs(padded, [inputOf(pad, 0), ...node.input.slice(1)]));
  graph.remove(pad);
  return true;
}

interface Pads {
  /** Begins of the spatial axes, then ends. */
  readonly own: readonly number[];
  readonly pads: readonly number[];
}

async function meansTheSame(
  graph: WorkGraph,
  pad: NodeProto,
  node: NodeProto,
  { own, pads }: Pads,
): Promise<boolean> {
  const value = await filledWith(graph, pad);
  if (graph.op(node) === 'Conv') return value === 0;
  // A window that sees nothing but padding has no maximum, and the runtime takes no such pads.
  const kernel = intsOf(node, 'kernel_shape')?.map(Number) ?? [];
  const inside = pads.every((size, i) => size < (kernel[i % kernel.length] ?? 0));
  // Rounded up, windows may begin behind the end of what is padded.
  if (!inside || numberOf(node, 'ceil_mode') === 1 || opsetOf(graph) < COUNTS_PADDING) return false;
  if ((intsOf(node, 'dilations') ?? []).some((step) => step !== 1n)) return false;
  if (graph.op(node) === 'AveragePool')
    return value === 0 && (numberOf(node, 'count_include_pad') === 1 || own.every((size) => size === 0));
  if (node.output.slice(1).some((name) => name !== '')) return false; // indices count what was padded
  const notNegative = NOT_NEGATIVE.has(graph.op(graph.maker(inputOf(pad, 0))) ?? '');
  return value === Number.NEGATIVE_INFINITY || (value !== undefined && value <= 0 && notNegative);
}

/** What is filled in, if that is one f32 constant. */
async function filledWith(graph: WorkGraph, pad: NodeProto): Promise<number | undefined> {
  if (opsetOf(graph) < 11) return floatOf(pad, 'value') ?? 0;
  const name = inputOf(pad, 2);
  if (name === undefined) return 0;
  return (await graph.value(name))?.numbers[0];
}

/** Begins and ends of the spatial axes; undefined if others are padded, if something is cut off, or mirrored. */
async function padsOf(graph: WorkGraph, pad: NodeProto): Promise<readonly number[] | undefined> {
  if ((textOf(pad, 'mode') ?? 'constant') !== 'constant') return undefined;
  const rank = graph.fact(inputOf(pad, 0)).shape?.length;
  const given = opsetOf(graph) < 11 ? intsOf(pad, 'pads') : (await graph.value(inputOf(pad, 1)))?.integers;
  const named = inputOf(pad, 3);
  const chosen = named === undefined ? undefined : (await graph.value(named))?.integers;
  if (rank === undefined || !given || (named !== undefined && !chosen)) return undefined;
  const axes = chosen?.map((axis) => Number(axis < 0n ? axis + BigInt(rank) : axis)) ?? [
    ...Array(rank).keys(),
  ];
  if (given.length !== 2 * axes.length) return undefined;
  const all = new Array<number>(2 * rank).fill(0);
  for (const [i, axis] of axes.entries()) {
    all[axis] = Number(given[i]);
    all[axis + rank] = Number(given[i + axes.length]);
  }
  const spatial = [...all.slice(2, rank), ...all.slice(rank + 2)];
  const others = [...all.slice(0, 2), ...all.slice(rank, rank + 2)];
  return spatial.every((size) => size >= 0) && others.every((size) => size === 0) ? spatial : undefined;
}

/** The padding that a node has; undefined where it depends on sizes, or has other axes. */
function ownPads(node: NodeProto, length = 0): readonly number[] | undefined {
  const auto = textOf(node, 'auto_pad') ?? 'NOTSET';
  const pads = auto === 'NOTSET' ? intsOf(node, 'pads')?.map(Number) : undefined;
  if (auto !== 'NOTSET' && auto !== 'VALID') return undefined;
  return pads === undefined ? new Array<number>(length).fill(0) : pads.length === length ? pads : undefined;
}
