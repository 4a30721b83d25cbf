// Reads what residual-encode.ts writes. Reference: ../reference/residual.ts.
import { rowsEnd, rowsLast, rowsOf, rowsOrigin, rowTable } from './contexts';
import { exponentsOf } from './differences';
import { loadTable, LONG_PARTS, SHORT_PARTS, symbolsRead } from './huffman';
import { bitsFrom, bitsOf, change, entryAt, narrow, partTable } from './residual-read';
import { decodeOneTable, MANY } from './residual-single';
import { CLASSES, MAX_CONTEXTS, NARROW_CLASSES, READ_PARTS, READ_ROWS, READ_TABLES, READ_VALUES, SCRATCH, STARTS } from './residual-work';

/** Elements of a stream at a time: what is read of them stays in the nearest cache. */
const BLOCK: usize = 144;
/** Bytes of what is kept of a stream: a row, and a difference of two or four bytes. */
const ROWS: usize = 2 * (BLOCK + 16);
const NARROW: usize = 2 * (BLOCK + 16);
const WIDE: usize = 4 * (BLOCK + 16);
/** From the row of an element to its narrow difference. */
const TO_VALUE: usize = READ_VALUES - READ_ROWS;

/** Where the tables of `count` elements of the base begin, 16 at a time: their contexts × 4096. */
function rows<T>(base: usize, count: usize, shift: i32, to: usize, work: usize): void {
  const origin = rowsOrigin();
  const last = rowsLast();
  const end = rowsEnd(work);
  const none = i8x16.splat(0);
  for (let k: usize = 0; k < count; k += 16) {
    const high = rowsOf(exponentsOf<T>(base + k * sizeof<T>(), shift), origin, last, end, work);
    const at = to + (k << 1);
    v128.store(at, v128.shuffle<u8>(none, high, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23));
    v128.store(at, v128.shuffle<u8>(none, high, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31), 16);
  }
}

/** Reads a difference: the difference itself. Gives the bits that are read then. */
// @ts-ignore: decorator
@inline
function readWide(bits: u64, row: u32, to: usize): u64 {
  const w = bitsFrom(bits);
  const x = <usize>entryAt(w, row);
  const v = <u32>(w >> <u64>load<u8>(x, READ_PARTS + 8));
  // Class 0 has no sign: its magnitude is 0 whatever bit stands there.
  const m = load<u32>(x, READ_PARTS) + ((v & load<u32>(x, READ_PARTS + 4)) >> 1);
  const s = <u32>0 - (v & 1);
  store<u32>(to, (m ^ s) - s);
  return bits + <u64>load<u8>(x, READ_PARTS + 9);
}

// `at`: where the row of the next element of the first stream lies. A narrow difference goes TO_VALUE behind its row, a wide
// one to `to`. Offsets of loads have to be constants of the compiler, so which stream it is is said by a type.
type First = u8;
type Second = u16;
type Third = u32;
type Fourth = u64;
// @ts-ignore: decorator
@inline
function stream<S>(): usize {
  return sizeof<S>() == 1 ? 0 : sizeof<S>() == 2 ? ROWS : sizeof<S>() == 4 ? 2 * ROWS : 3 * ROWS;
}

// @ts-ignore: decorator
@inline
function readOne<T, S>(bits: u64, at: usize, to: usize): u64 {
  const row = <u32>load<u16>(at, stream<S>());
  if (sizeof<T>() == 4) return readWide(bits, row, to);
  const w = bitsFrom(bits);
  const x = entryAt(w, row);
  store<u16>(at, narrow(w, x), stream<S>() + TO_VALUE);
  return bits + bitsOf(x);
}

/** Two differences, of narrow elements from one load: 8 bits that were read before, and two times 26 at most. */
// @ts-ignore: decorator
@inline
function readTwo<T, S>(bits: u64, at: usize, to: usize): u64 {
  if (sizeof<T>() == 4) return readOne<T, S>(readOne<T, S>(bits, at, to), at + 2, to + 4);
  const w = bitsFrom(bits);
  const x = entryAt(w, <u32>load<u16>(at, stream<S>()));
  store<u16>(at, narrow(w, x), stream<S>() + TO_VALUE);
  const v = w >> <u64>x;
  const y = entryAt(v, <u32>load<u16>(at, stream<S>() + 2));
  store<u16>(at, narrow(v, y), stream<S>() + TO_VALUE + 2);
  return bits + bitsOf(x) + bitsOf(y);
}

/** Bits that three from one load have at most. */
const TOGETHER: u64 = 56;

/** The same of any length, the third from a load of its own: it was not whole in that of the first. */
function readAgain<S>(bits: u64, at: usize): u64 {
  return readOne<u16, S>(readTwo<u16, S>(bits, at, 0), at + 4, 0);
}

/** The class of 2^15. */
const FAR_CLASS: i32 = 56;
/** Whether it has a code. */
let hasFar: bool = false;

/** The elements of a block go to `out`, and not a byte more: the next stream's are there already. `aside`: 64 bytes. */
function finish<T>(count: usize, read: usize, base: usize, floats: bool, out: usize, aside: usize): void {
  const each: usize = sizeof<T>() == 4 ? 4 : 2;
  const wide = count & ~15;
  if (floats && !hasFar)
    for (let k: usize = 0; k < wide; k += 16)
      change<T>(read + k * each, base + k * sizeof<T>(), true, false, out + k * sizeof<T>());
  else
    for (let k: usize = 0; k < wide; k += 16)
      change<T>(read + k * each, base + k * sizeof<T>(), floats, true, out + k * sizeof<T>());
  if (wide == count) return;
  change<T>(read + wide * each, base + wide * sizeof<T>(), floats, true, aside);
  memory.copy(out + wide * sizeof<T>(), aside, (count - wide) * sizeof<T>());
}

function decodeStreams<T>(p0: usize, p1: usize, p2: usize, p3: usize, end: usize, n: i32, base: usize, shift: i32, out: usize, work: usize): bool {
  const quarter = <usize>((n + 3) >> 2);
  const all = <usize>n;
  const q1 = min(all, quarter);
  const q2 = min(all, 2 * quarter);
  const q3 = min(all, 3 * quarter);
  let b0 = (<u64>p0 << 3) - 1;
  let b1 = (<u64>p1 << 3) - 1;
  let b2 = (<u64>p2 << 3) - 1;
  let b3 = (<u64>p3 << 3) - 1;
  const floats = shift != 0;
  const wide = sizeof<T>() == 4;
  const each = wide ? WIDE : NARROW;
  const aside = READ_VALUES + 4 * WIDE;
  for (let i: usize = 0; i < q1; i += BLOCK) {
    const n0 = min(BLOCK, q1 - i);
    const n1 = min(n0, q2 - min(q2, q1 + i));
    const n2 = min(n1, q3 - min(q3, q2 + i));
    const n3 = min(n2, all - min(all, q3 + i));
    const i0 = i * sizeof<T>();
    const i1 = (q1 + i) * sizeof<T>();
    const i2 = (q2 + i) * sizeof<T>();
    const i3 = (q3 + i) * sizeof<T>();
    rows<T>(base + i0, n0, shift, READ_ROWS, work);
    rows<T>(base + i1, n1, shift, READ_ROWS + ROWS, work);
    rows<T>(base + i2, n2, shift, READ_ROWS + 2 * ROWS, work);
    rows<T>(base + i3, n3, shift, READ_ROWS + 3 * ROWS, work);
    // The last quarter is the shortest.
    const done = n3 - (n3 % (wide ? 2 : 3));
    let at = READ_ROWS;
    let to = READ_VALUES;
    const together = at + (done << 1);
    if (!wide)
      // Three are seldom longer than what a load gives. A code that is not whole in it never reads as a shorter one. Written
      // out stream by stream within each step: with three of a stream in a row, as a function, it took 8 % longer.
      for (; at < together; at += 6) {
        const w0 = bitsFrom(b0);
        const w1 = bitsFrom(b1);
        const w2 = bitsFrom(b2);
        const w3 = bitsFrom(b3);
        const x0 = entryAt(w0, <u32>load<u16>(at, stream<First>()));
        const x1 = entryAt(w1, <u32>load<u16>(at, stream<Second>()));
        const x2 = entryAt(w2, <u32>load<u16>(at, stream<Third>()));
        const x3 = entryAt(w3, <u32>load<u16>(at, stream<Fourth>()));
        store<u16>(at, narrow(w0, x0), stream<First>() + TO_VALUE);
        store<u16>(at, narrow(w1, x1), stream<Second>() + TO_VALUE);
        store<u16>(at, narrow(w2, x2), stream<Third>() + TO_VALUE);
        store<u16>(at, narrow(w3, x3), stream<Fourth>() + TO_VALUE);
        const v0 = w0 >> <u64>x0;
        const v1 = w1 >> <u64>x1;
        const v2 = w2 >> <u64>x2;
        const v3 = w3 >> <u64>x3;
        const y0 = entryAt(v0, <u32>load<u16>(at, stream<First>() + 2));
        const y1 = entryAt(v1, <u32>load<u16>(at, stream<Second>() + 2));
        const y2 = entryAt(v2, <u32>load<u16>(at, stream<Third>() + 2));
        const y3 = entryAt(v3, <u32>load<u16>(at, stream<Fourth>() + 2));
        store<u16>(at, narrow(v0, y0), stream<First>() + TO_VALUE + 2);
        store<u16>(at, narrow(v1, y1), stream<Second>() + TO_VALUE + 2);
        store<u16>(at, narrow(v2, y2), stream<Third>() + TO_VALUE + 2);
        store<u16>(at, narrow(v3, y3), stream<Fourth>() + TO_VALUE + 2);
        const u0 = v0 >> <u64>y0;
        const u1 = v1 >> <u64>y1;
        const u2 = v2 >> <u64>y2;
        const u3 = v3 >> <u64>y3;
        const z0 = entryAt(u0, <u32>load<u16>(at, stream<First>() + 4));
        const z1 = entryAt(u1, <u32>load<u16>(at, stream<Second>() + 4));
        const z2 = entryAt(u2, <u32>load<u16>(at, stream<Third>() + 4));
        const z3 = entryAt(u3, <u32>load<u16>(at, stream<Fourth>() + 4));
        store<u16>(at, narrow(u0, z0), stream<First>() + TO_VALUE + 4);
        store<u16>(at, narrow(u1, z1), stream<Second>() + TO_VALUE + 4);
        store<u16>(at, narrow(u2, z2), stream<Third>() + TO_VALUE + 4);
        store<u16>(at, narrow(u3, z3), stream<Fourth>() + TO_VALUE + 4);
        const c0 = bitsOf(x0) + bitsOf(y0) + bitsOf(z0);
        const c1 = bitsOf(x1) + bitsOf(y1) + bitsOf(z1);
        const c2 = bitsOf(x2) + bitsOf(y2) + bitsOf(z2);
        const c3 = bitsOf(x3) + bitsOf(y3) + bitsOf(z3);
        if (((c0 + 7) | (c1 + 7) | (c2 + 7) | (c3 + 7)) & 64) {
          b0 = readAgain<First>(b0, at);
          b1 = readAgain<Second>(b1, at);
          b2 = readAgain<Third>(b2, at);
          b3 = readAgain<Fourth>(b3, at);
        } else {
          b0 += c0;
          b1 += c1;
          b2 += c2;
          b3 += c3;
        }
      }
    else
      for (; at < together; at += 4, to += 8) {
        b0 = readTwo<T, First>(b0, at, to);
        b1 = readTwo<T, Second>(b1, at, to + WIDE);
        b2 = readTwo<T, Third>(b2, at, to + 2 * WIDE);
        b3 = readTwo<T, Fourth>(b3, at, to + 3 * WIDE);
      }
    for (let k = done; k < n0; k++) b0 = readOne<T, First>(b0, READ_ROWS + (k << 1), READ_VALUES + (k << 2));
    for (let k = done; k < n1; k++) b1 = readOne<T, Second>(b1, READ_ROWS + (k << 1), READ_VALUES + WIDE + (k << 2));
    for (let k = done; k < n2; k++) b2 = readOne<T, Third>(b2, READ_ROWS + (k << 1), READ_VALUES + 2 * WIDE + (k << 2));
    for (let k = done; k < n3; k++) b3 = readOne<T, Fourth>(b3, READ_ROWS + (k << 1), READ_VALUES + 3 * WIDE + (k << 2));
    finish<T>(n0, READ_VALUES, base + i0, floats, out + i0, aside);
    finish<T>(n1, READ_VALUES + each, base + i1, floats, out + i1, aside);
    finish<T>(n2, READ_VALUES + 2 * each, base + i2, floats, out + i2, aside);
    finish<T>(n3, READ_VALUES + 3 * each, base + i3, floats, out + i3, aside);
  }
  return (
    <usize>((b0 + 8) >> 3) == p1 &&
    <usize>((b1 + 8) >> 3) == p2 &&
    <usize>((b2 + 8) >> 3) == p3 &&
    <usize>((b3 + 8) >> 3) == end
  );
}

/**
 * The elements from the base and what was stored from `src` to `end`. False if that is none. Reads up to 64 bytes past the
 * end of the base.
 */
export function residualDecode(src: usize, end: usize, base: usize, n: i32, width: i32, shift: i32, out: usize, work: usize): bool {
  if (src >= end) return false;
  const groups = <i32>load<u8>(src);
  if (groups < 1 || groups > MAX_CONTEXTS || src + <usize>groups > end) return false;
  for (let g = 1; g < groups; g++) {
    const start = load<u8>(src + g);
    if (start <= (g == 1 ? 0 : load<u8>(src + g - 1))) return false;
    store<u8>(work + STARTS + 4 + g, start);
  }
  rowTable(groups, 16, work);
  const classes = width < 4 ? NARROW_CLASSES : CLASSES;
  partTable(<u32>classes, width == 4);
  let at = src + <usize>groups;
  hasFar = false;
  for (let g: usize = 0; g < <usize>groups; g++) {
    const table = READ_TABLES + (g << 12);
    const bytes = loadTable(at, end, classes, table, work + SCRATCH, width < 4 ? SHORT_PARTS : LONG_PARTS);
    if (bytes == 0) return false;
    if (symbolsRead() > FAR_CLASS) hasFar = true;
    at += bytes;
  }
  if (at + 12 > end) return false;
  const p0 = at + 12;
  const p1 = p0 + <usize>load<u32>(at);
  const p2 = p1 + <usize>load<u32>(at, 4);
  const p3 = p2 + <usize>load<u32>(at, 8);
  if (p1 < p0 || p2 < p1 || p3 < p2 || p3 > end) return false;
  if (width == 2 && groups == 1 && n >= MANY) return decodeOneTable(p0, p1, p2, p3, end, n, base, shift, out, hasFar);
  return width == 4
    ? decodeStreams<u32>(p0, p1, p2, p3, end, n, base, shift, out, work)
    : width == 2
      ? decodeStreams<u16>(p0, p1, p2, p3, end, n, base, shift, out, work)
      : decodeStreams<u8>(p0, p1, p2, p3, end, n, base, shift, out, work);
}
