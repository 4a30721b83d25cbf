import { type Adapt, type Adapters, blocked } from '../adapter.js';
import { numberOf, withAttributes } from '../attributes.js';

/**
 * Until operator set 13 the dimensions from `axis` on were one; then `axis` alone. That is the same where all
 * dimensions behind it have size 1.
 */
function lastAxis(axis: number, shape: readonly (number | undefined)[] | undefined): boolean {
  if (axis === -1) return true;
  if (!shape) return false;
  const first = axis < 0 ? axis + shape.length : axis;
  return shape.slice(first + 1).every((dim) => dim === 1);
}

const up: Adapt = (node, { shape, type, fresh, node: make }) => {
  const [input = ''] = node.input;
  const axis = numberOf(node, 'axis') ?? 1;
  if (lastAxis(axis, shape(input))) return [withAttributes(node, { axis: BigInt(axis) })];
  const [dims, flat, done] = [fresh('shape', 'i64'), fresh('flat', type(input)), fresh('done', type(input))];
  return [
    make({ op: 'Shape', inputs: [input], outputs: [dims] }),
    make({ op: 'Flatten', inputs: [input], outputs: [flat], attributes: { axis: BigInt(axis) } }),
    { ...withAttributes(node, { axis: 1n }), input: [flat], output: [done] },
    make({ op: 'Reshape', inputs: [done, dims], outputs: node.output }),
  ];
};

const down: Adapt = (node, { shape, type, fresh, node: make }) => {
  const [input = ''] = node.input;
  const axis = numberOf(node, 'axis') ?? -1;
  const dims = shape(input);
  if (lastAxis(axis, dims)) return [withAttributes(node, { axis: BigInt(axis) })];
  if (!dims)
    return blocked(`axis=${axis} may not be the last one, and the number of dimensions is not known`);
  // The axis changes places with the last one, and back again.
  const order = dims.map((_, i) => i);
  const last = order.length - 1;
  const at = axis < 0 ? axis + order.length : axis;
  const perm = order.map((i) => BigInt(i === at ? last : i === last ? at : i));
  const [turned, done] = [fresh('turned', type(input)), fresh('done', type(input))];
  return [
    make({ op: 'Transpose', inputs: [input], outputs: [turned], attributes: { perm } }),
    { ...withAttributes(node, { axis: BigInt(last) }), input: [turned], output: [done] },
    make({ op: 'Transpose', inputs: [done], outputs: node.output, attributes: { perm } }),
  ];
};

export const softmaxAdapters: Adapters = {
  'Softmax@13': { up, down },
  'LogSoftmax@13': { up, down },
  'Hardmax@13': { up, down },
};
