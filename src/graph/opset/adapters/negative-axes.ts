import type { NodeProto } from '../../../formats/onnx/schema.js';
import { type Adapt, type AdaptContext, type Adapters, type Blocked, blocked } from '../adapter.js';
import { inputOf, intOf, intsOf, withAttributes, withInputs } from '../attributes.js';

/** Operator set 11 let axes count from the last dimension; before, that takes their number. */

const UNKNOWN = 'an axis counts from the last dimension, and the number of dimensions is not known';

const rankOf = (node: NodeProto, { shape }: AdaptContext, extra = 0): number | undefined => {
  const dims = shape(node.input[0]);
  return dims && dims.length + extra;
};

function counted(axes: readonly bigint[], rank: number | undefined): readonly bigint[] | Blocked {
  if (axes.every((axis) => axis >= 0n)) return axes;
  if (rank === undefined) return blocked(UNKNOWN);
  return axes.map((axis) => (axis < 0n ? axis + BigInt(rank) : axis));
}

/** Attribute `axis`. */
const axis =
  (extraDims = 0): Adapt =>
  (node, context) => {
    const value = intOf(node, 'axis');
    if (value === undefined) return [node];
    const found = counted([value], rankOf(node, context, extraDims));
    return 'blocked' in found ? found : [withAttributes(node, { axis: found[0] ?? value })];
  };

/** Attribute `axes`. For Unsqueeze they are axes of the output. */
const axes =
  (added: boolean): Adapt =>
  (node, context) => {
    const value = intsOf(node, 'axes');
    if (!value || value.length === 0) return [node];
    const found = counted(value, rankOf(node, context, added ? value.length : 0));
    return 'blocked' in found ? found : [withAttributes(node, { axes: found })];
  };

const slice: Adapt = async (node, context) => {
  const name = inputOf(node, 3);
  if (name === undefined) return [node];
  const value = await context.constant(name);
  if (!value) {
    context.assume('axes that are computed are taken to be counted from the first dimension');
    return [node];
  }
  const found = counted(value.integers, rankOf(node, context));
  if ('blocked' in found) return found;
  if (found === value.integers) return [node];
  const inputs = [...node.input];
  inputs[3] = context.make(value.dtype, value.shape, found, 'axes');
  return [withInputs(node, inputs)];
};

/** -1 was allowed from the first. */
const oneHot: Adapt = (node, context) =>
  (intOf(node, 'axis') ?? -1n) >= -1n ? [node] : axis(1)(node, context);

const scan: Adapt = (node) =>
  [...(intsOf(node, 'scan_input_axes') ?? []), ...(intsOf(node, 'scan_output_axes') ?? [])].some(
    (one) => one < 0n,
  )
    ? blocked('scans along axes that count from the last dimension')
    : [node];

const down = (adapt: Adapt) => ({ down: adapt });
const each = (names: string, adapt: Adapt): Adapters =>
  Object.fromEntries(names.split(' ').map((name) => [`${name}@11`, { down: adapt }]));

export const negativeAxisAdapters: Adapters = {
  ...each('ArgMax ArgMin Compress Concat Flatten Gather Hardmax LogSoftmax Softmax Split', axis()),
  ...each(
    'ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare Squeeze',
    axes(false),
  ),
  'Unsqueeze@11': down(axes(true)),
  'OneHot@11': down(oneHot),
  'Slice@11': down(slice),
  'Scan@11': down(scan),
};
