// Where elements differ, and elements gathered from positions and scattered to them.
// Reference: ../reference/positions.ts.

/** In `work`: for every 8 bits the places of those that are set, u32 each. */
function placeTable(table: usize): void {
  for (let bits: u32 = 0; bits < 256; bits++) {
    let at = table + (<usize>bits << 5);
    for (let place: u32 = 0; place < 8; place++)
      if ((bits >> place) & 1) {
        store<u32>(at, place);
        at += 4;
      }
  }
}

/**
 * Ascending positions (u32) at which elements of `width` bytes differ, 16 at a time and without a branch for each (where
 * they lie is noise); the search ends soon after `limit`. Reads up to 127 bytes past the end and does not count
 * what differs there; writes up to 32 bytes past the last position. `work`: 8 KiB.
 */
export function differingPositions(a: usize, b: usize, n: i32, width: i32, out: usize, limit: i32, work: usize): i32 {
  placeTable(work);
  let to = out;
  const most = out + (<usize>limit << 2);
  for (let i: usize = 0; i < <usize>n && to <= most; i += 16) {
    let differ = unequal(a, b, i, width);
    if (differ == 0) continue;
    if (i + 16 > <usize>n) differ &= (1 << (<u32>n - <u32>i)) - 1;
    const low = work + (<usize>(differ & 255) << 5);
    const from = i32x4.splat(<i32>i);
    v128.store(to, i32x4.add(from, v128.load(low)));
    v128.store(to, i32x4.add(from, v128.load(low, 16)), 16);
    to += <usize>popcnt<u32>(differ & 255) << 2;
    const high = work + (<usize>(differ >> 8) << 5);
    const next = i32x4.splat(<i32>i + 8);
    v128.store(to, i32x4.add(next, v128.load(high)));
    v128.store(to, i32x4.add(next, v128.load(high, 16)), 16);
    to += <usize>popcnt<u32>(differ >> 8) << 2;
  }
  return <i32>((to - out) >> 2);
}

/** Elements that differ. Reads up to 127 bytes past the end and does not count what differs there. */
export function countDiffering(a: usize, b: usize, n: i32, width: i32): i32 {
  let found: u32 = 0;
  const wide = <usize>n & ~15;
  for (let i: usize = 0; i < wide; i += 16) found += popcnt<u32>(unequal(a, b, i, width));
  if (wide < <usize>n) found += popcnt<u32>(unequal(a, b, wide, width) & ((1 << (<u32>n - <u32>wide)) - 1));
  return <i32>found;
}

/** Elements that are not all zeros. Reads up to 127 bytes past the end and does not count those. */
export function countNonZero(a: usize, n: i32, width: i32): i32 {
  let found: u32 = 0;
  const wide = <usize>n & ~15;
  for (let i: usize = 0; i < wide; i += 16) found += popcnt<u32>(nonZero(a, i, width));
  if (wide < <usize>n) found += popcnt<u32>(nonZero(a, wide, width) & ((1 << (<u32>n - <u32>wide)) - 1));
  return <i32>found;
}

// @ts-ignore: decorator
@inline
function nonZero(a: usize, i: usize, width: i32): u32 {
  const none = i32x4.splat(0);
  if (width == 2) {
    const at = a + (i << 1);
    const x = i16x8.ne(v128.load(at), none);
    const y = i16x8.ne(v128.load(at, 16), none);
    return <u32>i8x16.bitmask(i8x16.narrow_i16x8_s(x, y));
  }
  if (width == 4) {
    const at = a + (i << 2);
    const x = i16x8.narrow_i32x4_s(i32x4.ne(v128.load(at), none), i32x4.ne(v128.load(at, 16), none));
    const y = i16x8.narrow_i32x4_s(i32x4.ne(v128.load(at, 32), none), i32x4.ne(v128.load(at, 48), none));
    return <u32>i8x16.bitmask(i8x16.narrow_i16x8_s(x, y));
  }
  if (width == 1) return <u32>i8x16.bitmask(i8x16.ne(v128.load(a + i), none));
  let bits: u32 = 0;
  for (let k: usize = 0; k < 16; k++) bits |= <u32>(load<u64>(a + ((i + k) << 3)) != 0) << <u32>k;
  return bits;
}

/** A bit for each of 16 elements from `i` on. */
// @ts-ignore: decorator
@inline
function unequal(a: usize, b: usize, i: usize, width: i32): u32 {
  if (width == 2) {
    const x = i16x8.ne(v128.load(a + (i << 1)), v128.load(b + (i << 1)));
    const y = i16x8.ne(v128.load(a + (i << 1), 16), v128.load(b + (i << 1), 16));
    return <u32>i8x16.bitmask(i8x16.narrow_i16x8_s(x, y));
  }
  if (width == 4) {
    const at = a + (i << 2);
    const bt = b + (i << 2);
    const x = i16x8.narrow_i32x4_s(i32x4.ne(v128.load(at), v128.load(bt)), i32x4.ne(v128.load(at, 16), v128.load(bt, 16)));
    const y = i16x8.narrow_i32x4_s(i32x4.ne(v128.load(at, 32), v128.load(bt, 32)), i32x4.ne(v128.load(at, 48), v128.load(bt, 48)));
    return <u32>i8x16.bitmask(i8x16.narrow_i16x8_s(x, y));
  }
  if (width == 1) return <u32>i8x16.bitmask(i8x16.ne(v128.load(a + i), v128.load(b + i)));
  let bits: u32 = 0;
  for (let k: usize = 0; k < 16; k++) bits |= <u32>(load<u64>(a + ((i + k) << 3)) != load<u64>(b + ((i + k) << 3))) << <u32>k;
  return bits;
}

// @ts-ignore: decorator
@inline
function gather<T>(src: usize, positions: usize, n: usize, out: usize): void {
  const end = positions + ((n & ~3) << 2);
  for (; positions < end; positions += 16, out += 4 * sizeof<T>()) {
    store<T>(out, load<T>(src + <usize>load<u32>(positions) * sizeof<T>()));
    store<T>(out, load<T>(src + <usize>load<u32>(positions, 4) * sizeof<T>()), sizeof<T>());
    store<T>(out, load<T>(src + <usize>load<u32>(positions, 8) * sizeof<T>()), 2 * sizeof<T>());
    store<T>(out, load<T>(src + <usize>load<u32>(positions, 12) * sizeof<T>()), 3 * sizeof<T>());
  }
  for (let i: usize = 0; i < (n & 3); i++)
    store<T>(out + i * sizeof<T>(), load<T>(src + <usize>load<u32>(positions + (i << 2)) * sizeof<T>()));
}

// @ts-ignore: decorator
@inline
function scatter<T>(src: usize, positions: usize, n: usize, out: usize): void {
  const end = positions + ((n & ~3) << 2);
  for (; positions < end; positions += 16, src += 4 * sizeof<T>()) {
    store<T>(out + <usize>load<u32>(positions) * sizeof<T>(), load<T>(src));
    store<T>(out + <usize>load<u32>(positions, 4) * sizeof<T>(), load<T>(src, sizeof<T>()));
    store<T>(out + <usize>load<u32>(positions, 8) * sizeof<T>(), load<T>(src, 2 * sizeof<T>()));
    store<T>(out + <usize>load<u32>(positions, 12) * sizeof<T>(), load<T>(src, 3 * sizeof<T>()));
  }
  for (let i: usize = 0; i < (n & 3); i++)
    store<T>(out + <usize>load<u32>(positions + (i << 2)) * sizeof<T>(), load<T>(src + i * sizeof<T>()));
}

/** Elements at the positions, one after the other. */
export function gatherAt(src: usize, positions: usize, n: i32, width: i32, out: usize): void {
  if (width == 4) gather<u32>(src, positions, <usize>n, out);
  else if (width == 2) gather<u16>(src, positions, <usize>n, out);
  else if (width == 8) gather<u64>(src, positions, <usize>n, out);
  else gather<u8>(src, positions, <usize>n, out);
}

/** The inverse: elements put to the positions. */
export function scatterAt(src: usize, positions: usize, n: i32, width: i32, out: usize): void {
  if (width == 4) scatter<u32>(src, positions, <usize>n, out);
  else if (width == 2) scatter<u16>(src, positions, <usize>n, out);
  else if (width == 8) scatter<u64>(src, positions, <usize>n, out);
  else scatter<u8>(src, positions, <usize>n, out);
}
