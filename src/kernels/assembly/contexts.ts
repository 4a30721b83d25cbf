// Which exponents of the base share a code: counts of classes by exponent, and the joining of neighbours.
// Reference: ../reference/contexts.ts.
import { fourClasses, fourDifferences } from './classes';
import { BLOCKS, CLASSES, JOINT, JOINT2, MAX_CONTEXTS, ROWS, STARTS, SUMS, TABLES } from './residual-work';

/** Of large chunks of two- and four-byte elements 1024 are counted of each 4096 (four bytes) or 8192 (two). */
const SAMPLED: i32 = 131072;

// @ts-ignore: decorator
@inline
export function isSampled(n: i32, width: i32): bool {
  return width > 1 && n >= SAMPLED;
}

export function joint<T>(n: i32, diffs: usize, exps: usize, work: usize): void {
  if (isSampled(n, sizeof<T>())) {
    const every = 2048 * (8 / sizeof<T>());
    for (let from = 0; from < n; from += every) count<T>(from, min(n, from + 1024), diffs, exps, work);
    mergeCounts(work);
    return;
  }
  count<T>(0, n, diffs, exps, work);
  mergeCounts(work);
}

/** Elements at a time of which the cells are found at once. */
const BLOCK: usize = 1024;

function count<T>(from: i32, end: i32, diffs: usize, exps: usize, work: usize): void {
  const four: usize = 4 * sizeof<T>();
  const cells = work + BLOCKS; // u16 each: exponent << 7 | class
  for (let i = <usize>from; i < <usize>end; i += BLOCK) {
    const n = min(BLOCK, <usize>end - i);
    for (let k: usize = 0; k < n; k += 16) {
      const at = diffs + (i + k) * sizeof<T>();
      const low = i16x8.narrow_i32x4_u(classesAt<T>(at), classesAt<T>(at + four));
      const high = i16x8.narrow_i32x4_u(classesAt<T>(at + 2 * four), classesAt<T>(at + 3 * four));
      const e = v128.load(exps + i + k);
      const to = cells + (k << 1);
      v128.store(to, v128.or(low, i16x8.shl(i16x8.extend_low_i8x16_u(e), 7)));
      v128.store(to, v128.or(high, i16x8.shl(i16x8.extend_high_i8x16_u(e), 7)), 16);
    }
    // Two tables: equal neighbours do not wait for each other.
    let at = cells;
    const even = cells + ((n & ~1) << 1);
    for (; at < even; at += 4) {
      const cell0 = work + (<usize>load<u16>(at) << 2);
      store<u32>(cell0, load<u32>(cell0, JOINT) + 1, JOINT);
      const cell1 = work + (<usize>load<u16>(at, 2) << 2);
      store<u32>(cell1, load<u32>(cell1, JOINT2) + 1, JOINT2);
    }
    if (n & 1) {
      const cell = work + (<usize>load<u16>(at) << 2);
      store<u32>(cell, load<u32>(cell, JOINT) + 1, JOINT);
    }
  }
}
// @ts-ignore: decorator
@inline
function classesAt<T>(at: usize): v128 {
  return fourClasses<T>(i32x4.abs(fourDifferences<T>(at)));
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
export function groupExponents(work: usize): i32 {
  const costs = work + TABLES; // i64 of a group; free until tables are made
  const starts = work + TABLES + 4096; // u8 × 256, u32 × 256
  const rows = work + JOINT;
  let groups = 0;
  // A group a present exponent; rows are moved together.
  let total: u32 = 0;
  for (let e = 0; e < 256; e++) {
    const row = rows + (<usize>e << 9);
    let sums = v128.load(row);
    for (let c: usize = 16; c < <usize>CLASSES << 2; c += 16) sums = i32x4.add(sums, v128.load(row + c));
    const sum = <u32>i32x4.extract_lane(sums, 0) + <u32>i32x4.extract_lane(sums, 1) + <u32>i32x4.extract_lane(sums, 2) + <u32>i32x4.extract_lane(sums, 3);
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

/** Before the first exponents of contexts 1 … K − 1: their number below the last one, and how many vectors hold that. */
let rowsFrom: i32 = 0;
let rowsRange: i32 = 0;
let rowsBytes: usize = 0;

/** Makes the table that `rowsOf` reads: `scale` × the contexts of the exponents from the one before that of context 1 to the last first one. */
export function rowTable(groups: i32, scale: i32, work: usize): void {
  rowsBytes = 0;
  rowsFrom = 0;
  rowsRange = 0;
  store<u8>(work + ROWS, 0);
  if (groups < 2) return;
  const starts = work + STARTS + 4;
  rowsFrom = <i32>load<u8>(starts, 1) - 1;
  rowsRange = <i32>load<u8>(starts + <usize>groups - 1) - rowsFrom;
  rowsBytes = (<usize>rowsRange + 16) & ~15;
  let g = 0;
  for (let e = 0; e <= rowsRange; e++) {
    while (g + 1 < groups && <i32>load<u8>(starts + 1 + g) <= rowsFrom + e) g++;
    store<u8>(work + ROWS + <usize>e, <u8>(g * scale));
  }
}

/** What `rowsOf` is given, to be asked for outside of a loop: the exponent from which on places are counted, … */
// @ts-ignore: decorator
@inline
export function rowsOrigin(): v128 {
  return i8x16.splat(<i8>rowsFrom);
}
/** … the last place, … */
// @ts-ignore: decorator
@inline
export function rowsLast(): v128 {
  return i8x16.splat(<i8>rowsRange);
}
/** … and where the table ends. */
// @ts-ignore: decorator
@inline
export function rowsEnd(work: usize): usize {
  return work + ROWS + rowsBytes;
}

/** The contexts of 16 exponents, scaled as the table is. */
// @ts-ignore: decorator
@inline
export function rowsOf(exps: v128, origin: v128, last: v128, end: usize, work: usize): v128 {
  let places = i8x16.min_u(i8x16.sub_sat_u(exps, origin), last);
  // A place outside of a vector gives 0.
  let rows = i8x16.swizzle(v128.load(work + ROWS), places);
  for (let at = work + ROWS + 16; at < end; at += 16) {
    places = i8x16.sub(places, i8x16.splat(16));
    rows = v128.or(rows, i8x16.swizzle(v128.load(at), places));
  }
  return rows;
}
