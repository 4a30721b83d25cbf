// Differences to a base: elements as ordered integers (a float of W bits becomes the unsigned integer that sorts as it
// does), subtracted modulo 2^W; the magnitude as a Huffman-coded class and its low bits raw, the sign one bit. The code
// of the classes depends on the exponent of the base element: a step of the optimizer has about the same size for all
// weights of a tensor, so it moves small weights by many units in the last place and large ones by few.
// Reference: ../reference/residual.ts.
//
// Stored: u8 number of contexts K (1 to 16); K − 1 bytes: the first exponent of contexts 1 … K − 1; K code tables
// (huffman.ts, storeLengths); u32 × 3: bytes of the first three of four streams, a quarter of the elements each.
import { classOf, fourClasses, fourDifferences, lowBits, rawBits } from './classes';
import { groupExponents, isSampled, joint, rowsEnd, rowsLast, rowsOf, rowsOrigin, rowTable } from './contexts';
import { differences, sameElements } from './differences';
import { huffmanCodes, huffmanLengths, storedLengthBytes, storeLengths } from './huffman';
import { CLASSES, CODES, JOINT, LENGTHS, SCRATCH, STARTS, SUMS, WRITE_ENTRIES, WRITE_TABLES, WRITE_VALUES } from './residual-work';

/**
 * Makes the codes for `n` elements of `width` bytes (1, 2 or 4) against as many of the base. Gives the bytes that
 * `residualEncode` will write (a few more at most). `diffs` (as many bytes as the elements) and `exps` (a byte an
 * element) are kept for it; both may be written to 64 bytes past their end.
 */
export function residualModel(src: usize, base: usize, n: i32, width: i32, shift: i32, diffs: usize, exps: usize, work: usize): i32 {
  memory.fill(work + JOINT, 0, 262144);
  elements = n;
  const largest = differences(src, base, n, width, shift, diffs, exps);
  if (width == 4) joint<i32>(n, diffs, exps, work);
  else if (width == 2) joint<i16>(n, diffs, exps, work);
  else joint<i8>(n, diffs, exps, work);
  const groups = groupExponents(work);
  if (isSampled(n, width)) {
    // What the sample does not have may come all the same.
    const most = <usize>classOf(largest);
    for (let g: usize = 0; g < <usize>groups; g++)
      for (let c: usize = 0; c <= most; c++) {
        const cell = work + SUMS + (g << 9) + (c << 2);
        store<u32>(cell, (16 / width) * load<u32>(cell) + 1);
      }
  }
  let bits: u64 = 0;
  let bytes = 16 + groups;
  for (let g = 0; g < groups; g++) {
    const sums = work + SUMS + (<usize>g << 9);
    const lengths = work + LENGTHS + (<usize>g << 7);
    huffmanLengths(sums, CLASSES, lengths, work + SCRATCH);
    huffmanCodes(lengths, CLASSES, work + CODES + (<usize>g << 9));
    bytes += storedLengthBytes(sums, CLASSES);
    for (let c = 0; c < CLASSES; c++) {
      const raw = c == 0 ? 0 : 1 + lowBits(c);
      bits += <u64>load<u32>(sums + (<usize>c << 2)) * <u64>(<u32>load<u8>(lengths + c) + raw);
    }
  }
  return bytes + <i32>(bits >> 3);
}

/** Of how many elements `residualModel` made codes last, … */
let elements: i32 = 0;
/** … and in how many of them there was a difference. */
export function residualChanged(): i32 {
  return elements - sameElements();
}

/**
 * What to write for a class, 32 bytes for each of 16 × 128: u64 K, u64 2^bits, u16 2^(length of the code), u8 bits: of the
 * code with sign and low bits. Of a magnitude m and a sign s, K + (2 m + s) 2^length is the code, the sign and the low bits:
 * K is the code less what the highest bits of m add.
 */
function writingTables(groups: i32, work: usize): void {
  for (let g: usize = 0; g < <usize>groups; g++)
    for (let c: u32 = 0; c < <u32>CLASSES; c++) {
      const code = load<u32>(work + CODES + (g << 9) + (<usize>c << 2));
      const length = <u64>(code >> 16);
      const low = lowBits(c);
      const base = c < 4 ? c : (4 | (c & 3)) << low;
      const entry = WRITE_TABLES + (g << 12) + (<usize>c << 5);
      store<u64>(entry, <u64>(code & 0xffff) - (<u64>(base << 1) << length));
      const bits = <u32>length + rawBits(c);
      store<u64>(entry, <u64>1 << <u64>bits, 8);
      store<u16>(entry, <u16>(<u64>1 << length), 16);
      store<u8>(entry, <u8>bits, 18);
    }
}

/** 2 m + s of four differences (modulo 2^32) go to `to`. Gives their classes. */
// @ts-ignore: decorator
@inline
function signedClasses<T>(at: usize, to: usize): v128 {
  const d = fourDifferences<T>(at);
  const m = i32x4.abs(d);
  v128.store(to, v128.or(i32x4.shl(m, 1), i32x4.shr_u(d, 31)));
  return fourClasses<T>(m);
}

/** Elements at a time: what is prepared for them stays in the nearest cache. */
const BLOCK: usize = 240;
/** Bytes of the values and of the entries of a stream. */
const VALUES: usize = 4 * (BLOCK + 16);
const ENTRIES: usize = 2 * (BLOCK + 16);

/** Prepares elements from `i` on (a few more than `count`): the contexts and classes of all at once. */
function prepare<T>(i: usize, count: usize, diffs: usize, exps: usize, values: usize, entries: usize, work: usize): void {
  const origin = rowsOrigin();
  const last = rowsLast();
  const end = rowsEnd(work);
  const four: usize = 4 * sizeof<T>();
  for (let k: usize = 0; k < count; k += 16) {
    const to = values + (k << 2);
    const at = diffs + (i + k) * sizeof<T>();
    const low = i16x8.narrow_i32x4_u(signedClasses<T>(at, to), signedClasses<T>(at + four, to + 16));
    const high = i16x8.narrow_i32x4_u(signedClasses<T>(at + 2 * four, to + 32), signedClasses<T>(at + 3 * four, to + 48));
    const rows = rowsOf(v128.load(exps + i + k), origin, last, end, work);
    const places = entries + (k << 1);
    v128.store(places, v128.or(i16x8.shl(low, 5), i16x8.shl(i16x8.extend_low_i8x16_u(rows), 12)));
    v128.store(places, v128.or(i16x8.shl(high, 5), i16x8.shl(i16x8.extend_high_i8x16_u(rows), 12)), 16);
  }
}

/** What a prepared element makes, at most 41 bits; `bitsOf` of it are to be written. */
// @ts-ignore: decorator
@inline
function valueOf(x: u32, entry: usize): u64 {
  return load<u64>(entry, WRITE_TABLES) + <u64>x * <u64>load<u16>(entry, WRITE_TABLES + 16);
}
// @ts-ignore: decorator
@inline
function bitsOf(entry: usize): u64 {
  return <u64>load<u8>(entry, WRITE_TABLES + 18);
}
/** 2^bits: several go together by multiplying, which takes less than shifting by what is not constant. */
// @ts-ignore: decorator
@inline
function powerOf(entry: usize): u64 {
  return load<u64>(entry, WRITE_TABLES + 8);
}

/** Bits of three that go out together, with the 7 that are left over: less than 64. */
const TOGETHER: u64 = 56;

/** Where the second stream of a pair ended. */
let secondEnd: usize = 0;

/** Two streams at a time, so that neither waits for itself: the second one goes to `aside`. Gives the end of the first. */
function encodePair<T>(from: usize, middle: usize, end: usize, diffs: usize, exps: usize, out: usize, aside: usize, work: usize): usize {
  let to0 = out;
  let to1 = aside;
  let acc0: u64 = 0;
  let acc1: u64 = 0;
  let bits0: u64 = 0;
  let bits1: u64 = 0;
  let i = from;
  let j = middle;
  while (i < middle) {
    // The second stream is the shorter one, if by a few.
    const count = min(BLOCK, middle - i);
    const both = min(count, end - j);
    prepare<T>(i, count, diffs, exps, WRITE_VALUES, WRITE_ENTRIES, work);
    prepare<T>(j, both, diffs, exps, WRITE_VALUES + VALUES, WRITE_ENTRIES + ENTRIES, work);
    let at = WRITE_VALUES;
    let entry = WRITE_ENTRIES;
    const both4 = at + (both << 2);
    const tripled: usize = sizeof<T>() < 4 ? at + ((both - (both % 3)) << 2) : 0;
    while (at < both4) {
      while (at < tripled) {
        const x = <usize>load<u16>(entry);
        const u = <usize>load<u16>(entry, 2);
        const p = <usize>load<u16>(entry, 4);
        const y = <usize>load<u16>(entry, ENTRIES);
        const v = <usize>load<u16>(entry, ENTRIES + 2);
        const q = <usize>load<u16>(entry, ENTRIES + 4);
        const more0 = bitsOf(x) + bitsOf(u) + bitsOf(p);
        const more1 = bitsOf(y) + bitsOf(v) + bitsOf(q);
        if (max(more0, more1) > TOGETHER) break;
        const third0 = valueOf(load<u32>(at, 8), p);
        const third1 = valueOf(load<u32>(at, VALUES + 8), q);
        const second0 = third0 * powerOf(u) + valueOf(load<u32>(at, 4), u);
        const second1 = third1 * powerOf(v) + valueOf(load<u32>(at, VALUES + 4), v);
        acc0 |= (second0 * powerOf(x) + valueOf(load<u32>(at), x)) << bits0;
        acc1 |= (second1 * powerOf(y) + valueOf(load<u32>(at, VALUES), y)) << bits1;
        bits0 += more0;
        bits1 += more1;
        store<u64>(to0, acc0);
        store<u64>(to1, acc1);
        to0 += <usize>(bits0 >> 3);
        to1 += <usize>(bits1 >> 3);
        acc0 >>= bits0 & ~7;
        acc1 >>= bits1 & ~7;
        bits0 &= 7;
        bits1 &= 7;
        at += 12;
        entry += 6;
      }
      // Three that are too long for it, or what is left.
      const until = at < tripled ? at + 12 : both4;
      while (at < until) {
        const x = <usize>load<u16>(entry);
        const y = <usize>load<u16>(entry, ENTRIES);
        acc0 |= valueOf(load<u32>(at), x) << bits0;
        acc1 |= valueOf(load<u32>(at, VALUES), y) << bits1;
        bits0 += bitsOf(x);
        bits1 += bitsOf(y);
        store<u64>(to0, acc0);
        store<u64>(to1, acc1);
        to0 += <usize>(bits0 >> 3);
        to1 += <usize>(bits1 >> 3);
        acc0 >>= bits0 & ~7;
        acc1 >>= bits1 & ~7;
        bits0 &= 7;
        bits1 &= 7;
        at += 4;
        entry += 2;
      }
    }
    const count4 = WRITE_VALUES + (count << 2);
    while (at < count4) {
      const x = <usize>load<u16>(entry);
      acc0 |= valueOf(load<u32>(at), x) << bits0;
      bits0 += bitsOf(x);
      store<u64>(to0, acc0);
      to0 += <usize>(bits0 >> 3);
      acc0 >>= bits0 & ~7;
      bits0 &= 7;
      at += 4;
      entry += 2;
    }
    i += count;
    j += both;
  }
  if (bits0 > 0) store<u8>(to0++, <u8>acc0);
  if (bits1 > 0) store<u8>(to1++, <u8>acc1);
  secondEnd = to1;
  return to0;
}

/** Writes what `residualModel` saw last. `aside`: room for a stream. Gives the bytes written. */
export function residualEncode(n: i32, width: i32, diffs: usize, exps: usize, out: usize, aside: usize, work: usize): i32 {
  const groups = load<u32>(work + STARTS);
  store<u8>(out, <u8>groups);
  memory.copy(out + 1, work + STARTS + 5, <usize>groups - 1);
  let to = out + <usize>groups;
  for (let g: usize = 0; g < <usize>groups; g++)
    to += storeLengths(work + SUMS + (g << 9), work + LENGTHS + (g << 7), CLASSES, to);
  const head = to;
  to += 12;
  writingTables(groups, work);
  rowTable(groups, 1, work);
  const all = <usize>n;
  const quarter = (all + 3) >> 2;
  for (let q: usize = 0; q < 4; q += 2) {
    const from = min(all, q * quarter);
    const middle = min(all, from + quarter);
    const end = min(all, middle + quarter);
    const start = to;
    if (width == 4) to = encodePair<i32>(from, middle, end, diffs, exps, to, aside, work);
    else if (width == 2) to = encodePair<i16>(from, middle, end, diffs, exps, to, aside, work);
    else to = encodePair<i8>(from, middle, end, diffs, exps, to, aside, work);
    store<u32>(head + (q << 2), <u32>(to - start));
    const second = secondEnd - aside;
    memory.copy(to, aside, second);
    to += second;
    if (q == 0) store<u32>(head + 4, <u32>second);
  }
  return <i32>(to - out);
}
