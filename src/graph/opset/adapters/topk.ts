import { type Adapt, type Adapters, blocked } from '../adapter.js';
import { inputOf, intOf, numberOf, withAttributes, withInputs, without } from '../attributes.js';
import { dropDefaults } from './attributes.js';
import { integerIn } from './scalars.js';

const up10: Adapt = (node, { make }) => {
  const k = intOf(node, 'k') ?? 1n;
  return [withInputs(without(node, 'k'), [node.input[0], make('i64', [1], [k], 'k')])];
};

const down10: Adapt = async (node, context) => {
  const k = await integerIn(context, inputOf(node, 1));
  if (k === undefined) return blocked('K is computed: before, it was an attribute');
  return [withAttributes(withInputs(node, [node.input[0]]), { k })];
};

const down11: Adapt = (node, { shape, version }) => {
  // Before, the values were always sorted, which is one of the orders that sorted=0 allows.
  const plain = dropDefaults(without(node, 'sorted'), { largest: '1' }, version);
  if ('blocked' in plain) return plain;
  const axis = numberOf(node, 'axis') ?? -1;
  const rank = shape(node.input[0])?.length;
  if (axis >= -1) return [plain];
  if (rank === undefined)
    return blocked('its axis counts from the last dimension, and the number of dimensions is not known');
  return [withAttributes(plain, { axis: BigInt(axis + rank) })];
};

export const topKAdapters: Adapters = {
  'TopK@10': { up: up10, down: down10 },
  'TopK@11': { down: down11 },
};
