import { type Adapt, type Adapters, blocked } from '../adapter.js';
import { hasAttribute, textOf, withAttributes, without } from '../attributes.js';
import { constantBytes } from '../constant-value.js';

const SHORT = ['value_float', 'value_floats', 'value_int', 'value_ints', 'value_string', 'value_strings'];

/** The short forms of operator set 12 as a tensor. */
const down: Adapt = (node) => {
  const short = node.attribute.find(({ name }) => SHORT.includes(name ?? ''));
  if (!short) return [node];
  const name = node.output[0] ?? '';
  const single = !(short.name ?? '').endsWith('s');
  const plain = without(node, ...SHORT);
  if (textOf(node, 'value_string') !== undefined || short.strings.length > 0)
    return blocked(`${short.name ?? ''} came with operator set 12`);
  const integers = single ? [short.i ?? 0n] : short.ints;
  const floats = single ? [short.f ?? 0] : short.floats;
  const isInteger = (short.name ?? '').startsWith('value_int');
  const dtype = isInteger ? 'i64' : 'f32';
  const values = isInteger ? integers : floats;
  const value = {
    name,
    dtype,
    shape: single ? [] : [values.length],
    raw: constantBytes(dtype, values),
  } as const;
  return [withAttributes(plain, { value })];
};

export const constantAdapters: Adapters = {
  'Constant@11': {
    down: (node) =>
      hasAttribute(node, 'sparse_value') ? blocked('sparse_value came with operator set 11') : [node],
  },
  'Constant@12': { down },
};
