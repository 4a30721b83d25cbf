import { intsOf } from '../../opset/attributes.js';
import type { LinkEnd } from '../positions.js';
import {
  type Entry,
  inputAt,
  linked,
  type Outcome,
  outputAt,
  type Rule,
  type Surroundings,
  stop,
} from '../rule.js';
import type { SizePiece } from '../size-pieces.js';

/** Other axes over the same elements: Reshape, Flatten, Squeeze, Unsqueeze. */
export const reshaping: Rule = (entry, around) => {
  const { node, side, axis } = entry;
  const [from, to] = [inputAt(node, 0) ?? '', outputAt(node)];
  if (side === 'input' && entry.index > 0) return stop('sizes are taken from it');
  const [input, output] = [around.shape(from), around.shape(to)];
  if (!input || !output) return stop('its shape is not known');
  const [own, other] = side === 'input' ? [input, output] : [output, input];
  const block = blocksOf(own, other).find((one) => axis >= one.own[0] && axis < one.own[1]);
  if (!block) return stop('its sizes do not fit each other');
  const found = partner(entry, own, other, block, around);
  if (!found) return stop('the axis disappears');
  const [mine, theirs] = side === 'input' ? [from, to] : [to, from];
  const ends: LinkEnd[] = [
    { value: mine, axis, units: found.mine },
    { value: theirs, axis: found.axis, units: found.theirs },
  ];
  const outAxis = side === 'input' ? found.axis : axis;
  if (node.opType === 'Reshape') {
    const follows = (piece: SizePiece): boolean =>
      piece.kind === 'constant' ||
      (piece.kind === 'size' && around.sets(piece.value, piece.axis) !== undefined);
    const piece = around.sizes(node.input[1])?.[outAxis];
    if (!piece || !follows(piece)) return stop('the sizes it is given are computed');
  }
  return { links: [ends] };
};

interface Block {
  /** Axes [first, last) of the side that is entered, and of the other. */
  readonly own: readonly [number, number];
  readonly other: readonly [number, number];
}

/** Shortest runs of axes with as many elements on both sides. */
function blocksOf(own: readonly number[], other: readonly number[]): readonly Block[] {
  const blocks: Block[] = [];
  let [i, j] = [0, 0];
  while (i < own.length || j < other.length) {
    const [startOwn, startOther] = [i, j];
    let [a, b] = [own[i++] ?? 1, other[j++] ?? 1];
    while (a !== b && (i < own.length || j < other.length)) {
      if (a < b && i < own.length) a *= own[i++] ?? 1;
      else if (j < other.length) b *= other[j++] ?? 1;
      else a *= own[i++] ?? 1;
    }
    if (a !== b) return [];
    blocks.push({ own: [startOwn, Math.min(i, own.length)], other: [startOther, Math.min(j, other.length)] });
  }
  return blocks;
}

interface Partner {
  readonly axis: number;
  readonly mine: readonly number[];
  readonly theirs: readonly number[];
}

/**
 * The axis on the other side that takes over. Where there are several (heads and what is in a head), it is the first one
 * whose positions already tell the sets apart, else the outermost: whole heads hang together then.
 */
function partner(
  { value, axis }: Entry,
  own: readonly number[],
  other: readonly number[],
  block: Block,
  around: Surroundings,
): Partner | undefined {
  const candidates = [];
  for (let at = block.other[0]; at < block.other[1]; at++) if ((other[at] ?? 1) > 1) candidates.push(at);
  const sets = around.sets(value, axis) ?? [];
  const mine = places(own, block.own, axis);
  const chosen =
    candidates.find((at) => {
      const seen = new Map<number, number>();
      const theirs = places(other, block.other, at);
      return mine.every((m, e) => {
        const set = sets[m] ?? -1;
        const known = seen.get(theirs[e] ?? 0);
        if (known === undefined) seen.set(theirs[e] ?? 0, set);
        return known === undefined || known === set;
      });
    }) ?? candidates[0];
  if (chosen === undefined) return undefined;
  return {
    axis: chosen,
    ...together(mine, own[axis] ?? 0, places(other, block.other, chosen), other[chosen] ?? 0),
  };
}

/** For every element of a block its position along one axis of it. */
function places(
  shape: readonly number[],
  [first, last]: readonly [number, number],
  axis: number,
): readonly number[] {
  const product = (from: number, to: number): number =>
    shape.slice(from, to).reduce((all, size) => all * size, 1);
  const inner = product(axis + 1, last);
  const size = shape[axis] ?? 1;
  return Array.from({ length: product(first, last) }, (_, e) => Math.floor(e / inner) % size);
}

/** Units of two axes whose positions share elements. */
function together(
  mine: readonly number[],
  mineCount: number,
  theirs: readonly number[],
  theirCount: number,
): Pick<Partner, 'mine' | 'theirs'> {
  const parents = Array.from({ length: mineCount + theirCount }, (_, i) => i);
  const root = (i: number): number => {
    let at = i;
    while (parents[at] !== at) at = parents[at] ?? at;
    return at;
  };
  mine.forEach((m, e) => {
    const [a, b] = [root(m), root(mineCount + (theirs[e] ?? 0))];
    parents[Math.max(a, b)] = Math.min(a, b);
  });
  const roots = parents.map((_, i) => root(i));
  return { mine: roots.slice(0, mineCount), theirs: roots.slice(mineCount) };
}

export const transpose: Rule = ({ node, side, value, axis }, around) => {
  const rank = around.shape(value)?.length;
  if (rank === undefined) return stop('its shape is not known');
  const perm = intsOf(node, 'perm')?.map(Number) ?? Array.from({ length: rank }, (_, i) => rank - 1 - i);
  const inside = side === 'input' ? axis : (perm[axis] ?? 0);
  return linked(
    { value: inputAt(node, 0) ?? '', axis: inside },
    { value: outputAt(node), axis: perm.indexOf(inside) },
  );
};

/** Expand: stretched to sizes that are given. */
export const expand: Rule = ({ node, side, index, value, axis }, around) => {
  if (side === 'input' && index > 0) return stop('sizes are taken from it');
  const [from, to] = [inputAt(node, 0) ?? '', outputAt(node)];
  const [own, out] = [around.shape(from), around.shape(to)];
  if (!own || !out) return stop('its shape is not known');
  const place = side === 'output' ? axis : axis + out.length - (around.shape(value)?.length ?? 0);
  const refused = fixedSize(node.input[1], place, out.length, around);
  if (refused) return refused;
  const inside = place - out.length + own.length;
  const goesOn = inside >= 0 && own[inside] === out[place];
  return linked(goesOn ? { value: from, axis: inside } : undefined, { value: to, axis: place });
};

/** ConstantOfShape: one value for all positions. */
export const filled: Rule = ({ node, side, axis }, around) => {
  if (side === 'input') return stop('sizes are taken from it');
  const rank = around.shape(outputAt(node))?.length ?? 0;
  return fixedSize(node.input[0], axis, rank, around) ?? linked({ value: outputAt(node), axis });
};

/** Why the size of an axis cannot be changed where sizes are listed; undefined if it can, or follows by itself. */
function fixedSize(
  list: string | undefined,
  axis: number,
  rank: number,
  around: Surroundings,
): Outcome | undefined {
  const pieces = around.sizes(list);
  const piece = pieces?.[axis - rank + pieces.length];
  if (pieces && axis - rank + pieces.length < 0) return undefined;
  if (piece?.kind === 'constant') return undefined;
  if (piece?.kind === 'size' && around.sets(piece.value, piece.axis) !== undefined) return undefined;
  return stop('the sizes it is given are computed');
}
