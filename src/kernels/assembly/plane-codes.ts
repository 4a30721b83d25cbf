// Byte planes as Huffman codes: four streams of a quarter of the plane each, written two symbols at a time, read up to
// three at a time. Stored: code lengths, the length of the first three streams (u32 each), the streams.
// Reference: ../reference/plane-codes.ts.
import { huffmanCodes, huffmanLengths, LIMIT, loadTable, onlySymbol, SLOTS, storedLengthBytes, storeLengths } from './huffman';

/** Areas in the memory that these kernels are given to work in (512 KiB). */
const COUNTS: usize = 0; // 4 × 256 × u32
const LENGTHS: usize = 4096;
const CODES: usize = 5120;
const SCRATCH: usize = 8192;
const TABLE: usize = 16384; // single symbols, u16
const MULTI: usize = 32768; // up to three symbols, u32
const PAIRS: usize = 65536; // 65536 × u32

/** Counts of all bytes in four tables that are added: neighbours that are equal do not wait for each other. */
function count4(src: usize, n: i32, counts: usize): void {
  memory.fill(counts, 0, 4096);
  let i = src;
  const wide = src + (<usize>n & ~7);
  while (i < wide) {
    const x = load<u64>(i);
    bump(counts, <usize>(x & 255));
    bump(counts + 1024, <usize>((x >> 8) & 255));
    bump(counts + 2048, <usize>((x >> 16) & 255));
    bump(counts + 3072, <usize>((x >> 24) & 255));
    bump(counts, <usize>((x >> 32) & 255));
    bump(counts + 1024, <usize>((x >> 40) & 255));
    bump(counts + 2048, <usize>((x >> 48) & 255));
    bump(counts + 3072, <usize>(x >> 56));
    i += 8;
  }
  while (i < src + <usize>n) bump(counts, <usize>load<u8>(i++));
  for (let s: usize = 0; s < 1024; s += 4)
    store<u32>(
      counts + s,
      load<u32>(counts + s) + load<u32>(counts + 1024 + s) + load<u32>(counts + 2048 + s) + load<u32>(counts + 3072 + s),
    );
}
// @ts-ignore: decorator
@inline
function bump(counts: usize, symbol: usize): void {
  const at = counts + (symbol << 2);
  store<u32>(at, load<u32>(at) + 1);
}

/** Makes the code of a plane. Gives the bytes that `planeEncode` will write (a few more at most), 3 for one symbol. */
export function planeModel(src: usize, n: i32, work: usize): i32 {
  const counts = work + COUNTS;
  count4(src, n, counts);
  const used = huffmanLengths(counts, 256, work + LENGTHS, work + SCRATCH);
  if (used < 2) return 3;
  huffmanCodes(work + LENGTHS, 256, work + CODES);
  let bits: u64 = 0;
  for (let s: usize = 0; s < 256; s++)
    bits += <u64>load<u32>(counts + (s << 2)) * <u64>load<u8>(work + LENGTHS + s);
  return <i32>(bits >> 3) + 16 + storedLengthBytes(counts, 256);
}

/** Elements of a large plane that a first look leaves out between two blocks of 256 that it takes, and those. */
const SAMPLE_STEP: i32 = 4096;
const SAMPLE_BLOCK: i32 = 256;

// @ts-ignore: decorator
@inline
function sampleStep(n: i32): i32 {
  return n > 65536 ? SAMPLE_STEP : SAMPLE_BLOCK;
}

/**
 * The elements of `width` bytes whose planes `planeSample` would look at, side by side: so that only those need be split
 * into planes. Gives their number.
 */
export function sampleElements(src: usize, n: i32, width: i32, out: usize): i32 {
  const step = sampleStep(n);
  let to = out;
  for (let from = 0; from < n; from += step) {
    const bytes = <usize>(min(n, from + SAMPLE_BLOCK) - from) * <usize>width;
    memory.copy(to, src + <usize>from * <usize>width, bytes);
    to += bytes;
  }
  return <i32>(to - out) / width;
}

/** What `plane` of the sample takes as Huffman codes. In 1/256 of a bit a symbol. */
export function planeSample(src: usize, n: i32, work: usize): i32 {
  const counts = work + COUNTS;
  count4(src, n, counts);
  const used = huffmanLengths(counts, 256, work + LENGTHS, work + SCRATCH);
  if (used < 2) return 0;
  let bits: u64 = 0;
  for (let s: usize = 0; s < 256; s++)
    bits += <u64>load<u32>(counts + (s << 2)) * <u64>load<u8>(work + LENGTHS + s);
  return <i32>((bits << 8) / <u64>n);
}

/** Writes the plane that `planeModel` saw last. Gives the bytes written. */
export function planeEncode(src: usize, n: i32, out: usize, work: usize): i32 {
  const codes = work + CODES;
  const pairs = work + PAIRS;
  // Only pairs of symbols that occur.
  const counts = work + COUNTS;
  for (let high: usize = 0; high < 256; high++) {
    if (load<u32>(counts + (high << 2)) == 0) continue;
    const second = load<u32>(codes + (high << 2));
    const code = second & 0xffff;
    const length = second >> 16;
    const row = pairs + (high << 10);
    for (let low: usize = 0; low < 256; low++) {
      const first = load<u32>(codes + (low << 2));
      const shift = first >> 16;
      store<u32>(row + (low << 2), (first & 0xffff) | (code << shift) | ((shift + length) << 24));
    }
  }
  const head = out + <usize>storeLengths(counts, work + LENGTHS, 256, out);
  let to = head + 12;
  const quarter = (n + 3) >> 2;
  for (let q = 0; q < 4; q++) {
    const from = min(n, q * quarter);
    const end = min(n, from + quarter);
    const start = to;
    let acc: u64 = 0;
    let bits: u64 = 0;
    let i = src + <usize>from;
    const wide = src + <usize>(from + ((end - from) & ~3));
    while (i < wide) {
      const a = load<u32>(pairs + (<usize>load<u16>(i) << 2));
      const b = load<u32>(pairs + (<usize>load<u16>(i, 2) << 2));
      acc |= <u64>(a & 0xffffff) << bits;
      bits += <u64>(a >> 24);
      acc |= <u64>(b & 0xffffff) << bits;
      bits += <u64>(b >> 24);
      store<u64>(to, acc);
      to += <usize>(bits >> 3);
      acc >>= bits & ~7;
      bits &= 7;
      i += 4;
    }
    while (i < src + <usize>end) {
      const a = load<u32>(codes + (<usize>load<u8>(i++) << 2));
      acc |= <u64>(a & 0xffff) << bits;
      bits += <u64>(a >> 16);
      store<u64>(to, acc);
      to += <usize>(bits >> 3);
      acc >>= bits & ~7;
      bits &= 7;
    }
    if (bits > 0) store<u8>(to++, <u8>acc);
    if (q < 3) store<u32>(head + (<usize>q << 2), <u32>(to - start));
  }
  return <i32>(to - out);
}

/** Up to three symbols an entry: symbols from the lowest byte, bits << 24, number of symbols << 30. */
function multiTable(work: usize): void {
  const single = work + TABLE;
  for (let i: u32 = 0; i < <u32>SLOTS; i++) {
    const a = <u32>load<u16>(single + (<usize>i << 1));
    let bits = a & 15;
    let entry = a >> 4;
    let symbols: u32 = 1;
    while (symbols < 3) {
      const next = <u32>load<u16>(single + (<usize>(i >> bits) << 1));
      if ((next & 15) + bits > <u32>LIMIT) break;
      entry |= (next >> 4) << (symbols << 3);
      bits += next & 15;
      symbols++;
    }
    store<u32>(work + MULTI + (<usize>i << 2), entry | (bits << 24) | (symbols << 30));
  }
}

/** Reads a plane of `n` bytes. False if `src` … `end` is none. May write up to 3 bytes past `n`. */
export function planeDecode(src: usize, end: usize, n: i32, out: usize, work: usize): bool {
  const head = loadTable(src, end, 256, work + TABLE, work + SCRATCH);
  if (head == 0 || onlySymbol() >= 0) return false;
  multiTable(work);
  const sizes = src + <usize>head;
  if (sizes + 12 > end) return false;
  let p0 = sizes + 12;
  const p1 = p0 + <usize>load<u32>(sizes);
  const p2 = p1 + <usize>load<u32>(sizes, 4);
  const p3 = p2 + <usize>load<u32>(sizes, 8);
  if (p1 < p0 || p2 < p1 || p3 < p2 || p3 > end) return false;
  const quarter = (n + 3) >> 2;
  let o0 = out;
  let o1 = out + <usize>min(n, quarter);
  let o2 = out + <usize>min(n, 2 * quarter);
  let o3 = out + <usize>min(n, 3 * quarter);
  const e0 = o1;
  const e1 = o2;
  const e2 = o3;
  const e3 = out + <usize>n;
  let b0: u64 = 0;
  let b1: u64 = 0;
  let b2: u64 = 0;
  let b3: u64 = 0;
  const table = work + MULTI;
  const mask: u64 = <u64>(SLOTS - 1);
  // Five look-ups of at most 11 bits and 3 symbols fit into what one load gives.
  while (o0 + 16 <= e0 && o1 + 16 <= e1 && o2 + 16 <= e2 && o3 + 16 <= e3) {
    let w0 = load<u64>(p0 + <usize>(b0 >> 3)) >> (b0 & 7);
    let w1 = load<u64>(p1 + <usize>(b1 >> 3)) >> (b1 & 7);
    let w2 = load<u64>(p2 + <usize>(b2 >> 3)) >> (b2 & 7);
    let w3 = load<u64>(p3 + <usize>(b3 >> 3)) >> (b3 & 7);
    for (let k = 0; k < 5; k++) {
      const x0 = load<u32>(table + (<usize>(w0 & mask) << 2));
      const x1 = load<u32>(table + (<usize>(w1 & mask) << 2));
      const x2 = load<u32>(table + (<usize>(w2 & mask) << 2));
      const x3 = load<u32>(table + (<usize>(w3 & mask) << 2));
      store<u32>(o0, x0);
      store<u32>(o1, x1);
      store<u32>(o2, x2);
      store<u32>(o3, x3);
      const l0 = <u64>((x0 >> 24) & 63);
      const l1 = <u64>((x1 >> 24) & 63);
      const l2 = <u64>((x2 >> 24) & 63);
      const l3 = <u64>((x3 >> 24) & 63);
      o0 += <usize>(x0 >> 30);
      o1 += <usize>(x1 >> 30);
      o2 += <usize>(x2 >> 30);
      o3 += <usize>(x3 >> 30);
      w0 >>= l0;
      w1 >>= l1;
      w2 >>= l2;
      w3 >>= l3;
      b0 += l0;
      b1 += l1;
      b2 += l2;
      b3 += l3;
    }
  }
  const single = work + TABLE;
  b0 = tail(p0, b0, o0, e0, single);
  b1 = tail(p1, b1, o1, e1, single);
  b2 = tail(p2, b2, o2, e2, single);
  b3 = tail(p3, b3, o3, e3, single);
  return (
    p0 + <usize>((b0 + 7) >> 3) == p1 &&
    p1 + <usize>((b1 + 7) >> 3) == p2 &&
    p2 + <usize>((b2 + 7) >> 3) == p3 &&
    p3 + <usize>((b3 + 7) >> 3) == end
  );
}

/** The last symbols of a stream one by one; gives where its bits end. */
function tail(p: usize, bits: u64, out: usize, end: usize, single: usize): u64 {
  while (out < end) {
    const w = load<u64>(p + <usize>(bits >> 3)) >> (bits & 7);
    const x = load<u16>(single + (<usize>(w & <u64>(SLOTS - 1)) << 1));
    store<u8>(out++, <u8>(x >> 4));
    bits += <u64>(x & 15);
  }
  return bits;
}
