import { type Adapt, type Adapters, blocked } from '../adapter.js';
import { inputOf, intsOf, numberOf, withAttributes, withInputs, without } from '../attributes.js';

/** The sizes were an attribute and became an input. */
const up13: Adapt = (node, { make }) => {
  const sizes = intsOf(node, 'split');
  const plain = without(node, 'split');
  if (!sizes || sizes.length === 0) return [plain];
  return [withInputs(plain, [node.input[0], make('i64', [sizes.length], sizes, 'split')])];
};

const down13: Adapt = async (node, { constant }) => {
  const input = inputOf(node, 1);
  if (input === undefined) return [node];
  const sizes = await constant(input);
  if (!sizes) return blocked('the sizes of its parts are computed: before, they were an attribute');
  return [withAttributes(withInputs(node, [node.input[0]]), { split: sizes.integers })];
};

/** The number of parts was that of the outputs and became an attribute. */
const up18: Adapt = (node) =>
  inputOf(node, 1) === undefined
    ? [withAttributes(node, { num_outputs: BigInt(node.output.length) })]
    : [node];

/** Parts had to be equal; now the last one may be smaller. */
const down18: Adapt = (node, { shape, make, assume }) => {
  const plain = without(node, 'num_outputs');
  if (inputOf(node, 1) !== undefined) return [plain];
  const axis = numberOf(node, 'axis') ?? 0;
  const dim = shape(node.input[0])?.at(axis);
  const parts = node.output.length;
  if (dim === undefined || parts === 0) {
    assume('parts of Split are taken to be equal');
    return [plain];
  }
  if (dim % parts === 0) return [plain];
  const size = Math.ceil(dim / parts);
  const sizes = Array.from({ length: parts }, (_, i) => BigInt(Math.max(0, Math.min(size, dim - i * size))));
  return [withInputs(plain, [node.input[0], make('i64', [parts], sizes, 'split')])];
};

export const splitAdapters: Adapters = {
  'Split@13': { up: up13, down: down13 },
  'Split@18': { up: up18, down: down18 },
};
