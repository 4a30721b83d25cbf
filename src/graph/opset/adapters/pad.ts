import { type Adapt, type Adapters, blocked } from '../adapter.js';
import { floatOf, inputOf, intsOf, textOf, withAttributes, withInputs, without } from '../attributes.js';
import { fitsFloat, floatLike, numberIn } from './scalars.js';

const COMPUTED = 'how much it pads is computed: before, it was an attribute';

const up11: Adapt = (node, context) => {
  const pads = intsOf(node, 'pads') ?? [];
  const value = floatOf(node, 'value');
  const filled =
    value === undefined || value === 0 ? undefined : floatLike(context, node.input[0], [value], 'value');
  if (value && filled === undefined)
    return blocked('its value must become an input of the type of the data, which is not known');
  const amounts = context.make('i64', [pads.length], pads, 'pads');
  return [withInputs(without(node, 'pads', 'value'), [node.input[0], amounts, filled])];
};

const down11: Adapt = async (node, context) => {
  const pads = await context.constant(inputOf(node, 1));
  if (!pads) return blocked(COMPUTED);
  const input = inputOf(node, 2);
  const value = input === undefined ? 0 : await numberIn(context, input);
  if (value === undefined) return blocked('its value is computed: before, it was an attribute');
  if (!fitsFloat(value)) return blocked(`its value ${value} is not a single-precision number`);
  return [withAttributes(withInputs(node, [node.input[0]]), { pads: pads.integers, value })];
};

/** Only some axes could be padded from operator set 18 on; before, all have their amounts. */
const down18: Adapt = async (node, context) => {
  const name = inputOf(node, 3);
  if (name === undefined) return [node];
  const [pads, axes] = [await context.constant(inputOf(node, 1)), await context.constant(name)];
  const rank = context.shape(node.input[0])?.length;
  if (!pads || !axes || rank === undefined)
    return blocked('pads chosen axes, and amounts, axes or the number of dimensions are not known');
  const all = new Array<bigint>(rank * 2).fill(0n);
  for (const [i, axis] of axes.numbers.entries()) {
    const at = axis < 0 ? axis + rank : axis;
    all[at] = pads.integers[i] ?? 0n;
    all[at + rank] = pads.integers[i + axes.numbers.length] ?? 0n;
  }
  return [withInputs(node, [node.input[0], context.make('i64', [all.length], all, 'pads'), node.input[2]])];
};

export const padAdapters: Adapters = {
  'Pad@11': { up: up11, down: down11 },
  'Pad@18': { down: down18 },
  'Pad@19': {
    down: (node) =>
      textOf(node, 'mode') === 'wrap' ? blocked('mode=wrap came with operator set 19') : [node],
  },
};
