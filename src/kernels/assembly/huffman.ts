// Huffman codes of at most 256 symbols: code lengths from counts, canonical codes, tables to write and to read with.
// Codes are written from the lowest bit up, so a code stands bit-reversed in its table. Built here and not in
// JavaScript: a table is made for every plane of every chunk. Reference: ../reference/huffman.ts.

import { rawBits } from './classes';

/** Longest code. */
export const LIMIT: i32 = 11;
/** Entries of a reading table. */
export const SLOTS: i32 = 1 << 11;

/**
 * Code lengths (u8 each) for `n` counts (u32 each): 0 for what never occurs, and 0 for a symbol that is the only one.
 * `scratch`: 16 bytes a symbol. Gives the number of symbols that occur.
 */
export function huffmanLengths(counts: usize, n: i32, lengths: usize, scratch: usize): i32 {
  let used = 0;
  for (let s = 0; s < n; s++) {
    store<u8>(lengths + s, 0);
    const count = load<u32>(counts + (<usize>s << 2));
    if (count == 0) continue;
    store<u64>(scratch + (<usize>used << 3), (<u64>count << 8) | <u64>s);
    used++;
  }
  if (used < 2) return used;
  sortKeys(scratch, used);
  const a = scratch + (<usize>n << 3);
  for (let i = 0; i < used; i++) put(a, i, <u32>(load<u64>(scratch + (<usize>i << 3)) >> 8));
  minimumRedundancy(a, used);
  limitLengths(a, used);
  for (let i = 0; i < used; i++)
    store<u8>(lengths + <usize>(load<u64>(scratch + (<usize>i << 3)) & 255), <u8>at(a, i));
  return used;
}

// @ts-ignore: decorator
@inline
function at(a: usize, i: i32): u32 {
  return load<u32>(a + (<usize>i << 2));
}
// @ts-ignore: decorator
@inline
function put(a: usize, i: i32, value: u32): void {
  store<u32>(a + (<usize>i << 2), value);
}

/** Shell sort, ascending. Keys are unique. */
function sortKeys(keys: usize, n: i32): void {
  let gap = 1;
  while (gap < n) gap = gap * 3 + 1;
  for (gap = gap / 3; gap > 0; gap = gap / 3)
    for (let i = gap; i < n; i++) {
      const key = load<u64>(keys + (<usize>i << 3));
      let j = i;
      while (j >= gap) {
        const other = load<u64>(keys + (<usize>(j - gap) << 3));
        if (other <= key) break;
        store<u64>(keys + (<usize>j << 3), other);
        j -= gap;
      }
      store<u64>(keys + (<usize>j << 3), key);
    }
}

/** Ascending counts become code lengths in place (Moffat and Katajainen, In-Place Calculation of Minimum-Redundancy Codes, 1995). */
function minimumRedundancy(a: usize, n: i32): void {
  put(a, 0, at(a, 0) + at(a, 1));
  let root = 0;
  let leaf = 2;
  for (let next = 1; next < n - 1; next++) {
    if (leaf >= n || at(a, root) < at(a, leaf)) {
      put(a, next, at(a, root));
      put(a, root++, next);
    } else put(a, next, at(a, leaf++));
    if (leaf >= n || (root < next && at(a, root) < at(a, leaf))) {
      put(a, next, at(a, next) + at(a, root));
      put(a, root++, next);
    } else put(a, next, at(a, next) + at(a, leaf++));
  }
  put(a, n - 2, 0);
  for (let next = n - 3; next >= 0; next--) put(a, next, at(a, at(a, next)) + 1);
  let available = 1;
  let used = 0;
  let depth: u32 = 0;
  root = n - 2;
  let next = n - 1;
  while (available > 0) {
    while (root >= 0 && at(a, root) == depth) {
      used++;
      root--;
    }
    while (available > used) {
      put(a, next--, depth);
      available--;
    }
    available = 2 * used;
    depth++;
    used = 0;
  }
}

/** No length above LIMIT: the rarest symbols give way, the commonest take what is left over. */
function limitLengths(a: usize, n: i32): void {
  const whole: i32 = 1 << LIMIT;
  let sum: i32 = 0;
  for (let i = 0; i < n; i++) {
    if (at(a, i) > <u32>LIMIT) put(a, i, <u32>LIMIT);
    sum += 1 << (LIMIT - <i32>at(a, i));
  }
  for (let i = 0; i < n && sum > whole; i++)
    while (at(a, i) < <u32>LIMIT && sum > whole) {
      put(a, i, at(a, i) + 1);
      sum -= 1 << (LIMIT - <i32>at(a, i));
    }
  for (let i = n - 1; i >= 0 && sum < whole; i--)
    while (at(a, i) > 1 && sum + (1 << (LIMIT - <i32>at(a, i))) <= whole) {
      sum += 1 << (LIMIT - <i32>at(a, i));
      put(a, i, at(a, i) - 1);
    }
}

// @ts-ignore: decorator
@inline
function reversed(code: u32, length: u32): u32 {
  let r: u32 = 0;
  for (let i: u32 = 0; i < length; i++) r |= ((code >> i) & 1) << (length - 1 - i);
  return r;
}

/** u32 for each symbol: code | length << 16. False if the lengths are none of a prefix code. */
export function huffmanCodes(lengths: usize, n: i32, codes: usize): bool {
  let code: u32 = 0;
  for (let length: u32 = 1; length <= <u32>LIMIT; length++) {
    for (let s = 0; s < n; s++)
      if (<u32>load<u8>(lengths + s) == length) {
        if (code >= 1 << length) return false;
        store<u32>(codes + (<usize>s << 2), reversed(code, length) | (length << 16));
        code++;
      }
    code <<= 1;
  }
  for (let s = 0; s < n; s++) {
    const length = load<u8>(lengths + s);
    if (length > <u8>LIMIT) return false;
    if (length == 0) store<u32>(codes + (<usize>s << 2), 0);
  }
  return true;
}

/** Entries of reading tables: length | symbol << 4; … */
export const PLAIN: i32 = 0;
/** … of classes below 64 (classes.ts): (length << 6 | class) << 6, with all bits, those after the code too, below; … */
export const SHORT_PARTS: i32 = 1;
/** … of classes below 128: (length << 7 | class) << 4. */
export const LONG_PARTS: i32 = 2;

/** Reading table, u16 each of a kind: every code of `codes` at all places that end in it. */
export function huffmanTable(codes: usize, n: i32, table: usize, kind: i32): void {
  const none = <u16>entryOf(<u32>LIMIT, 0, kind);
  store<u16>(table, none);
  store<u16>(table, none, 2);
  // The table of all codes of a length, twice, is that of the next length without its codes.
  for (let length: u32 = 1; length <= <u32>LIMIT; length++) {
    const half: usize = 1 << length;
    if (length > 1) memory.copy(table + half, table, half);
    for (let s = 0; s < n; s++) {
      const code = load<u32>(codes + (<usize>s << 2));
      if (code >> 16 == length) store<u16>(table + (<usize>(code & 0xffff) << 1), <u16>entryOf(length, s, kind));
    }
  }
}

// @ts-ignore: decorator
@inline
function entryOf(length: u32, symbol: u32, kind: i32): u32 {
  if (kind == PLAIN) return length | (symbol << 4);
  if (kind == LONG_PARTS) return (length << 11) | (symbol << 4);
  return (length << 12) | (symbol << 6) | (length + rawBits(symbol));
}

/** A table whose only code is no bits long. */
export function fillTable(symbol: i32, table: usize, kind: i32): void {
  const entry = <u16>entryOf(0, symbol, kind);
  for (let i = 0; i < SLOTS; i++) store<u16>(table + (<usize>i << 1), entry);
}

/**
 * Lengths as they are stored: first and last symbol that occur (a byte each), then, unless they are the same, the
 * lengths between them, half a byte each, the lower half first. Gives the bytes written.
 */
export function storeLengths(counts: usize, lengths: usize, n: i32, out: usize): i32 {
  let first = 0;
  while (first < n - 1 && load<u32>(counts + (<usize>first << 2)) == 0) first++;
  let last = n - 1;
  while (last > first && load<u32>(counts + (<usize>last << 2)) == 0) last--;
  store<u8>(out, <u8>first);
  store<u8>(out + 1, <u8>last);
  if (first == last) return 2;
  let at = out + 2;
  for (let s = first; s <= last; s += 2) {
    const high = s + 1 <= last ? load<u8>(lengths + s + 1) : <u8>0;
    store<u8>(at++, load<u8>(lengths + s) | (high << 4));
  }
  return <i32>(at - out);
}

/** Bytes that `storeLengths` writes. */
export function storedLengthBytes(counts: usize, n: i32): i32 {
  let first = 0;
  while (first < n - 1 && load<u32>(counts + (<usize>first << 2)) == 0) first++;
  let last = n - 1;
  while (last > first && load<u32>(counts + (<usize>last << 2)) == 0) last--;
  return first == last ? 2 : 2 + (last - first + 2) / 2;
}

/** What `loadTable` found: the only symbol, or -1. */
let only: i32 = -1;
export function onlySymbol(): i32 {
  return only;
}

/** … and the symbols up to the last one that has a code. */
let symbols: i32 = 0;
export function symbolsRead(): i32 {
  return symbols;
}

/**
 * Reads stored lengths and makes the reading table (`kind` as there); the codes (u32 each) lie in `scratch` then. Gives the
 * bytes read, 0 if they are none. `scratch`: 8 bytes a symbol.
 */
export function loadTable(src: usize, end: usize, n: i32, table: usize, scratch: usize, kind: i32 = PLAIN): i32 {
  if (src + 2 > end) return 0;
  const first = <i32>load<u8>(src);
  const last = <i32>load<u8>(src + 1);
  only = -1;
  if (first > last || last >= n) return 0;
  symbols = last + 1;
  if (first == last) {
    only = first;
    fillTable(first, table, kind);
    return 2;
  }
  const bytes = 2 + (last - first + 2) / 2;
  if (src + <usize>bytes > end) return 0;
  const lengths = scratch + (<usize>n << 2);
  for (let s = 0; s < first; s++) store<u8>(lengths + s, 0);
  for (let s = first; s <= last; s++) {
    const pair = load<u8>(src + 2 + ((s - first) >> 1));
    store<u8>(lengths + s, ((s - first) & 1) == 0 ? pair & 15 : pair >> 4);
  }
  if (!huffmanCodes(lengths, symbols, scratch)) return 0;
  huffmanTable(scratch, symbols, table, kind);
  return bytes;
}
