import type { EditNode } from '../../edit.js';
import { intsOf, numberOf } from '../../opset/attributes.js';
import {
  fromFront,
  inputAt,
  linked,
  type Outcome,
  outputAt,
  type Rule,
  type Surroundings,
  stop,
} from '../rule.js';

const NO_SHAPE = stop('its shape is not known');
const ALONG = 'it works along the axis that would change';

/** Pieces along an axis, and the whole that they make. */
function pieces(
  whole: string,
  parts: readonly string[],
  along: number,
  entry: { readonly value: string; readonly axis: number },
  around: Surroundings,
): Outcome {
  const { axis } = entry;
  if (axis !== along) return linked(...parts.map((value) => ({ value, axis })), { value: whole, axis });
  let first = 0;
  const ranges = parts.map((value) => {
    const size = around.shape(value)?.[along] ?? 0;
    const range = { value, first, size };
    first += size;
    return range;
  });
  const total = around.shape(whole)?.[along] ?? 0;
  if (first !== total) return NO_SHAPE;
  // A value that is put in twice is several ranges of the whole.
  const own = ranges.filter(
    ({ value, size }) => size > 0 && (entry.value === whole || value === entry.value),
  );
  return {
    links: own.map((range) => [
      { value: range.value, axis },
      {
        ...{ value: whole, axis },
        units: Array.from({ length: total }, (_, i) =>
          i >= range.first && i < range.first + range.size ? i - range.first : -1,
        ),
      },
    ]),
  };
}

export const concat: Rule = ({ node, value, axis }, around) => {
  const rank = around.shape(outputAt(node))?.length;
  if (rank === undefined) return NO_SHAPE;
  const along = fromFront(numberOf(node, 'axis') ?? 1, rank);
  return pieces(outputAt(node), node.input, along, { value, axis }, around);
};

export const split: Rule = ({ node, side, index, value, axis }, around) => {
  if (side === 'input' && index > 0) return stop('sizes are taken from it');
  const [whole = ''] = node.input;
  const rank = around.shape(whole)?.length;
  if (rank === undefined) return NO_SHAPE;
  const along = fromFront(numberOf(node, 'axis') ?? 0, rank);
  const sizes = inputAt(node, 1);
  if (axis === along && sizes !== undefined && !around.integers(sizes))
    return stop('the sizes it is given are computed');
  return pieces(whole, node.output, along, { value, axis }, around);
};

/** Axes other than the one that pieces are cut out of. */
export const slice: Rule = ({ node, side, index, axis }, around) => {
  const [from = ''] = node.input;
  if (side === 'input' && index > 0) return stop('places are taken from it');
  const [own, out] = [around.shape(from), around.shape(outputAt(node))];
  if (!own || !out) return NO_SHAPE;
  const list = (at: number, name: string): readonly number[] | undefined =>
    inputAt(node, at) === undefined ? intsOf(node, name)?.map(Number) : around.integers(inputAt(node, at));
  const given = inputAt(node, 3) !== undefined || intsOf(node, 'axes') !== undefined;
  const axes = given ? list(3, 'axes') : own.map((_, i) => i);
  const touched = axes?.some((one) => fromFront(one, own.length) === axis) ?? true;
  if (touched) return stop(ALONG);
  return linked({ value: from, axis }, { value: outputAt(node), axis });
};

/** Rows that are picked keep what is behind and before the axis they are picked from. */
export const gather: Rule = ({ node, side, index, axis }, around) => {
  const [data = '', places = ''] = node.input;
  const [table, picked] = [around.shape(data), around.shape(places)];
  if (!table || !picked) return NO_SHAPE;
  const along = fromFront(numberOf(node, 'axis') ?? 0, table.length);
  const y = outputAt(node);
  const ofData = (from: number): Outcome =>
    from === along
      ? stop(ALONG)
      : linked(
          { value: data, axis: from },
          { value: y, axis: from < along ? from : from + picked.length - 1 },
        );
  const ofPlaces = (from: number): Outcome =>
    linked({ value: places, axis: from }, { value: y, axis: along + from });
  if (side === 'input') return index === 0 ? ofData(axis) : ofPlaces(axis);
  if (axis < along) return ofData(axis);
  return axis < along + picked.length ? ofPlaces(axis - along) : ofData(axis - picked.length + 1);
};

export const pad: Rule = ({ node, side, index, axis }, around) => {
  const [from = ''] = node.input;
  if (side === 'input' && index > 0) return stop('sizes are taken from it');
  const rank = around.shape(from)?.length ?? 0;
  const pads = around.integers(inputAt(node, 1)) ?? intsOf(node, 'pads')?.map(Number);
  const listed = around.integers(inputAt(node, 3));
  if (!pads || (inputAt(node, 3) !== undefined && !listed)) return stop('the sizes it is given are computed');
  const axes = listed?.map((one) => fromFront(one, rank)) ?? Array.from({ length: rank }, (_, i) => i);
  const at = axes.indexOf(axis);
  if (at >= 0 && ((pads[at] ?? 0) !== 0 || (pads[at + axes.length] ?? 0) !== 0)) return stop(ALONG);
  return linked({ value: from, axis }, { value: outputAt(node), axis });
};

/** Tile, Resize, Upsample: axes that stay as long as they are. */
export const sameLength: Rule = ({ node, side, index, axis }, around) => {
  const [from = ''] = node.input;
  if (side === 'input' && index > 0) return stop('sizes are taken from it');
  const [own, out] = [around.shape(from), around.shape(outputAt(node))];
  if (!own || !out) return NO_SHAPE;
  if (own[axis] !== out[axis]) return stop(ALONG);
  const sizes = resizedTo(node);
  if (sizes !== undefined && around.sizes(sizes)?.[axis]?.kind === 'computed')
    return stop('the sizes it is given are computed');
  return linked({ value: from, axis }, { value: outputAt(node), axis });
};

/** The sizes that a Resize is told outright. */
export const resizedTo = (node: EditNode): string | undefined =>
  node.opType === 'Resize' && intsOf(node, 'axes') === undefined ? inputAt(node, 3) : undefined;

/** Windows move over the axes behind the channels. */
export const pool: Rule = ({ node, axis }) => {
  if (axis > 1) return stop('an axis of space would change');
  return linked(
    { value: inputAt(node, 0) ?? '', axis },
    ...node.output.flatMap((value) => (value === '' ? [] : [{ value, axis }])),
  );
};
