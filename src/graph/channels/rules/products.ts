import type { EditNode } from '../../edit.js';
import { numberOf } from '../../opset/attributes.js';
import { inputAt, linked, outputAt, type Rule, type Surroundings, stop } from '../rule.js';
import { stretchedEnd, stretchedTo } from './elementwise.js';

const NO_SHAPE = stop('its shape is not known');

/** The last two axes are multiplied, those before are stretched. */
export const matMul: Rule = (entry, around) => {
  const { node, side, index, axis } = entry;
  const [a, b, y] = [inputAt(node, 0) ?? '', inputAt(node, 1) ?? '', outputAt(node)];
  const [left, right, out] = [around.shape(a), around.shape(b), around.shape(y)];
  if (!left || !right || !out) return NO_SHAPE;
  if (left.length < 2 || right.length < 2) return stop('vectors are multiplied');
  /** Counted from the last axis, which is 1. */
  const place = (side === 'output' ? out : index === 0 ? left : right).length - axis;
  if (place > 2) return stretchedTo([a, b], y, out.length - place, around);
  const ofSums = side === 'input' && (index === 0 ? place === 1 : place === 2);
  if (ofSums) return linked({ value: a, axis: left.length - 1 }, { value: b, axis: right.length - 2 });
  return place === 2
    ? linked({ value: a, axis: left.length - 2 }, { value: y, axis: out.length - 2 })
    : linked({ value: b, axis: right.length - 1 }, { value: y, axis: out.length - 1 });
};

/** α·A·B + β·C */
export const gemm: Rule = ({ node, side, index, value, axis }, around) => {
  const [a, b, c, y] = [
    inputAt(node, 0) ?? '',
    inputAt(node, 1) ?? '',
    inputAt(node, 2),
    outputAt(node),
  ] as const;
  const out = around.shape(y);
  if (!out) return NO_SHAPE;
  const turned = (name: string): boolean => (numberOf(node, name) ?? 0) !== 0;
  const [rows, sums] = turned('transA') ? [1, 0] : [0, 1];
  const [inner, columns] = turned('transB') ? [1, 0] : [0, 1];
  if (side === 'input' && ((index === 0 && axis === sums) || (index === 1 && axis === inner)))
    return linked({ value: a, axis: sums }, { value: b, axis: inner });
  const ofRows =
    side === 'output'
      ? axis === 0
      : index === 0 || (index === 2 && axis === (around.shape(value)?.length ?? 0) - 2);
  const place = ofRows ? 0 : 1;
  const factor = ofRows ? { value: a, axis: rows } : { value: b, axis: columns };
  return linked(factor, stretchedEnd(c, place, out, around), { value: y, axis: place });
};

/** How channels of a convolution with groups can be taken out. */
export interface Grouping {
  readonly groups: number;
  /** Channels that go in and come out of each group. */
  readonly inner: number;
  readonly outer: number;
  /** Whole groups, which depthwise convolutions consist of; else the same channel of every group. */
  readonly whole: boolean;
}

/** Of the two ways the one that has more to choose from. */
export function groupingOf(node: EditNode, shape: readonly number[]): Grouping {
  const groups = numberOf(node, 'group') ?? 1;
  const [first = 1, second = 1] = shape;
  if (node.opType === 'ConvTranspose') {
    // Weights are [inputs, outputs of a group, …]: channels of one group cannot be told apart from those of the others.
    return { groups, inner: first / groups, outer: second, whole: groups > 1 };
  }
  return { groups, inner: second, outer: first / groups, whole: groups > 1 && groups >= second };
}

export const convolution: Rule = (entry, around) => {
  const { node, side, index, axis } = entry;
  const [x, w, b, y] = [
    inputAt(node, 0) ?? '',
    inputAt(node, 1) ?? '',
    inputAt(node, 2),
    outputAt(node),
  ] as const;
  const weight = around.shape(w);
  if (!weight) return NO_SHAPE;
  const turned = node.opType === 'ConvTranspose';
  const { groups, inner, outer, whole } = groupingOf(node, weight);
  const ofWeight = side === 'input' && index === 1;
  if (ofWeight ? axis > 1 : side === 'input' && index === 2 ? axis > 0 : axis !== 1)
    return stop('an axis of space or of samples would change');
  const units = (count: number, unit: (i: number) => number): readonly number[] =>
    Array.from({ length: count }, (_, i) => unit(i));
  if (whole) {
    if (ofWeight && axis === 1) return stop('the channels of one group hang together');
    const of = (size: number) => units(groups * size, (i) => Math.floor(i / size));
    const [into, from] = [of(inner), of(outer)];
    return linked(
      { value: x, axis: 1, units: into },
      { value: w, axis: 0, units: turned ? into : from },
      b === undefined ? undefined : { value: b, axis: 0, units: from },
      { value: y, axis: 1, units: from },
    );
  }
  const [inputAxis, outputAxis] = turned ? [0, 1] : [1, 0];
  const goesIn = ofWeight ? axis === inputAxis : side === 'input' && index === 0;
  if (goesIn) {
    const each = units(groups * inner, (i) => i % inner);
    return linked({ value: x, axis: 1, units: each }, { value: w, axis: inputAxis });
  }
  const each = units(groups * outer, (i) => i % outer);
  return linked(
    { value: w, axis: outputAxis, units: each },
    b === undefined ? undefined : { value: b, axis: 0, units: each },
    { value: y, axis: 1, units: each },
  );
};

/** Where the channels of a product come out. */
export function channelAxis(node: EditNode, around: Pick<Surroundings, 'shape'>): number | undefined {
  const rank = around.shape(outputAt(node))?.length ?? 0;
  if (rank < 2) return undefined;
  if (node.opType === 'Conv' || node.opType === 'ConvTranspose') return 1;
  return node.opType === 'MatMul' || node.opType === 'Gemm' ? rank - 1 : undefined;
}
