// Reads what residual-encode.ts writes. Reference: ../reference/residual.ts.
import { lowBits } from './classes';
import { contextMap } from './contexts';
import { applyDifferences, exponents } from './differences';
import { loadTable, SLOTS } from './huffman';
import { CLASS_BASE, CLASS_BITS, CLASS_MASK, CLASSES, LONG, MAX_CONTEXTS, ROWS, SCRATCH, SHORT, STARTS, TABLES } from './residual-work';

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
