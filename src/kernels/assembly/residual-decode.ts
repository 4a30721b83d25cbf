// Reads what residual-encode.ts writes. Reference: ../reference/residual.ts.
import { lowBits } from './classes';
import { applyDifferences, exponents } from './differences';
import { loadTable, SLOTS } from './huffman';
import { ADDRESSES, BLOCKS, CLASS_PARTS, CLASSES, MAX_CONTEXTS, NARROW_CLASSES, RAWS, SCRATCH, STARTS, TABLES } from './residual-work';

/**
 * Of every class u32: twice its lowest magnitude, the bits that are read into that (the sign lowest), the magnitude,
 * bits after the code.
 */
function classTables(work: usize): void {
  for (let c: u32 = 0; c < 128; c++) {
    const low = lowBits(c);
    const base = c < 4 ? c : (4 | (c & 3)) << low;
    const entry = work + CLASS_PARTS + (<usize>c << 4);
    store<u32>(entry, base << 1);
    store<u32>(entry, c == 0 ? 0 : (2 << low) - 1, 4);
    store<u32>(entry, base, 8);
    store<u32>(entry, c == 0 ? 0 : low + 1, 12);
    store<u8>(work + RAWS + <usize>c, <u8>(c == 0 ? 0 : low + 1));
  }
}

/** Elements of a stream at a time: what is read of them stays in the nearest cache. */
const BLOCK: usize = 128;
const READ: usize = 4 * (BLOCK + 16); // u32 each

/** For every exponent (u32): where the table of its context lies. */
function tableAddresses(groups: i32, work: usize): void {
  let g = 0;
  for (let e = 0; e < 256; e++) {
    while (g + 1 < groups && <i32>load<u8>(work + STARTS + 5 + g) <= e) g++;
    store<u32>(work + ADDRESSES + (<usize>e << 2), <u32>(work + TABLES + (<usize>g << 12)));
  }
}

// Bits are numbered from the beginning of the memory: a stream is one number.
// @ts-ignore: decorator
@inline
function bitsFrom(bits: u64): u64 {
  return load<u64>(<usize>(bits >> 3)) >> (bits & 7);
}
// @ts-ignore: decorator
@inline
function slotOf(w: u64, exp: usize, parts: usize): u32 {
  const table = <usize>load<u32>(parts + (<usize>load<u8>(exp) << 2), ADDRESSES - CLASS_PARTS);
  return <u32>load<u16>(table + ((<usize>w << 1) & <usize>(2 * SLOTS - 2)));
}

/** Reads a difference: the difference itself. Gives the bits that are read then. */
// @ts-ignore: decorator
@inline
function readWide(bits: u64, exp: usize, at: usize, parts: usize): u64 {
  const w = bitsFrom(bits);
  const x = slotOf(w, exp, parts);
  const entry = parts + <usize>(x & 0x7f0);
  const v = w >> <u64>(x & 15);
  // Class 0 has no sign: its magnitude is 0 whatever bit stands there.
  const m = load<u32>(entry, 8) + ((<u32>v & load<u32>(entry, 4)) >> 1);
  const s = <u32>0 - (<u32>v & 1);
  store<u32>(at, (m ^ s) - s);
  return bits + <u64>((x & 15) + load<u32>(entry, 12));
}

/** Reads a difference: 2 m + s. */
// @ts-ignore: decorator
@inline
function readNarrow(w: u64, x: u32, at: usize, parts: usize): void {
  const entry = parts + <usize>(x & 0x3f0);
  store<u32>(at, load<u32>(entry) + (<u32>(w >> <u64>(x & 15)) & load<u32>(entry, 4)));
}

// @ts-ignore: decorator
@inline
function readOne<T>(bits: u64, exp: usize, at: usize, parts: usize): u64 {
  if (sizeof<T>() == 4) return readWide(bits, exp, at, parts);
  const w = bitsFrom(bits);
  const x = slotOf(w, exp, parts);
  readNarrow(w, x, at, parts);
  return bits + <u64>(x >> 10);
}

/** Two differences, of narrow elements from one load: 7 bits that were read before, and two times 26 at most. */
// @ts-ignore: decorator
@inline
function readTwo<T>(bits: u64, exp: usize, at: usize, parts: usize): u64 {
  if (sizeof<T>() == 4) return readWide(readWide(bits, exp, at, parts), exp + 1, at + 4, parts);
  const w = bitsFrom(bits);
  const x = slotOf(w, exp, parts);
  readNarrow(w, x, at, parts);
  const v = w >> <u64>(x >> 10);
  const y = slotOf(v, exp + 1, parts);
  readNarrow(v, y, at + 4, parts);
  return bits + <u64>(x >> 10) + <u64>(y >> 10);
}

// @ts-ignore: decorator
@inline
function signed4(at: usize): v128 {
  const x = v128.load(at);
  const m = i32x4.shr_u(x, 1);
  const s = i32x4.shr_s(i32x4.shl(x, 31), 31);
  return i32x4.sub(v128.xor(m, s), s);
}
// @ts-ignore: decorator
@inline
function signed8(at: usize): v128 {
  return v128.shuffle<u16>(signed4(at), signed4(at + 16), 0, 2, 4, 6, 8, 10, 12, 14);
}

/** What was read of a block goes to `out` as differences; at most 64 bytes more. */
function finish<T>(count: usize, block: usize, out: usize): void {
  const from = block;
  if (sizeof<T>() == 4) memory.copy(out, from, count << 2);
  else {
    let k: usize = 0;
    const wide = count & ~15;
    for (; k < wide; k += 16) {
      const a = signed8(from + (k << 2));
      const b = signed8(from + (k << 2) + 32);
      if (sizeof<T>() == 2) {
        v128.store(out + 2 * k, a);
        v128.store(out + 2 * k, b, 16);
      } else v128.store(out + k, v128.shuffle<u8>(a, b, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30));
    }
    for (; k < count; k++) {
      const x = load<u32>(from + (k << 2));
      const s = <u32>0 - (x & 1);
      store<T>(out + k * sizeof<T>(), <T>(((x >> 1) ^ s) - s));
    }
  }
}

function decodeStreams<T>(p0: usize, p1: usize, p2: usize, p3: usize, end: usize, n: i32, exps: usize, out: usize, work: usize): bool {
  const quarter = <usize>((n + 3) >> 2);
  const all = <usize>n;
  const q1 = min(all, quarter);
  const q2 = min(all, 2 * quarter);
  const q3 = min(all, 3 * quarter);
  let b0 = <u64>p0 << 3;
  let b1 = <u64>p1 << 3;
  let b2 = <u64>p2 << 3;
  let b3 = <u64>p3 << 3;
  const parts = work + CLASS_PARTS;
  const block = work + BLOCKS;
  for (let i: usize = 0; i < q1; i += BLOCK) {
    const n0 = min(BLOCK, q1 - i);
    const n1 = min(n0, q2 - min(q2, q1 + i));
    const n2 = min(n1, q3 - min(q3, q2 + i));
    const n3 = min(n2, all - min(all, q3 + i));
    // The last quarter is the shortest.
    const done = n3 & ~1;
    let at = block;
    const e1 = exps + q1 + i;
    const e2 = exps + q2 + i;
    const e3 = exps + q3 + i;
    const e0 = exps + i;
    for (let k: usize = 0; k < done; k += 2) {
      b0 = readTwo<T>(b0, e0 + k, at, parts);
      b1 = readTwo<T>(b1, e1 + k, at + READ, parts);
      b2 = readTwo<T>(b2, e2 + k, at + 2 * READ, parts);
      b3 = readTwo<T>(b3, e3 + k, at + 3 * READ, parts);
      at += 8;
    }
    for (let k = done; k < n0; k++) b0 = readOne<T>(b0, e0 + k, block + (k << 2), parts);
    for (let k = done; k < n1; k++) b1 = readOne<T>(b1, e1 + k, block + READ + (k << 2), parts);
    for (let k = done; k < n2; k++) b2 = readOne<T>(b2, e2 + k, block + 2 * READ + (k << 2), parts);
    for (let k = done; k < n3; k++) b3 = readOne<T>(b3, e3 + k, block + 3 * READ + (k << 2), parts);
    finish<T>(n0, block, out + i * sizeof<T>());
    finish<T>(n1, block + READ, out + (q1 + i) * sizeof<T>());
    finish<T>(n2, block + 2 * READ, out + (q2 + i) * sizeof<T>());
    finish<T>(n3, block + 3 * READ, out + (q3 + i) * sizeof<T>());
  }
  return (
    <usize>((b0 + 7) >> 3) == p1 &&
    <usize>((b1 + 7) >> 3) == p2 &&
    <usize>((b2 + 7) >> 3) == p3 &&
    <usize>((b3 + 7) >> 3) == end
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
  tableAddresses(groups, work);
  classTables(work);
  let at = src + <usize>groups;
  for (let g: usize = 0; g < <usize>groups; g++) {
    const table = work + TABLES + (g << 12);
    const bytes =
      width < 4
        ? loadTable(at, end, NARROW_CLASSES, table, work + SCRATCH, work + RAWS)
        : loadTable(at, end, CLASSES, table, work + SCRATCH);
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
  const whole =
    width == 4
      ? decodeStreams<u32>(p0, p1, p2, p3, end, n, exps, out, work)
      : width == 2
        ? decodeStreams<u16>(p0, p1, p2, p3, end, n, exps, out, work)
        : decodeStreams<u8>(p0, p1, p2, p3, end, n, exps, out, work);
  if (whole) applyDifferences(base, n, width, shift != 0, out);
  return whole;
}
