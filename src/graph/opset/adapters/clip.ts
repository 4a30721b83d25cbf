import { type Adapt, type Adapters, blocked } from '../adapter.js';
import { floatOf, inputOf, withAttributes, withInputs, without } from '../attributes.js';
import { fitsFloat, floatLike, numberIn } from './scalars.js';

/** The bounds were attributes and became inputs of the type of the data. */
const up: Adapt = (node, context) => {
  const bounds: (string | undefined)[] = [];
  for (const name of ['min', 'max']) {
    const value = floatOf(node, name);
    const made = value === undefined ? undefined : floatLike(context, node.input[0], [value], name);
    if (value !== undefined && made === undefined)
      return blocked(`${name} must become an input of the type of the data, which is not known`);
    bounds.push(made);
  }
  return [withInputs(without(node, 'min', 'max'), [node.input[0], ...bounds])];
};

const down: Adapt = async (node, context) => {
  const attributes: Record<string, number> = {};
  for (const [index, name] of ['min', 'max'].entries()) {
    const input = inputOf(node, index + 1);
    if (input === undefined) continue;
    const value = await numberIn(context, input);
    if (value === undefined) return blocked(`${name} is computed: before, it was an attribute`);
    if (!fitsFloat(value)) return blocked(`${name}=${value} is not a single-precision number`);
    attributes[name] = value;
  }
  return [withAttributes(withInputs(node, [node.input[0]]), attributes)];
};

export const clipAdapters: Adapters = { 'Clip@11': { up, down } };
