// Differences to a base: elements as ordered integers (a float of W bits becomes the unsigned integer that sorts as it
// does), subtracted modulo 2^W; the magnitude as a Huffman-coded class and its low bits raw, the sign one bit. The code
// of the classes depends on the exponent of the base element: a step of the optimizer has about the same size for all
// weights of a tensor, so it moves small weights by many units in the last place and large ones by few.
// Reference: ../reference/residual.ts.
//
// Stored: u8 number of contexts K (1 to 16); K − 1 bytes: the first exponent of contexts 1 … K − 1; K code tables
// (huffman.ts, storeLengths); u32 × 3: bytes of the first three of four streams, a quarter of the elements each.
import { classOf, lowBits, magnitude } from './classes';
import { contextMap, groupExponents, isSampled, joint, largestClass } from './contexts';
import { differences, exponents } from './differences';
import { huffmanCodes, huffmanLengths, storedLengthBytes, storeLengths } from './huffman';
import { CLASSES, CODES, JOINT, LENGTHS, ROWS, SCRATCH, SHORT, STARTS, SUMS } from './residual-work';

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
