export type PlaneWidth = 2 | 4 | 8;

/**
 * Byte planes of little-endian elements rotated left by one bit: plane p (byte p of every rotated element) lies at
 * p · count. The rotation makes the exponent of f32 and bf16 a whole byte, that of the last plane, and moves the
 * sign to the lowest bit of the first.
 */
export function splitPlanes(bytes: Uint8Array, width: PlaneWidth): Uint8Array {
  const count = bytes.length / width;
  const planes = new Uint8Array(bytes.length);
  for (let i = 0; i < count; i++) {
    for (let p = 0; p < width; p++) {
      const below = bytes[i * width + (p === 0 ? width - 1 : p - 1)] ?? 0;
      planes[p * count + i] = ((bytes[i * width + p] ?? 0) << 1) | (below >>> 7);
    }
  }
  return planes;
}

/** The inverse of `splitPlanes`. */
export function joinPlanes(planes: Uint8Array, width: PlaneWidth): Uint8Array {
  const count = planes.length / width;
  const bytes = new Uint8Array(planes.length);
  for (let i = 0; i < count; i++) {
    for (let p = 0; p < width; p++) {
      const above = planes[(p === width - 1 ? 0 : p + 1) * count + i] ?? 0;
      bytes[i * width + p] = ((planes[p * count + i] ?? 0) >>> 1) | (above << 7);
    }
  }
  return bytes;
}
