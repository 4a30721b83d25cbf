/** Reverses the bytes of every element of `width` bytes, in place. */
export function byteswap(bytes: Uint8Array, width: number): void {
  for (let at = 0; at + width <= bytes.length; at += width) bytes.subarray(at, at + width).reverse();
}

/** How often every byte value occurs. */
export function byteHistogram(bytes: Uint8Array): Uint32Array {
  const counts = new Uint32Array(256);
  for (const byte of bytes) counts[byte] = (counts[byte] ?? 0) + 1;
  return counts;
}

/**
 * How often every value of the 8 bits below the highest one occurs, over elements of `width` bytes: the exponent of
 * f32 and bf16.
 */
export function leadingHistogram(bytes: Uint8Array, width: 2 | 4 | 8): Uint32Array {
  const counts = new Uint32Array(256);
  for (let at = width - 2; at < bytes.length; at += width) {
    const leading = (((bytes[at + 1] ?? 0) << 1) & 0xff) | ((bytes[at] ?? 0) >>> 7);
    counts[leading] = (counts[leading] ?? 0) + 1;
  }
  return counts;
}
