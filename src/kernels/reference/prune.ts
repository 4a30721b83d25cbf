/** The bits of a float of `width` bytes without its sign: ordered as absolute values are, NaN last. */
export function magnitudeAt(bytes: Uint8Array, index: number, width: 2 | 4 | 8): bigint {
  let bits = 0n;
  for (let i = width - 1; i >= 0; i--) bits = (bits << 8n) | BigInt(bytes[index * width + i] ?? 0);
  return bits & ((1n << BigInt(width * 8 - 1)) - 1n);
}

/** How often each 16-bit digit from bit `shift` on occurs among the magnitudes whose bits above it are `prefix`. */
export function magnitudeDigits(
  bytes: Uint8Array,
  width: 4 | 8,
  shift: number,
  prefix: bigint,
): Map<number, number> {
  const counts = new Map<number, number>();
  for (let i = 0; i < bytes.length / width; i++) {
    const magnitude = magnitudeAt(bytes, i, width);
    if (magnitude >> BigInt(shift + 16) !== prefix) continue;
    const digit = Number((magnitude >> BigInt(shift)) & 0xffffn);
    counts.set(digit, (counts.get(digit) ?? 0) + 1);
  }
  return counts;
}

/** How many elements have a smaller magnitude, and how many exactly this one. */
export function countMagnitudes(
  bytes: Uint8Array,
  width: 4 | 8,
  magnitude: bigint,
): { readonly below: number; readonly equal: number } {
  let [below, equal] = [0, 0];
  for (let i = 0; i < bytes.length / width; i++) {
    const own = magnitudeAt(bytes, i, width);
    if (own < magnitude) below++;
    if (own === magnitude) equal++;
  }
  return { below, equal };
}

/** How many f32 elements have a magnitude below `from`, and how often each of the 65,536 from there on occurs. */
export function nearMagnitudes(
  bytes: Uint8Array,
  from: bigint,
): { readonly below: number; readonly counts: Uint32Array } {
  const counts = new Uint32Array(65536);
  let below = 0;
  for (let i = 0; i < bytes.length / 4; i++) {
    const distance = magnitudeAt(bytes, i, 4) - from;
    if (distance < 0n) below++;
    else if (distance < 65536n) counts[Number(distance)] = (counts[Number(distance)] ?? 0) + 1;
  }
  return { below, counts };
}

/** Elements of a smaller magnitude become +0, in place. */
export function zeroBelow(bytes: Uint8Array, width: 2 | 4 | 8, magnitude: bigint): void {
  for (let i = 0; i < bytes.length / width; i++)
    if (magnitudeAt(bytes, i, width) < magnitude) bytes.fill(0, i * width, (i + 1) * width);
}
