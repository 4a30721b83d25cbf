// Chunks of few distinct values: a table of them, ascending as unsigned integers, and an index byte an element.
// Reference: ../reference/palette.ts.

/** Finds at most 256 distinct elements of `width` 2, 4 or 8 bytes (u64 each, ascending, at `values`). 0 if there are more. `work`: 8 KiB. */
export function paletteOf(src: usize, n: i32, width: i32, values: usize, work: usize): i32 {
  // Open addressing: 1024 slots of u32, an index + 1 into `values`.
  memory.fill(work, 0, 4096);
  let found = 0;
  let last: u64 = ~(<u64>0);
  let any = false;
  for (let i: usize = 0; i < <usize>n; i++) {
    const x = element(src, i, width);
    if (any && x == last) continue;
    last = x;
    any = true;
    let slot = hashOf(x);
    for (;;) {
      const index = load<u32>(work + (slot << 2));
      if (index == 0) {
        if (found == 256) return 0;
        store<u64>(values + (<usize>found << 3), x);
        store<u32>(work + (slot << 2), <u32>++found);
        break;
      }
      if (load<u64>(values + (<usize>(index - 1) << 3)) == x) break;
      slot = (slot + 1) & 1023;
    }
  }
  // Insertion sort: few values.
  for (let i = 1; i < found; i++) {
    const x = load<u64>(values + (<usize>i << 3));
    let j = i;
    while (j > 0 && load<u64>(values + (<usize>(j - 1) << 3)) > x) {
      store<u64>(values + (<usize>j << 3), load<u64>(values + (<usize>(j - 1) << 3)));
      j--;
    }
    store<u64>(values + (<usize>j << 3), x);
  }
  return found;
}

// @ts-ignore: decorator
@inline
function element(src: usize, i: usize, width: i32): u64 {
  if (width == 4) return <u64>load<u32>(src + (i << 2));
  if (width == 2) return <u64>load<u16>(src + (i << 1));
  return load<u64>(src + (i << 3));
}
// @ts-ignore: decorator
@inline
function hashOf(x: u64): usize {
  return <usize>((x * 0x9e3779b97f4a7c15) >> 54);
}

/** The index of every element in the `found` values (a byte each). */
export function paletteIndices(src: usize, n: i32, width: i32, values: usize, found: i32, out: usize, work: usize): void {
  memory.fill(work, 0, 4096);
  for (let v = 0; v < found; v++) {
    let slot = hashOf(load<u64>(values + (<usize>v << 3)));
    while (load<u32>(work + (slot << 2)) != 0) slot = (slot + 1) & 1023;
    store<u32>(work + (slot << 2), <u32>v + 1);
  }
  for (let i: usize = 0; i < <usize>n; i++) {
    const x = element(src, i, width);
    let slot = hashOf(x);
    for (;;) {
      const index = load<u32>(work + (slot << 2)) - 1;
      if (load<u64>(values + (<usize>index << 3)) == x) {
        store<u8>(out + i, <u8>index);
        break;
      }
      slot = (slot + 1) & 1023;
    }
  }
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
