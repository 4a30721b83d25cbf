// The gaps between ascending positions as Huffman-coded classes with raw low bits. Reference: ../reference/positions.ts.
//
// Stored gaps of `n` > 0 ascending positions: a code table (huffman.ts, storeLengths), u32 × 3: bytes of the first three
// of four streams of a quarter of the positions each, u32 × 4: the first position of each stream, the streams: of every
// further position its distance to the one before, less one.
import { classOf, lowBits } from './classes';
import { huffmanCodes, huffmanLengths, loadTable, SLOTS, storedLengthBytes, storeLengths } from './huffman';
import { READ_TABLES } from './residual-work';

/** Classes of gaps below 2^24, as those of residual.ts. */
const CLASSES: i32 = 92;
const COUNTS: usize = 0;
const LENGTHS: usize = 512;
const CODES: usize = 1024;
const SCRATCH: usize = 2048;
const NEAR: usize = 4096; // two counts of gaps below 256; to write with: bits | length << 24
const TABLE: usize = 8192;
const SHORT: usize = 12288;
const LONG: u32 = 15;

/** Makes the code of `n` positions. Gives the bytes that `gapsEncode` will write (a few more at most). */
export function gapsModel(positions: usize, n: i32, work: usize): i32 {
  const counts = work + COUNTS;
  memory.fill(counts, 0, <usize>CLASSES << 2);
  const near = work + NEAR;
  memory.fill(near, 0, 2048);
  const quarter = (n + 3) >> 2;
  for (let q = 0; q < 4; q++) {
    const from = min(n, q * quarter) + 1;
    const end = min(n, from - 1 + quarter);
    for (let i = from; i < end; i++) {
      const at = positions + (<usize>i << 2);
      const gap = load<u32>(at) - load<u32>(at - 4) - 1;
      const cell = gap < 256 ? near + ((i & 1) << 10) + (<usize>gap << 2) : counts + (<usize>classOf(gap) << 2);
      store<u32>(cell, load<u32>(cell) + 1);
    }
  }
  for (let gap: u32 = 0; gap < 256; gap++) {
    const cell = counts + (<usize>classOf(gap) << 2);
    store<u32>(cell, load<u32>(cell) + load<u32>(near + (<usize>gap << 2)) + load<u32>(near + 1024 + (<usize>gap << 2)));
  }
  if (n <= 4) store<u32>(counts, load<u32>(counts) + 1); // a table of something
  huffmanLengths(counts, CLASSES, work + LENGTHS, work + SCRATCH);
  huffmanCodes(work + LENGTHS, CLASSES, work + CODES);
  let bits: u64 = 0;
  for (let c: u32 = 0; c < <u32>CLASSES; c++)
    bits += <u64>load<u32>(counts + (<usize>c << 2)) * <u64>(<u32>load<u8>(work + LENGTHS + c) + lowBits(c));
  return <i32>(bits >> 3) + 32 + storedLengthBytes(counts, CLASSES);
}

/** Code and low bits of a gap: bits | length << 48. */
// @ts-ignore: decorator
@inline
function written(gap: u32, codes: usize): u64 {
  const c = classOf(gap);
  const low = lowBits(c);
  const code = <u64>load<u32>(codes + (<usize>c << 2));
  const length = code >> 16;
  return (code & 0xffff) | (<u64>(gap & ((1 << low) - 1)) << length) | ((length + <u64>low) << 48);
}

/** Writes what `gapsModel` saw last. Gives the bytes written. */
export function gapsEncode(positions: usize, n: i32, out: usize, work: usize): i32 {
  const head = out + <usize>storeLengths(work + COUNTS, work + LENGTHS, CLASSES, out);
  const near = work + NEAR;
  for (let gap: u32 = 0; gap < 256; gap++) {
    const x = written(gap, work + CODES);
    store<u32>(near + (<usize>gap << 2), <u32>(x & 0xffffff) | (<u32>(x >> 48) << 24));
  }
  let to = head + 28;
  const quarter = (n + 3) >> 2;
  for (let q = 0; q < 4; q++) {
    const from = min(n, q * quarter);
    const end = min(n, from + quarter);
    const start = to;
    let acc: u64 = 0;
    let bits: u64 = 0;
    let before = from < end ? load<u32>(positions + (<usize>from << 2)) : 0;
    store<u32>(head + 12 + (<usize>q << 2), before);
    let at = positions + (<usize>(from + 1) << 2);
    const last = positions + (<usize>end << 2);
    while (at < last) {
      const position = load<u32>(at);
      const gap = position - before - 1;
      before = position;
      if (gap < 256) {
        const x = load<u32>(near + (<usize>gap << 2));
        acc |= <u64>(x & 0xffffff) << bits;
        bits += <u64>(x >> 24);
      } else {
        const x = written(gap, work + CODES);
        acc |= (x & 0xffffffffffff) << bits;
        bits += x >> 48;
      }
      store<u64>(to, acc);
      to += <usize>(bits >> 3);
      acc >>= bits & ~7;
      bits &= 7;
      at += 4;
    }
    if (bits > 0) store<u8>(to++, <u8>acc);
    if (q < 3) store<u32>(head + (<usize>q << 2), <u32>(to - start));
  }
  return <i32>(to - out);
}

/** Gaps below 2048 that lie in a look-up with all their bits: length | (gap + 1) << 4; others: LONG. */
function shortTable(work: usize): void {
  for (let at: u32 = 0; at < <u32>SLOTS; at++) {
    const x = <u32>load<u16>(work + TABLE + (<usize>at << 1));
    const length = x & 15;
    const c = x >> 4;
    const low = lowBits(c);
    let entry = LONG;
    if (length + low <= 11) {
      const gap = (c < 4 ? c : (4 | (c & 3)) << low) + ((at >> length) & ((1 << low) - 1));
      if (gap < 2048) entry = (length + low) | ((gap + 1) << 4);
    }
    store<u16>(work + SHORT + (<usize>at << 1), <u16>entry);
  }
}

/** Fewer gaps are not worth a table of several. */
const MANY: i32 = 16384;

/**
 * Up to three gaps that 11 bits hold, u64 for each of those: bits (4), bytes that their positions take (4), and what they
 * add to the position before: the first, the first two, all (16 each). 0 where the first gap is a long one.
 */
function manyTable(work: usize): void {
  for (let at: u32 = 0; at < <u32>SLOTS; at++) {
    let bits: u32 = 0;
    let bytes: u64 = 0;
    let sum: u64 = 0;
    let entry: u64 = 0;
    let full = false;
    for (let place: u64 = 8; place < 56; place += 16) {
      const s = <u32>load<u16>(work + SHORT + (<usize>(at >> bits) << 1));
      // Bits that are not there read as 0: a gap is one only if it has all of its own.
      full = full || (s & 15) == LONG || bits + (s & 15) > 11;
      if (!full) {
        bits += s & 15;
        bytes += 4;
        sum += <u64>(s >> 4);
      }
      entry |= sum << place;
    }
    store<u64>(READ_TABLES + (<usize>at << 3), entry | <u64>bits | (bytes << 4));
  }
}

// @ts-ignore: decorator
@inline
function manyAt(w: u64): u64 {
  return load<u64>((<usize>w & <usize>(SLOTS - 1)) << 3, READ_TABLES);
}
// @ts-ignore: decorator
@inline
function putMany(x: u64, position: u32, to: usize): void {
  store<u32>(to, position + (<u32>(x >> 8) & 0xffff));
  store<u32>(to, position + (<u32>(x >> 24) & 0xffff), 4);
  store<u32>(to, position + <u32>(x >> 40), 8);
}
// @ts-ignore: decorator
@inline
function bytesOf(x: u64): usize {
  return <usize>(x >> 4) & 15;
}

/** The next gap + 1 from the bits of `w`; the bits it took << 32. */
// @ts-ignore: decorator
@inline
function readGap(w: u64, work: usize): u64 {
  const s = <u32>load<u16>(work + SHORT + ((<usize>w & <usize>(SLOTS - 1)) << 1));
  if ((s & 15) != LONG) return <u64>(s >> 4) | (<u64>(s & 15) << 32);
  const x = <u32>load<u16>(work + TABLE + ((<usize>w & <usize>(SLOTS - 1)) << 1));
  const length = x & 15;
  const c = x >> 4;
  const low = lowBits(c);
  const gap = (c < 4 ? c : (4 | (c & 3)) << low) + (<u32>(w >> <u64>length) & ((<u32>1 << low) - 1));
  return <u64>(gap + 1) | (<u64>(length + low) << 32);
}

// @ts-ignore: decorator
@inline
function bitsAt(p: usize, bits: u64): u64 {
  return load<u64>(p + <usize>(bits >> 3)) >> (bits & 7);
}

/** Reads `n` positions below `count` from `src` to `end`. False if there are none. */
export function gapsDecode(src: usize, end: usize, n: i32, count: i32, out: usize, work: usize): bool {
  const bytes = loadTable(src, end, CLASSES, work + TABLE, work + SCRATCH);
  if (bytes == 0) return false;
  shortTable(work);
  const head = src + <usize>bytes;
  if (head + 28 > end) return false;
  const p0 = head + 28;
  const p1 = p0 + <usize>load<u32>(head);
  const p2 = p1 + <usize>load<u32>(head, 4);
  const p3 = p2 + <usize>load<u32>(head, 8);
  if (p1 < p0 || p2 < p1 || p3 < p2 || p3 > end) return false;
  const quarter = <usize>((n + 3) >> 2);
  const all = <usize>n;
  const q1 = min(all, quarter);
  const q2 = min(all, 2 * quarter);
  const q3 = min(all, 3 * quarter);
  let b0: u64 = 0;
  let b1: u64 = 0;
  let b2: u64 = 0;
  let b3: u64 = 0;
  let at0 = load<u32>(head, 12);
  let at1 = load<u32>(head, 16);
  let at2 = load<u32>(head, 20);
  let at3 = load<u32>(head, 24);
  store<u32>(out, at0);
  if (q1 < q2) store<u32>(out + (q1 << 2), at1);
  if (q2 < q3) store<u32>(out + (q2 << 2), at2);
  if (q3 < all) store<u32>(out + (q3 << 2), at3);
  let t0 = out + 4;
  let t1 = out + (q1 << 2) + 4;
  let t2 = out + (q2 << 2) + 4;
  let t3 = out + (q3 << 2) + 4;
  const e0 = out + (q1 << 2);
  const e1 = out + (q2 << 2);
  const e2 = out + (q3 << 2);
  const e3 = out + (all << 2);
  if (n >= MANY) {
    manyTable(work);
    // Two times three gaps a stream at most. A long one is read by itself: the table has nothing for it.
    while (t0 + 24 <= e0 && t1 + 24 <= e1 && t2 + 24 <= e2 && t3 + 24 <= e3) {
      const w0 = bitsAt(p0, b0);
      const w1 = bitsAt(p1, b1);
      const w2 = bitsAt(p2, b2);
      const w3 = bitsAt(p3, b3);
      const x0 = manyAt(w0);
      const x1 = manyAt(w1);
      const x2 = manyAt(w2);
      const x3 = manyAt(w3);
      putMany(x0, at0, t0);
      putMany(x1, at1, t1);
      putMany(x2, at2, t2);
      putMany(x3, at3, t3);
      at0 += <u32>(x0 >> 40);
      at1 += <u32>(x1 >> 40);
      at2 += <u32>(x2 >> 40);
      at3 += <u32>(x3 >> 40);
      t0 += bytesOf(x0);
      t1 += bytesOf(x1);
      t2 += bytesOf(x2);
      t3 += bytesOf(x3);
      const y0 = manyAt(w0 >> (x0 & 15));
      const y1 = manyAt(w1 >> (x1 & 15));
      const y2 = manyAt(w2 >> (x2 & 15));
      const y3 = manyAt(w3 >> (x3 & 15));
      putMany(y0, at0, t0);
      putMany(y1, at1, t1);
      putMany(y2, at2, t2);
      putMany(y3, at3, t3);
      at0 += <u32>(y0 >> 40);
      at1 += <u32>(y1 >> 40);
      at2 += <u32>(y2 >> 40);
      at3 += <u32>(y3 >> 40);
      t0 += bytesOf(y0);
      t1 += bytesOf(y1);
      t2 += bytesOf(y2);
      t3 += bytesOf(y3);
      b0 += (x0 & 15) + (y0 & 15);
      b1 += (x1 & 15) + (y1 & 15);
      b2 += (x2 & 15) + (y2 & 15);
      b3 += (x3 & 15) + (y3 & 15);
      if (y0 == 0) {
        const x = readGap(bitsAt(p0, b0), work);
        at0 += <u32>x;
        store<u32>(t0, at0);
        t0 += 4;
        b0 += x >> 32;
      }
      if (y1 == 0) {
        const x = readGap(bitsAt(p1, b1), work);
        at1 += <u32>x;
        store<u32>(t1, at1);
        t1 += 4;
        b1 += x >> 32;
      }
      if (y2 == 0) {
        const x = readGap(bitsAt(p2, b2), work);
        at2 += <u32>x;
        store<u32>(t2, at2);
        t2 += 4;
        b2 += x >> 32;
      }
      if (y3 == 0) {
        const x = readGap(bitsAt(p3, b3), work);
        at3 += <u32>x;
        store<u32>(t3, at3);
        t3 += 4;
        b3 += x >> 32;
      }
    }
  } else
    while (t3 < e3) {
      // The last stream is the shortest.
      const x0 = readGap(bitsAt(p0, b0), work);
      const x1 = readGap(bitsAt(p1, b1), work);
      const x2 = readGap(bitsAt(p2, b2), work);
      const x3 = readGap(bitsAt(p3, b3), work);
      at0 += <u32>x0;
      at1 += <u32>x1;
      at2 += <u32>x2;
      at3 += <u32>x3;
      store<u32>(t0, at0);
      store<u32>(t1, at1);
      store<u32>(t2, at2);
      store<u32>(t3, at3);
      t0 += 4;
      t1 += 4;
      t2 += 4;
      t3 += 4;
      b0 += x0 >> 32;
      b1 += x1 >> 32;
      b2 += x2 >> 32;
      b3 += x3 >> 32;
    }
  b0 = rest(p0, b0, t0, e0, at0, work);
  b1 = rest(p1, b1, t1, e1, at1, work);
  b2 = rest(p2, b2, t2, e2, at2, work);
  b3 = rest(p3, b3, t3, e3, at3, work);
  if (
    p0 + <usize>((b0 + 7) >> 3) != p1 ||
    p1 + <usize>((b1 + 7) >> 3) != p2 ||
    p2 + <usize>((b2 + 7) >> 3) != p3 ||
    p3 + <usize>((b3 + 7) >> 3) != end
  )
    return false;
  return areAscending(out, n, <u32>count);
}

function rest(p: usize, bits: u64, to: usize, end: usize, position: u32, work: usize): u64 {
  for (; to < end; to += 4) {
    const x = readGap(bitsAt(p, bits), work);
    position += <u32>x;
    store<u32>(to, position);
    bits += x >> 32;
  }
  return bits;
}

function areAscending(positions: usize, n: i32, count: u32): bool {
  const end = positions + (<usize>n << 2);
  let at = positions + 4;
  let fine = i32x4.splat(-1);
  for (; at + 16 <= end; at += 16) fine = v128.and(fine, i32x4.gt_u(v128.load(at), v128.load(at - 4)));
  let all = i32x4.all_true(fine) && load<u32>(end - 4) < count;
  for (; at < end; at += 4) all = all && load<u32>(at) > load<u32>(at - 4);
  return all;
}
