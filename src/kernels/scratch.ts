const buffers: Float64Array[] = [];

/**
 * Room for `count` doubles, one for each number of `which`, kept for the next caller: for use between two awaits (or
 * yields) only.
 */
export function scratchDoubles(which: 0 | 1 | 2, count: number): Float64Array {
  const known = buffers[which];
  if (known && known.length >= count) return known;
  const fresh = new Float64Array(count);
  buffers[which] = fresh;
  return fresh;
}
