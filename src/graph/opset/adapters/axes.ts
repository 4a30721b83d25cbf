import type { NodeProto } from '../../../formats/onnx/schema.js';
import { type Adapt, type AdaptContext, type Adapters, blocked } from '../adapter.js';
import { inputOf, intOf, intsOf, withAttributes, withInputs, without } from '../attributes.js';

/** `axes` was an attribute and became the second input. */
const toInput: Adapt = (node, { make }) => {
  const axes = intsOf(node, 'axes');
  const plain = without(node, 'axes');
  // An empty attribute cannot be told from an absent one by all readers: it meant all axes.
  if (!axes || axes.length === 0) return [plain];
  return [withInputs(plain, [node.input[0], make('i64', [axes.length], axes, 'axes')])];
};

/** The axes of a node that has them as an input; 'unknown' if they are computed. */
async function axesOf(
  node: NodeProto,
  { constant }: AdaptContext,
): Promise<readonly bigint[] | undefined | 'unknown'> {
  const input = inputOf(node, 1);
  if (input === undefined) return undefined;
  const value = await constant(input);
  return value && value.shape.length <= 1 ? value.integers : 'unknown';
}

const COMPUTED = 'its axes are computed: before, they were an attribute';

const toAttribute: Adapt = async (node, context) => {
  const axes = await axesOf(node, context);
  if (axes === 'unknown') return blocked(COMPUTED);
  const plain = withInputs(node, [node.input[0]]);
  if (axes === undefined) return [plain];
  // No attribute means all axes of size 1, which no axes are not.
  if (axes.length === 0)
    return [context.node({ op: 'Identity', inputs: [node.input[0] ?? ''], outputs: node.output })];
  return [withAttributes(plain, { axes })];
};

/** Reductions without axes reduce all of them, or none if `noop_with_empty_axes` says so. */
const reduceToAttribute =
  (changesElements: boolean): Adapt =>
  async (node, context) => {
    const axes = await axesOf(node, context);
    if (axes === 'unknown') return blocked(COMPUTED);
    const plain = without(withInputs(node, [node.input[0]]), 'noop_with_empty_axes');
    if (axes && axes.length > 0) return [withAttributes(plain, { axes })];
    if ((intOf(node, 'noop_with_empty_axes') ?? 0n) === 0n) return [plain];
    return changesElements
      ? blocked(`noop_with_empty_axes=1 came with operator set ${context.version}`)
      : [context.node({ op: 'Identity', inputs: [node.input[0] ?? ''], outputs: node.output })];
  };

const reduction = (changesElements: boolean) => ({
  up: toInput,
  down: reduceToAttribute(changesElements),
});

export const axesAdapters: Adapters = {
  'Squeeze@13': { up: toInput, down: toAttribute },
  'Unsqueeze@13': { up: toInput, down: toAttribute },
  'ReduceSum@13': reduction(false),
  'ReduceMax@18': reduction(false),
  'ReduceMean@18': reduction(false),
  'ReduceMin@18': reduction(false),
  'ReduceProd@18': reduction(false),
  'ReduceL1@18': reduction(true),
  'ReduceL2@18': reduction(true),
  'ReduceLogSum@18': reduction(true),
  'ReduceLogSumExp@18': reduction(true),
  'ReduceSumSquare@18': reduction(true),
};
