// Differences to a base: elements as ordered integers (a float of W bits becomes the unsigned integer that sorts as it
// does), subtracted modulo 2^W; the magnitude as a Huffman-coded class and its low bits raw, the sign one bit. The code
// of the classes depends on the exponent of the base element: a step of the optimizer has about the same size for all
// weights of a tensor, so it moves small weights by many units in the last place and large ones by few.
// Reference: ../reference/residual.ts.
//
// Stored: u8 number of contexts K (1 to 16); K − 1 bytes: the first exponent of contexts 1 … K − 1; K code tables
// (huffman.ts, storeLengths); u32 × 3: bytes of the first three of four streams, a quarter of the elements each.
import { huffmanCodes, huffmanLengths, loadTable, SLOTS, storedLengthBytes, storeLengths } from './huffman';

/** Classes: 0 … 3 are the magnitude; then four to an octave. 124 cover 32 bits. */
const CLASSES: i32 = 124;
const MAX_CONTEXTS: i32 = 16;
/** In `work` (at least 640 KiB). */
const JOINT: usize = 0; // 256 exponents × 128 × u32
const JOINT2: usize = 131072; // the same, for every other element
const ROWS: usize = 262144; // u32 × 256: context of an exponent
const SUMS: usize = 263168; // 16 × 128 × u32
const LENGTHS: usize = 271360; // 16 × 128
const CODES: usize = 273408; // 16 × 128 × u32
const SCRATCH: usize = 281600; // 4 KiB
const STARTS: usize = 285696; // u32: number of contexts; u8 × 16: first exponents
const TABLES: usize = 286720; // 16 × 2048 × u16: classes
const SHORT: usize = 352256; // 16 × 2048 × u16: whole differences; or 16 × 256 × u64 to write with
const CLASS_BASE: usize = 417792; // u32 × 128
const CLASS_BITS: usize = 418304; // u8 × 128: raw bits with the sign
const CLASS_MASK: usize = 418432; // u32 × 128: of the low bits
/** In a table of whole differences: not short enough. */
const LONG: u32 = 15;

// @ts-ignore: decorator
@inline
function classOf(m: u32): u32 {
  if (m < 4) return m;
  const k = 32 - clz<u32>(m);
  return ((k - 2) << 2) | ((m >> (k - 3)) & 3);
}
// @ts-ignore: decorator
@inline
function lowBits(c: u32): u32 {
  return c < 4 ? 0 : (c >> 2) - 1;
}
// @ts-ignore: decorator
@inline
function magnitude(d: i32): u32 {
  const s = d >> 31;
  return <u32>((d ^ s) - s);
}

// The ordered integer of a float: all bits turned over if it is negative, else the sign bit. Integers are as they are
// (`shift` 0): only differences count. `shift`: bits right of the exponent in an element shifted left by one.
// @ts-ignore: decorator
@inline
function ordered4(x: v128, floats: bool): v128 {
  if (!floats) return x;
  return v128.xor(x, v128.or(i32x4.shr_s(x, 31), i32x4.splat(0x80000000)));
}
// @ts-ignore: decorator
@inline
function ordered2(x: v128, floats: bool): v128 {
  if (!floats) return x;
  return v128.xor(x, v128.or(i16x8.shr_s(x, 15), i16x8.splat(<i16>0x8000)));
}
// @ts-ignore: decorator
@inline
function ordered1(x: v128, floats: bool): v128 {
  if (!floats) return x;
  return v128.xor(x, v128.or(i8x16.shr_s(x, 7), i8x16.splat(<i8>0x80)));
}
// @ts-ignore: decorator
@inline
function disordered4(o: v128, floats: bool): v128 {
  if (!floats) return o;
  return v128.xor(o, v128.or(v128.not(i32x4.shr_s(o, 31)), i32x4.splat(0x80000000)));
}
// @ts-ignore: decorator
@inline
function disordered2(o: v128, floats: bool): v128 {
  if (!floats) return o;
  return v128.xor(o, v128.or(v128.not(i16x8.shr_s(o, 15)), i16x8.splat(<i16>0x8000)));
}
// @ts-ignore: decorator
@inline
function disordered1(o: v128, floats: bool): v128 {
  if (!floats) return o;
  return v128.xor(o, v128.or(v128.not(i8x16.shr_s(o, 7)), i8x16.splat(<i8>0x80)));
}

/** Differences to the base, as many bytes as the elements. Reads and writes up to a vector past the end. */
function differences(src: usize, base: usize, n: i32, width: i32, floats: bool, out: usize): void {
  const bytes = <usize>n * <usize>width;
  if (width == 4)
    for (let i: usize = 0; i < bytes; i += 16)
      v128.store(out + i, i32x4.sub(ordered4(v128.load(src + i), floats), ordered4(v128.load(base + i), floats)));
  else if (width == 2)
    for (let i: usize = 0; i < bytes; i += 16)
      v128.store(out + i, i16x8.sub(ordered2(v128.load(src + i), floats), ordered2(v128.load(base + i), floats)));
  else
    for (let i: usize = 0; i < bytes; i += 16)
      v128.store(out + i, i8x16.sub(ordered1(v128.load(src + i), floats), ordered1(v128.load(base + i), floats)));
}

/** The inverse: `out` holds differences and is given the elements. */
function applyDifferences(base: usize, n: i32, width: i32, floats: bool, out: usize): void {
  const bytes = <usize>n * <usize>width;
  if (width == 4)
    for (let i: usize = 0; i < bytes; i += 16)
      v128.store(out + i, disordered4(i32x4.add(ordered4(v128.load(base + i), floats), v128.load(out + i)), floats));
  else if (width == 2)
    for (let i: usize = 0; i < bytes; i += 16)
      v128.store(out + i, disordered2(i16x8.add(ordered2(v128.load(base + i), floats), v128.load(out + i)), floats));
  else
    for (let i: usize = 0; i < bytes; i += 16)
      v128.store(out + i, disordered1(i8x16.add(ordered1(v128.load(base + i), floats), v128.load(out + i)), floats));
}

/** The exponents of the base, a byte each. Reads and writes up to four vectors past the end. */
function exponents(base: usize, n: i32, width: i32, shift: i32, out: usize): void {
  const count = <usize>n;
  if (shift == 0) memory.fill(out, 0, count + 64);
  else if (width == 4)
    for (let i: usize = 0; i < count; i += 16) {
      const at = base + (i << 2);
      const a = i32x4.shr_u(i32x4.shl(v128.load(at), 1), shift);
      const b = i32x4.shr_u(i32x4.shl(v128.load(at, 16), 1), shift);
      const c = i32x4.shr_u(i32x4.shl(v128.load(at, 32), 1), shift);
      const d = i32x4.shr_u(i32x4.shl(v128.load(at, 48), 1), shift);
      v128.store(out + i, i8x16.narrow_i16x8_u(i16x8.narrow_i32x4_u(a, b), i16x8.narrow_i32x4_u(c, d)));
    }
  else if (width == 2)
    for (let i: usize = 0; i < count; i += 16) {
      const at = base + (i << 1);
      const a = i16x8.shr_u(i16x8.shl(v128.load(at), 1), shift);
      const b = i16x8.shr_u(i16x8.shl(v128.load(at, 16), 1), shift);
      v128.store(out + i, i8x16.narrow_i16x8_u(a, b));
    }
  else
    for (let i: usize = 0; i < count; i += 16)
      v128.store(out + i, i8x16.shr_u(i8x16.shl(v128.load(base + i), 1), shift));
}

/** Of large chunks of two- and four-byte elements 1024 are counted of each 4096 (four bytes) or 8192 (two). */
const SAMPLED: i32 = 131072;

/** The class of the largest difference. Reads up to a vector past the end. */
function largestClass(n: i32, width: i32, diffs: usize): u32 {
  const wide = (<usize>n * <usize>width) & ~15;
  let most = i32x4.splat(0);
  if (width == 4)
    for (let i: usize = 0; i < wide; i += 16) most = i32x4.max_u(most, i32x4.abs(v128.load(diffs + i)));
  else
    for (let i: usize = 0; i < wide; i += 16) most = i16x8.max_u(most, i16x8.abs(v128.load(diffs + i)));
  let largest: u32 = 0;
  if (width == 4) {
    largest = max(max(<u32>i32x4.extract_lane(most, 0), <u32>i32x4.extract_lane(most, 1)), max(<u32>i32x4.extract_lane(most, 2), <u32>i32x4.extract_lane(most, 3)));
    for (let i = <usize>wide >> 2; i < <usize>n; i++) largest = max(largest, magnitude(load<i32>(diffs + (i << 2))));
  } else {
    most = i32x4.max_u(i32x4.shr_u(most, 16), v128.and(most, i32x4.splat(0xffff)));
    largest = max(max(<u32>i32x4.extract_lane(most, 0), <u32>i32x4.extract_lane(most, 1)), max(<u32>i32x4.extract_lane(most, 2), <u32>i32x4.extract_lane(most, 3)));
    for (let i = <usize>wide >> 1; i < <usize>n; i++) largest = max(largest, magnitude(<i32>load<i16>(diffs + (i << 1))));
  }
  return classOf(largest);
}

// @ts-ignore: decorator
@inline
function isSampled(n: i32, width: i32): bool {
  return width > 1 && n >= SAMPLED;
}

function joint<T>(n: i32, diffs: usize, exps: usize, work: usize): void {
  if (isSampled(n, sizeof<T>())) {
    const every = 2048 * (8 / sizeof<T>());
    for (let from = 0; from < n; from += every) count<T>(from, min(n, from + 1024), diffs, exps, work);
    mergeCounts(work);
    return;
  }
  count<T>(0, n, diffs, exps, work);
  mergeCounts(work);
}

function count<T>(from: i32, end: i32, diffs: usize, exps: usize, work: usize): void {
  // Two tables: equal neighbours do not wait for each other.
  const n = <usize>end;
  let i = <usize>from;
  const even = i + ((n - i) & ~1);
  while (i < even) {
    const c0 = classOf(magnitude(<i32>load<T>(diffs + i * sizeof<T>())));
    const cell0 = work + JOINT + (<usize>load<u8>(exps + i) << 9) + (<usize>c0 << 2);
    store<u32>(cell0, load<u32>(cell0) + 1);
    const c1 = classOf(magnitude(<i32>load<T>(diffs + (i + 1) * sizeof<T>())));
    const cell1 = work + JOINT2 + (<usize>load<u8>(exps + i + 1) << 9) + (<usize>c1 << 2);
    store<u32>(cell1, load<u32>(cell1) + 1);
    i += 2;
  }
  if (i < n) {
    const c = classOf(magnitude(<i32>load<T>(diffs + i * sizeof<T>())));
    const cell = work + JOINT + (<usize>load<u8>(exps + i) << 9) + (<usize>c << 2);
    store<u32>(cell, load<u32>(cell) + 1);
  }
}

function mergeCounts(work: usize): void {
  for (let e: usize = 0; e < 131072; e += 512) add(work + JOINT + e, work + JOINT2 + e);
}

/** log2 in 1/65536, of 1 … 2^32 − 1; linear between powers of two and corrected by a parabola: enough to choose by. */
// @ts-ignore: decorator
@inline
function log2(x: u32): i64 {
  const k = 31 - clz<u32>(x);
  const f = k <= 16 ? <i64>(x << (16 - k)) - 65536 : <i64>(x >> (k - 16)) - 65536;
  return (<i64>k << 16) + f + ((f * (65536 - f) * 22544) >> 32);
}

/** Bits that the counts of one context cost, in 1/65536. */
function entropyOf(row: usize): i64 {
  let total: u32 = 0;
  let sum: i64 = 0;
  for (let c: usize = 0; c < <usize>CLASSES << 2; c += 4) {
    const count = load<u32>(row + c);
    if (count == 0) continue;
    total += count;
    sum -= <i64>count * log2(count);
  }
  return total == 0 ? 0 : sum + <i64>total * log2(total);
}

/** Bits that a further table costs, in 1/65536. */
const TABLE_COST: i64 = 200 << 16;

/**
 * Joins neighbouring exponents into at most MAX_CONTEXTS contexts: always the pair that loses least, while more
 * are left than allowed or a table costs more than it saves. Sums lie in SUMS, first exponents in STARTS.
 */
function groupExponents(work: usize): i32 {
  const costs = work + TABLES; // i64 of a group; free until tables are made
  const starts = work + TABLES + 4096; // u8 × 256, u32 × 256
  const rows = work + JOINT;
  let groups = 0;
  // A group a present exponent; rows are moved together.
  let total: u32 = 0;
  for (let e = 0; e < 256; e++) {
    const row = rows + (<usize>e << 9);
    let sum: u32 = 0;
    for (let c: usize = 0; c < <usize>CLASSES << 2; c += 4) sum += load<u32>(row + c);
    if (sum == 0) continue;
    total += sum;
    if (groups != e) memory.copy(rows + (<usize>groups << 9), row, 512);
    store<u8>(starts + groups, <u8>e);
    store<u32>(starts + 256 + (<usize>groups << 2), sum);
    groups++;
  }
  // Rare exponents join their neighbour at once.
  const rare = total >> 8;
  let kept = 0;
  for (let g = 0; g < groups; g++) {
    const sum = load<u32>(starts + 256 + (<usize>g << 2));
    if (kept > 0 && (sum < rare || load<u32>(starts + 256 + (<usize>(kept - 1) << 2)) < rare)) {
      add(rows + (<usize>(kept - 1) << 9), rows + (<usize>g << 9));
      const before = starts + 256 + (<usize>(kept - 1) << 2);
      store<u32>(before, load<u32>(before) + sum);
      continue;
    }
    if (kept != g) {
      memory.copy(rows + (<usize>kept << 9), rows + (<usize>g << 9), 512);
      store<u8>(starts + kept, load<u8>(starts + g));
      store<u32>(starts + 256 + (<usize>kept << 2), sum);
    }
    kept++;
  }
  groups = kept;
  for (let g = 0; g < groups; g++) store<i64>(costs + (<usize>g << 3), entropyOf(rows + (<usize>g << 9)));
  const gains = work + TABLES + 8192; // i64: what joining with the next one costs
  const spare = work + JOINT2; // its counts were added; all 256 rows may be in use
  for (let g = 0; g + 1 < groups; g++) store<i64>(gains + (<usize>g << 3), lossOf(rows, costs, spare, g));
  while (groups > 1) {
    let best = 0;
    for (let g = 1; g + 1 < groups; g++)
      if (load<i64>(gains + (<usize>g << 3)) < load<i64>(gains + (<usize>best << 3))) best = g;
    const loss = load<i64>(gains + (<usize>best << 3));
    if (groups <= MAX_CONTEXTS && loss > TABLE_COST) break;
    const row = rows + (<usize>best << 9);
    store<i64>(costs + (<usize>best << 3), load<i64>(costs + (<usize>best << 3)) + load<i64>(costs + (<usize>(best + 1) << 3)) + loss);
    add(row, row + 512);
    const rest = groups - best - 2;
    memory.copy(row + 512, row + 1024, <usize>rest << 9);
    memory.copy(costs + (<usize>(best + 1) << 3), costs + (<usize>(best + 2) << 3), <usize>rest << 3);
    memory.copy(gains + (<usize>(best + 1) << 3), gains + (<usize>(best + 2) << 3), <usize>rest << 3);
    memory.copy(starts + best + 1, starts + best + 2, <usize>rest);
    groups--;
    if (best > 0) store<i64>(gains + (<usize>(best - 1) << 3), lossOf(rows, costs, spare, best - 1));
    if (best + 1 < groups) store<i64>(gains + (<usize>best << 3), lossOf(rows, costs, spare, best));
  }
  store<u32>(work + STARTS, <u32>groups);
  store<u8>(starts, 0); // exponents below the first one that occurs
  memory.copy(work + STARTS + 4, starts, <usize>groups);
  memory.copy(work + SUMS, rows, <usize>groups << 9);
  return groups;
}

function add(row: usize, other: usize): void {
  for (let c: usize = 0; c < 512; c += 16)
    v128.store(row + c, i32x4.add(v128.load(row + c), v128.load(other + c)));
}

function lossOf(rows: usize, costs: usize, spare: usize, g: i32): i64 {
  const row = rows + (<usize>g << 9);
  memory.copy(spare, row, 512);
  add(spare, row + 512);
  return entropyOf(spare) - load<i64>(costs + (<usize>g << 3)) - load<i64>(costs + (<usize>(g + 1) << 3));
}

function contextMap(groups: i32, work: usize): void {
  let g = 0;
  for (let e = 0; e < 256; e++) {
    while (g + 1 < groups && <i32>load<u8>(work + STARTS + 5 + g) <= e) g++;
    store<u32>(work + ROWS + (<usize>e << 2), <u32>g);
  }
}

/**
 * Makes the codes for `n` elements of `width` bytes (1, 2 or 4) against as many of the base. Gives the bytes that
 * `residualEncode` will write (a few more at most). `diffs` (as many bytes as the elements) and `exps` (a byte an
 * element) are kept for it; both may be written to 64 bytes past their end.
 */
export function residualModel(src: usize, base: usize, n: i32, width: i32, shift: i32, diffs: usize, exps: usize, work: usize): i32 {
  memory.fill(work + JOINT, 0, 262144);
  differences(src, base, n, width, shift != 0, diffs);
  exponents(base, n, width, shift, exps);
  if (width == 4) joint<i32>(n, diffs, exps, work);
  else if (width == 2) joint<i16>(n, diffs, exps, work);
  else joint<i8>(n, diffs, exps, work);
  const groups = groupExponents(work);
  contextMap(groups, work);
  if (isSampled(n, width)) {
    // What the sample does not have may come all the same.
    const most = <usize>largestClass(n, width, diffs);
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

/** Code, sign and low bits of a difference in the context at `codes`: bits | length << 48. */
// @ts-ignore: decorator
@inline
function written(d: i32, codes: usize): u64 {
  const m = magnitude(d);
  const c = classOf(m);
  const code = <u64>load<u32>(codes + (<usize>c << 2));
  const low = lowBits(c);
  const length = code >> 16;
  const value = (<u64>(<u32>d >> 31) | (<u64>(m & ((1 << low) - 1)) << 1)) << length;
  return (code & 0xffff) | value | ((length + <u64>low + <u64>(m != 0)) << 48);
}

/** Differences of −128 … 127 with all their bits, as `written` gives them. */
function writingTables(groups: i32, work: usize): void {
  for (let g: usize = 0; g < <usize>groups; g++) {
    const codes = work + CODES + (g << 9);
    const table = work + SHORT + (g << 11);
    for (let d = -128; d < 128; d++) store<u64>(table + (<usize>(d + 128) << 3), written(d, codes));
  }
}

// @ts-ignore: decorator
@inline
function writtenAt<T>(i: usize, diffs: usize, exps: usize, work: usize): u64 {
  const row = <usize>load<u32>(work + ROWS + (<usize>load<u8>(exps + i) << 2));
  const d = <i32>load<T>(diffs + i * sizeof<T>());
  if (sizeof<T>() < 4 && <u32>(d + 128) < 256)
    return load<u64>(work + SHORT + 1024 + (row << 11) + <usize>(d << 3));
  return written(d, work + CODES + (row << 9));
}

const VALUE: u64 = 0xffffffffffff;
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
  // Two short ones go out together: 7 bits that are left over, and 25 each at most.
  while (sizeof<T>() < 4 && j + 1 < end) {
    const x = writtenAt<T>(i, diffs, exps, work);
    const y = writtenAt<T>(j, diffs, exps, work);
    const u = writtenAt<T>(i + 1, diffs, exps, work);
    const v = writtenAt<T>(j + 1, diffs, exps, work);
    i += 2;
    j += 2;
    acc0 |= (x & VALUE) << bits0;
    acc1 |= (y & VALUE) << bits1;
    bits0 += x >> 48;
    bits1 += y >> 48;
    acc0 |= (u & VALUE) << bits0;
    acc1 |= (v & VALUE) << bits1;
    bits0 += u >> 48;
    bits1 += v >> 48;
    store<u64>(to0, acc0);
    store<u64>(to1, acc1);
    to0 += <usize>(bits0 >> 3);
    to1 += <usize>(bits1 >> 3);
    acc0 >>= bits0 & ~7;
    acc1 >>= bits1 & ~7;
    bits0 &= 7;
    bits1 &= 7;
  }
  while (j < end) {
    const x = writtenAt<T>(i++, diffs, exps, work);
    const y = writtenAt<T>(j++, diffs, exps, work);
    acc0 |= (x & VALUE) << bits0;
    acc1 |= (y & VALUE) << bits1;
    bits0 += x >> 48;
    bits1 += y >> 48;
    store<u64>(to0, acc0);
    store<u64>(to1, acc1);
    to0 += <usize>(bits0 >> 3);
    to1 += <usize>(bits1 >> 3);
    acc0 >>= bits0 & ~7;
    acc1 >>= bits1 & ~7;
    bits0 &= 7;
    bits1 &= 7;
  }
  while (i < middle) {
    const x = writtenAt<T>(i++, diffs, exps, work);
    acc0 |= (x & VALUE) << bits0;
    bits0 += x >> 48;
    store<u64>(to0, acc0);
    to0 += <usize>(bits0 >> 3);
    acc0 >>= bits0 & ~7;
    bits0 &= 7;
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
  if (width < 4) writingTables(groups, work);
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

function classTables(work: usize): void {
  for (let c: u32 = 0; c < 128; c++) {
    const low = lowBits(c);
    store<u32>(work + CLASS_BASE + (<usize>c << 2), c < 4 ? c : (4 | (c & 3)) << low);
    store<u8>(work + CLASS_BITS + <usize>c, <u8>(c == 0 ? 0 : low + 1));
    store<u32>(work + CLASS_MASK + (<usize>c << 2), (1 << low) - 1);
  }
}

/** Differences that lie in a look-up with all their bits: length | difference << 4. */
function shortTables(groups: i32, work: usize): void {
  for (let at: usize = 0; at < <usize>(groups * SLOTS); at++) {
    const x = <u32>load<u16>(work + TABLES + (at << 1));
    const length = x & 15;
    const c = x >> 4;
    const raw = <u32>load<u8>(work + CLASS_BITS + <usize>c);
    let entry = LONG;
    if (length + raw <= 11) {
      const w = (<u32>at & <u32>(SLOTS - 1)) >> length;
      const low = raw == 0 ? 0 : (w >> 1) & ((1 << (raw - 1)) - 1);
      const m = load<u32>(work + CLASS_BASE + (<usize>c << 2)) + low;
      if (m < 2048) entry = (length + raw) | ((raw > 0 && (w & 1) != 0 ? 0 - m : m) << 4);
    }
    store<u16>(work + SHORT + (at << 1), <u16>entry);
  }
}

/** Reads one difference from the bits of `w`; gives it with the bits it took << 32. */
// @ts-ignore: decorator
@inline
function readLong(w: u64, row: usize, work: usize): u64 {
  const x = <u32>load<u16>(work + TABLES + (row << 12) + ((<usize>w & <usize>(SLOTS - 1)) << 1));
  const length = x & 15;
  const c = <usize>(x >> 4);
  const v = w >> <u64>length;
  // Class 0 has no sign: its magnitude is 0 whatever bit stands there.
  const raw = <u32>load<u8>(work + CLASS_BITS + c);
  const m = load<u32>(work + CLASS_BASE + (c << 2)) + (<u32>(v >> 1) & load<u32>(work + CLASS_MASK + (c << 2)));
  const s = <u32>0 - (<u32>v & 1);
  return <u64>((m ^ s) - s) | (<u64>(length + raw) << 32);
}

// @ts-ignore: decorator
@inline
function wideStep(p: usize, bits: u64, i: usize, exps: usize, out: usize, work: usize): u64 {
  const row = <usize>load<u32>(work + ROWS + (<usize>load<u8>(exps + i) << 2));
  const x = readLong(load<u64>(p + <usize>(bits >> 3)) >> (bits & 7), row, work);
  store<u32>(out + (i << 2), <u32>x);
  return bits + (x >> 32);
}

// @ts-ignore: decorator
@inline
function narrowStep<T>(p: usize, bits: u64, i: usize, exps: usize, out: usize, work: usize): u64 {
  const row = <usize>load<u32>(work + ROWS + (<usize>load<u8>(exps + i) << 2));
  const w = load<u64>(p + <usize>(bits >> 3)) >> (bits & 7);
  const x = <i32>load<i16>(work + SHORT + (row << 12) + ((<usize>w & <usize>(SLOTS - 1)) << 1));
  if ((x & 15) != <i32>LONG) {
    store<T>(out + i * sizeof<T>(), <T>(x >> 4));
    return bits + <u64>(x & 15);
  }
  const y = readLong(w, row, work);
  store<T>(out + i * sizeof<T>(), <T>(<u32>y));
  return bits + (y >> 32);
}

// @ts-ignore: decorator
@inline
function step<T>(p: usize, bits: u64, i: usize, exps: usize, out: usize, work: usize): u64 {
  if (sizeof<T>() == 4) return wideStep(p, bits, i, exps, out, work);
  return narrowStep<T>(p, bits, i, exps, out, work);
}

function decodeStreams<T>(p0: usize, p1: usize, p2: usize, p3: usize, end: usize, n: i32, exps: usize, out: usize, work: usize): bool {
  const quarter = <usize>((n + 3) >> 2);
  const all = <usize>n;
  const q1 = min(all, quarter);
  const q2 = min(all, 2 * quarter);
  const q3 = min(all, 3 * quarter);
  const last = all - q3;
  let b0: u64 = 0;
  let b1: u64 = 0;
  let b2: u64 = 0;
  let b3: u64 = 0;
  let i: usize = 0;
  // The last quarter is the shortest.
  while (i < last) {
    b0 = step<T>(p0, b0, i, exps, out, work);
    b1 = step<T>(p1, b1, q1 + i, exps, out, work);
    b2 = step<T>(p2, b2, q2 + i, exps, out, work);
    b3 = step<T>(p3, b3, q3 + i, exps, out, work);
    i++;
  }
  for (let j = i; j < q1; j++) b0 = step<T>(p0, b0, j, exps, out, work);
  for (let j = q1 + i; j < q2; j++) b1 = step<T>(p1, b1, j, exps, out, work);
  for (let j = q2 + i; j < q3; j++) b2 = step<T>(p2, b2, j, exps, out, work);
  return (
    p0 + <usize>((b0 + 7) >> 3) == p1 &&
    p1 + <usize>((b1 + 7) >> 3) == p2 &&
    p2 + <usize>((b2 + 7) >> 3) == p3 &&
    p3 + <usize>((b3 + 7) >> 3) == end
  );
}

/**
 * The elements from the base and what was stored from `src` to `end`. False if that is none. `exps`: a byte an element
 * and 64 more; `out` may be written to 64 bytes past its end.
 */
export function residualDecode(src: usize, end: usize, base: usize, n: i32, width: i32, shift: i32, out: usize, exps: usize, work: usize): bool {
  if (src >= end) return false;
  const groups = <i32>load<u8>(src);
  if (groups < 1 || groups > MAX_CONTEXTS || src + <usize>groups > end) return false;
  for (let g = 1; g < groups; g++) store<u8>(work + STARTS + 4 + g, load<u8>(src + g));
  contextMap(groups, work);
  classTables(work);
  let at = src + <usize>groups;
  for (let g: usize = 0; g < <usize>groups; g++) {
    const bytes = loadTable(at, end, CLASSES, work + TABLES + (g << 12), work + SCRATCH);
    if (bytes == 0) return false;
    at += bytes;
  }
  if (at + 12 > end) return false;
  const p0 = at + 12;
  const p1 = p0 + <usize>load<u32>(at);
  const p2 = p1 + <usize>load<u32>(at, 4);
  const p3 = p2 + <usize>load<u32>(at, 8);
  if (p1 < p0 || p2 < p1 || p3 < p2 || p3 > end) return false;
  exponents(base, n, width, shift, exps);
  if (width < 4) shortTables(groups, work);
  const whole =
    width == 4
      ? decodeStreams<u32>(p0, p1, p2, p3, end, n, exps, out, work)
      : width == 2
        ? decodeStreams<u16>(p0, p1, p2, p3, end, n, exps, out, work)
        : decodeStreams<u8>(p0, p1, p2, p3, end, n, exps, out, work);
  if (whole) applyDifferences(base, n, width, shift != 0, out);
  return whole;
}
