import { type Arena, arena, SLOT_BYTES, type Slot } from './wasm.js';

/** Adds how often every byte value occurs in the first `length` bytes of a slot. */
export function addByteCounts(where: Arena, slot: Slot, length: number, totals: Float64Array): void {
  const { at, scratch, values } = where.counts;
  values.fill(0);
  where.kernels.byteHistogram(slot.at, length, at, scratch);
  for (let i = 0; i < 256; i++) totals[i] = (totals[i] ?? 0) + (values[i] ?? 0);
}

/** Adds how often every value of the leading byte (see reference/bytes) of `count` elements in a slot occurs. */
export function addLeadingCounts(
  where: Arena,
  slot: Slot,
  count: number,
  width: 2 | 4 | 8,
  totals: Float64Array,
): void {
  const { at, scratch, values } = where.counts;
  values.fill(0);
  where.kernels.leadingHistogram(slot.at, count, width, at, scratch);
  for (let i = 0; i < 256; i++) totals[i] = (totals[i] ?? 0) + (values[i] ?? 0);
}

/** How often every byte value occurs. */
export function byteHistogram(bytes: Uint8Array): Float64Array {
  const totals = new Float64Array(256);
  const here = arena();
  const slot = here.slot(0);
  for (let at = 0; at < bytes.length; at += SLOT_BYTES) {
    const part = bytes.subarray(at, at + SLOT_BYTES);
    slot.bytes.set(part);
    addByteCounts(here, slot, part.length, totals);
  }
  return totals;
}

/** Shannon entropy of counts, in bits per value. */
export function entropyBits(counts: Float64Array): number {
  const total = counts.reduce((sum, n) => sum + n, 0);
  let bits = 0;
  for (const n of counts) if (n > 0) bits -= (n / total) * Math.log2(n / total);
  return bits + 0;
}
