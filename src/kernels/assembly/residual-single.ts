// Differences of two-byte elements whose exponents share one table, as where a part of the values moved by a unit or two:
// up to four of them come from one look-up.
import { bitsFrom, bitsOf, change, entryAt, narrow } from './residual-read';
import { READ_TABLES } from './residual-work';
import { SLOTS } from './huffman';

/** Fewer are not worth a table of several. */
export const MANY: i32 = 16384;
/** Behind the only table: u16 for each of its places, bits of the differences that they hold whole | their bytes << 8. */
const SEVERAL: usize = READ_TABLES + 4096;
/** u16 × 4 for each: those differences, as 2 m + s. */
const VALUES: usize = READ_TABLES + 8192;

function severalTable(): void {
  for (let place: u32 = 0; place < <u32>SLOTS; place++) {
    let bits: u32 = 0;
    let bytes: u32 = 0;
    let values: u64 = 0;
    while (bytes < 8) {
      // Bits that are not there read as 0: a difference is one only if it has all of its own.
      const w = <u64>(place >> bits) << 1;
      const x = entryAt(w, 0);
      if (bits + <u32>bitsOf(x) > 11) break;
      values |= <u64>narrow(w, x) << <u64>(bytes << 3);
      bits += <u32>bitsOf(x);
      bytes += 2;
    }
    store<u16>(SEVERAL + (<usize>place << 1), <u16>(bits | (bytes << 8)));
    store<u64>(VALUES + (<usize>place << 3), values);
  }
}

/** Where a place of the tables lies, in bytes of the first one. */
// @ts-ignore: decorator
@inline
function placeOf(w: u64): usize {
  return <usize>w & <usize>(2 * SLOTS - 2);
}

/** One difference; its bits. */
// @ts-ignore: decorator
@inline
function readOne(bits: u64, to: usize): u64 {
  const w = bitsFrom(bits);
  const x = entryAt(w, 0);
  store<u16>(to, narrow(w, x));
  return bitsOf(x);
}

function rest(bits: u64, to: usize, end: usize): u64 {
  for (; to < end; to += 2) bits += readOne(bits, to);
  return bits;
}

/** As `decodeStreams`, with the table of the only context. Differences lie in `out` first. */
export function decodeOneTable(p0: usize, p1: usize, p2: usize, p3: usize, end: usize, n: i32, base: usize, shift: i32, out: usize, far: bool): bool {
  severalTable();
  const quarter = <usize>((n + 3) >> 2) << 1;
  let t0 = out;
  let t1 = out + quarter;
  let t2 = out + 2 * quarter;
  let t3 = out + 3 * quarter;
  const e0 = t1;
  const e1 = t2;
  const e2 = t3;
  const e3 = out + (<usize>n << 1);
  let b0 = (<u64>p0 << 3) - 1;
  let b1 = (<u64>p1 << 3) - 1;
  let b2 = (<u64>p2 << 3) - 1;
  let b3 = (<u64>p3 << 3) - 1;
  // Two times four differences a stream at most. One that is too long for the table is read by itself.
  while (t0 + 16 <= e0 && t1 + 16 <= e1 && t2 + 16 <= e2 && t3 + 16 <= e3) {
    const w0 = bitsFrom(b0);
    const x0 = <u32>load<u16>(placeOf(w0), SEVERAL);
    store<u64>(t0, load<u64>(placeOf(w0) << 2, VALUES));
    t0 += <usize>(x0 >> 8);
    const v0 = w0 >> <u64>(x0 & 255);
    const y0 = <u32>load<u16>(placeOf(v0), SEVERAL);
    store<u64>(t0, load<u64>(placeOf(v0) << 2, VALUES));
    t0 += <usize>(y0 >> 8);
    b0 += <u64>(x0 & 255) + <u64>(y0 & 255);
    const w1 = bitsFrom(b1);
    const x1 = <u32>load<u16>(placeOf(w1), SEVERAL);
    store<u64>(t1, load<u64>(placeOf(w1) << 2, VALUES));
    t1 += <usize>(x1 >> 8);
    const v1 = w1 >> <u64>(x1 & 255);
    const y1 = <u32>load<u16>(placeOf(v1), SEVERAL);
    store<u64>(t1, load<u64>(placeOf(v1) << 2, VALUES));
    t1 += <usize>(y1 >> 8);
    b1 += <u64>(x1 & 255) + <u64>(y1 & 255);
    const w2 = bitsFrom(b2);
    const x2 = <u32>load<u16>(placeOf(w2), SEVERAL);
    store<u64>(t2, load<u64>(placeOf(w2) << 2, VALUES));
    t2 += <usize>(x2 >> 8);
    const v2 = w2 >> <u64>(x2 & 255);
    const y2 = <u32>load<u16>(placeOf(v2), SEVERAL);
    store<u64>(t2, load<u64>(placeOf(v2) << 2, VALUES));
    t2 += <usize>(y2 >> 8);
    b2 += <u64>(x2 & 255) + <u64>(y2 & 255);
    const w3 = bitsFrom(b3);
    const x3 = <u32>load<u16>(placeOf(w3), SEVERAL);
    store<u64>(t3, load<u64>(placeOf(w3) << 2, VALUES));
    t3 += <usize>(x3 >> 8);
    const v3 = w3 >> <u64>(x3 & 255);
    const y3 = <u32>load<u16>(placeOf(v3), SEVERAL);
    store<u64>(t3, load<u64>(placeOf(v3) << 2, VALUES));
    t3 += <usize>(y3 >> 8);
    b3 += <u64>(x3 & 255) + <u64>(y3 & 255);
    if (y0 == 0) {
      b0 += readOne(b0, t0);
      t0 += 2;
    }
    if (y1 == 0) {
      b1 += readOne(b1, t1);
      t1 += 2;
    }
    if (y2 == 0) {
      b2 += readOne(b2, t2);
      t2 += 2;
    }
    if (y3 == 0) {
      b3 += readOne(b3, t3);
      t3 += 2;
    }
  }
  b0 = rest(b0, t0, e0);
  b1 = rest(b1, t1, e1);
  b2 = rest(b2, t2, e2);
  b3 = rest(b3, t3, e3);
  const whole =
    <usize>((b0 + 8) >> 3) == p1 &&
    <usize>((b1 + 8) >> 3) == p2 &&
    <usize>((b2 + 8) >> 3) == p3 &&
    <usize>((b3 + 8) >> 3) == end;
  const all = <usize>n << 1;
  const floats = shift != 0;
  if (floats && !far) for (let at: usize = 0; at < all; at += 32) change<u16>(out + at, base + at, true, false, out + at);
  else for (let at: usize = 0; at < all; at += 32) change<u16>(out + at, base + at, floats, true, out + at);
  return whole;
}
