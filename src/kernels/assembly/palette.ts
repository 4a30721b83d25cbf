// Chunks of few distinct values: a table of them, ascending as unsigned integers, and an index byte an element.
// Reference: ../reference/palette.ts.

/** A hash table in `work`: 1024 × u64 values, 1024 × u16 numbers of values from 1, in the order in which they were found. */
const SLOTS: usize = 1024;
const NUMBERS: usize = 8 * SLOTS;
/** u8 × 256: the number of a value when all are sorted. */
const RANKS: usize = NUMBERS + 2 * SLOTS;
const PLACES: usize = RANKS + 256;

/**
 * Finds at most 256 distinct elements of `width` 2, 4 or 8 bytes (u64 each, ascending, at `values`), and writes the index
 * of every element among them (a byte each) to `out`. 0 if there are more. `work`: 12 KiB. `out` may be written to 16
 * bytes past its end.
 */
export function paletteOf(src: usize, n: i32, width: i32, values: usize, out: usize, work: usize): i32 {
  memory.fill(work, 0, NUMBERS + 2 * SLOTS);
  // An empty slot must not look as if it held the value that belongs there: 0 does to slot 0 alone.
  store<u64>(work, 1);
  const found =
    width == 4
      ? number<u32>(src, n, values, out, work)
      : width == 2
        ? number<u16>(src, n, values, out, work)
        : number<u64>(src, n, values, out, work);
  if (found > 1) {
    sortValues(values, found, work);
    rank(out, n, found, work);
  }
  return found;
}

/** Numbers values as they come, from 0. Most are where their hash says: whatever comes next, that branch is foreseen. */
// @ts-ignore: decorator
@inline
function number<T>(src: usize, n: i32, values: usize, out: usize, work: usize): i32 {
  let found = 0;
  const end = src + <usize>n * sizeof<T>();
  for (; src < end; src += sizeof<T>(), out++) {
    const x = <u64>load<T>(src);
    let slot = hashOf(x);
    if (load<u64>(work + (slot << 3)) != x) {
      let number = load<u16>(work + (slot << 1), NUMBERS);
      while (number != 0 && load<u64>(work + (slot << 3)) != x) {
        slot = (slot + 1) & (SLOTS - 1);
        number = load<u16>(work + (slot << 1), NUMBERS);
      }
      if (number == 0) {
        if (found == 256) return 0;
        store<u64>(values + (<usize>found << 3), x);
        store<u64>(work + (slot << 3), x);
        store<u16>(work + (slot << 1), <u16>++found, NUMBERS);
      }
    }
    store<u8>(out, <u8>(load<u16>(work + (slot << 1), NUMBERS) - 1));
  }
  return found;
}

// @ts-ignore: decorator
@inline
function hashOf(x: u64): usize {
  return <usize>((x * 0x9e3779b97f4a7c15) >> 54);
}

/** Insertion sort: few values. RANKS: where the ones found first, second, … went. */
function sortValues(values: usize, found: i32, work: usize): void {
  const places = work + PLACES;
  for (let i: usize = 0; i < <usize>found; i++) {
    const x = load<u64>(values + (i << 3));
    let j = i;
    while (j > 0 && load<u64>(values + ((j - 1) << 3)) > x) {
      store<u64>(values + (j << 3), load<u64>(values + ((j - 1) << 3)));
      store<u8>(places + j, load<u8>(places + j - 1));
      j--;
    }
    store<u64>(values + (j << 3), x);
    store<u8>(places + j, <u8>i);
  }
  for (let i: usize = 0; i < <usize>found; i++) store<u8>(work + RANKS + <usize>load<u8>(places + i), <u8>i);
}

/** Numbers in the order of finding become those in the order of values. */
function rank(numbers: usize, n: i32, found: i32, work: usize): void {
  const ranks = work + RANKS;
  const end = numbers + <usize>n;
  if (found <= 16) {
    const table = v128.load(ranks);
    for (let i = numbers; i < end; i += 16) v128.store(i, i8x16.swizzle(table, v128.load(i)));
  } else for (let i = numbers; i < end; i++) store<u8>(i, load<u8>(ranks + <usize>load<u8>(i)));
}

/** Elements from indices; false if an index has no value. `values` as u64. */
export function paletteElements(indices: usize, n: i32, width: i32, values: usize, found: i32, out: usize): bool {
  let worst: u32 = 0;
  for (let i: usize = 0; i < <usize>n; i++) {
    const index = <u32>load<u8>(indices + i);
    worst = max(worst, index);
    const x = load<u64>(values + (<usize>index << 3));
    if (width == 4) store<u32>(out + (i << 2), <u32>x);
    else if (width == 2) store<u16>(out + (i << 1), <u16>x);
    else store<u64>(out + (i << 3), x);
  }
  return worst < <u32>found;
}

/** dst = a xor b, byte by byte. */
export function xorBytes(a: usize, b: usize, n: i32, dst: usize): void {
  const wide = <usize>n & ~15;
  let i: usize = 0;
  for (; i < wide; i += 16) v128.store(dst + i, v128.xor(v128.load(a + i), v128.load(b + i)));
  for (; i < <usize>n; i++) store<u8>(dst + i, load<u8>(a + i) ^ load<u8>(b + i));
}
