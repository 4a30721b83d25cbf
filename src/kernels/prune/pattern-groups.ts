import type { Axis } from '../../core/recipe.js';
import { scratchDoubles } from '../scratch.js';
import { target, viewAs } from '../views.js';

/** Of every `of` neighbours along an axis at most `keep` stay. */
export interface Pattern {
  readonly keep: number;
  readonly of: number;
}

export type { Axis };

/** Elements of a group of every lane. */
export const slabOf = ({ stride }: Axis, { of }: Pattern): number => of * stride;

/** Where the groups begin that have the element at a position; they end with the row, if they do not before. */
export function groupsBefore(at: number, axis: Axis, pattern: Pattern): number {
  const slab = slabOf(axis, pattern);
  const inside = at % (axis.length * axis.stride);
  return at - inside + Math.floor(inside / slab) * slab;
}

/** Where the groups end that have the element at a position. */
export function groupsAfter(at: number, axis: Axis, pattern: Pattern): number {
  const outer = axis.length * axis.stride;
  return Math.min(groupsBefore(at, axis, pattern) + slabOf(axis, pattern), at - (at % outer) + outer);
}

/** Whole groups in place, all zeros positive; the first element is at position `start` of the tensor, where a group of every lane begins. */
export function prunePattern(
  bytes: Uint8Array,
  width: 2 | 4 | 8,
  start: number,
  { length, stride }: Axis,
  { keep, of }: Pattern,
): void {
  const count = bytes.length / width;
  const keys = magnitudesOf(bytes, width, count);
  const words =
    width === 2 ? target(Uint16Array, bytes, count) : target(Uint32Array, bytes, (count * width) / 4);
  const perElement = width === 8 ? 2 : 1;
  for (let at = 0; at < count; ) {
    const row = Math.floor((start + at) / stride) % length;
    const size = Math.min(of, length - row);
    for (let lane = 0; lane < stride; lane++)
      for (let gone = size - keep; gone > 0; gone--) {
        const least = leastOf(keys, at + lane, stride, size);
        keys[least] = Number.NaN;
        words.fill(0, least * perElement, (least + 1) * perElement);
      }
    at += size * stride;
  }
  for (let i = 0; i < count; i++) if (keys[i] === 0) words.fill(0, i * perElement, (i + 1) * perElement);
}

/** Position of the first of the least numbers that are left. */
function leastOf(keys: Float64Array, first: number, step: number, size: number): number {
  let least = -1;
  let key = Number.POSITIVE_INFINITY;
  for (let i = 0, at = first; i < size; i++, at += step) {
    const own = keys[at] ?? 0;
    if (own < key || (least < 0 && own === key)) {
      least = at;
      key = own;
    }
  }
  return least;
}

/** Numbers ordered as absolute values. In f64 NaN counts as infinite: as a key it stands for those that have gone. */
function magnitudesOf(bytes: Uint8Array, width: 2 | 4 | 8, count: number): Float64Array {
  const keys = scratchDoubles(0, count);
  if (width === 8) {
    const values = viewAs(Float64Array, bytes, count);
    for (let i = 0; i < count; i++) {
      const value = values[i] ?? 0;
      keys[i] = Number.isNaN(value) ? Number.POSITIVE_INFINITY : Math.abs(value);
    }
    return keys;
  }
  const words = width === 4 ? viewAs(Uint32Array, bytes, count) : viewAs(Uint16Array, bytes, count);
  const size = width === 4 ? 0x7fffffff : 0x7fff;
  for (let i = 0; i < count; i++) keys[i] = (words[i] ?? 0) & size;
  return keys;
}
