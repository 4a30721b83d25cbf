import { type Adapt, type Adapters, blocked } from '../adapter.js';
import { inputOf, intsOf, withAttributes, withInputs, without } from '../attributes.js';

/** Starts, ends and axes were attributes and became inputs. */
const up: Adapt = (node, { make }) => {
  const [starts = [], ends = [], axes] = ['starts', 'ends', 'axes'].map((name) => intsOf(node, name));
  const input = (values: readonly bigint[] | undefined, hint: string): string | undefined =>
    values && values.length > 0 ? make('i64', [values.length], values, hint) : undefined;
  const inputs = [
    node.input[0],
    make('i64', [starts.length], starts, 'starts'),
    make('i64', [ends.length], ends, 'ends'),
  ];
  return [withInputs(without(node, 'starts', 'ends', 'axes'), [...inputs, input(axes, 'axes')])];
};

const down: Adapt = async (node, { constant }) => {
  const attributes: Record<string, readonly bigint[]> = {};
  for (const [i, name] of ['starts', 'ends', 'axes', 'steps'].entries()) {
    const input = inputOf(node, i + 1);
    if (input === undefined) continue;
    const value = await constant(input);
    if (!value) return blocked(`its ${name} are computed: before, they were an attribute`);
    if (name !== 'steps') attributes[name] = value.integers;
    else if (value.integers.some((step) => step !== 1n))
      return blocked('steps other than 1 came with operator set 10');
  }
  return [withAttributes(withInputs(node, [node.input[0]]), attributes)];
};

export const sliceAdapters: Adapters = { 'Slice@10': { up, down } };
