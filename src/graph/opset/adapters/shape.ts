import { type Adapt, type Adapters, blocked } from '../adapter.js';
import { hasAttribute, inputOf, intOf, withAttributes, withInputs, without } from '../attributes.js';
import { integerIn } from './scalars.js';

/** What stands for "to the end" in a slice. */
const END = 0x7fff_ffff_ffff_ffffn;

/** A part of the shape was once a slice of it. */
const shapeDown: Adapt = (node, { make, fresh, node: create }) => {
  const start = intOf(node, 'start') ?? 0n;
  const end = intOf(node, 'end') ?? END;
  const plain = without(node, 'start', 'end');
  if (start === 0n && !hasAttribute(node, 'end')) return [plain];
  const whole = fresh('shape', 'i64');
  const inputs = [
    whole,
    make('i64', [1], [start], 'start'),
    make('i64', [1], [end], 'end'),
    make('i64', [1], [0n], 'axis'),
  ];
  return [{ ...plain, output: [whole] }, create({ op: 'Slice', inputs, outputs: node.output })];
};

/** With allowzero=1 a 0 in the shape is a size, else it copies the one of the input. */
const reshapeDown: Adapt = async (node, { constant, shape, assume }) => {
  const plain = without(node, 'allowzero');
  if ((intOf(node, 'allowzero') ?? 0n) === 0n) return [plain];
  const wanted = await constant(inputOf(node, 1));
  const result = shape(node.output[0]);
  const mayBeZero = wanted
    ? wanted.integers.includes(0n)
    : !result?.every((dim) => dim !== undefined && dim > 0);
  if (!mayBeZero) return [plain];
  if (wanted) return blocked('reshapes to a size of 0 (allowzero=1), which came with operator set 14');
  assume('no size of a computed shape is taken to be 0');
  return [plain];
};

/** The axis was an attribute counted from the first dimension by default. */
const dftUp: Adapt = (node, { make }) => [
  {
    ...without(node, 'axis'),
    input: [node.input[0] ?? '', node.input[1] ?? '', make('i64', [], [intOf(node, 'axis') ?? 1n], 'axis')],
  },
];
const dftDown: Adapt = async (node, context) => {
  const input = inputOf(node, 2);
  const axis = input === undefined ? -2n : await integerIn(context, input);
  if (axis === undefined) return blocked('its axis is computed: before, it was an attribute');
  return [withAttributes(withInputs(node, node.input.slice(0, 2)), { axis })];
};

export const shapeAdapters: Adapters = {
  'Shape@15': { down: shapeDown },
  'Reshape@14': { down: reshapeDown },
  'DFT@20': { up: dftUp, down: dftDown },
};
