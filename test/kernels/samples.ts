/** Deterministic test data. */
export function random(seed: number): () => number {
  let state = seed >>> 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}

/** f32 bit patterns that matter: ends of ranges, ties, subnormals, zeros, infinities, NaNs. */
export const EDGE_BITS: readonly number[] = [
  0, 0x80000000, 1, 0x80000001, 0x007fffff, 0x00800000, 0x33000000, 0x33000001, 0x33800000, 0x387fc000,
  0x387fdfff, 0x387fe000, 0x387fe001, 0x387fffff, 0x38800000, 0x38801000, 0x38803000, 0x477fe000, 0x477fefff,
  0x477ff000, 0x47800000, 0x3f800000, 0x3f808000, 0x3f818000, 0x7f7f7fff, 0x7f7f8000, 0x7f7fffff, 0x7f800000,
  0xff800000, 0x7f800001, 0xff800001, 0x7fc00000, 0xffc12345, 0x7fffffff, 0x7f801000, 0x7fa00000,
];

/** Kinds of content that take different ways through the kernels. */
export const KINDS = ['weights', 'bits', 'edges', 'constant', 'sparse'] as const;
export type Kind = (typeof KINDS)[number];

/** `count` f32 values of a kind. */
export function floats(kind: Kind, count: number, seed = 1): Float32Array {
  const next = random(seed);
  const out = new Float32Array(count);
  const bits = new Uint32Array(out.buffer);
  for (let i = 0; i < count; i++) {
    if (kind === 'weights') out[i] = (next() + next() + next() - 1.5) * 0.05;
    else if (kind === 'bits') bits[i] = next() * 2 ** 32;
    else if (kind === 'edges') bits[i] = EDGE_BITS[Math.floor(next() * EDGE_BITS.length)] ?? 0;
    else if (kind === 'constant') out[i] = 0.1;
    else out[i] = next() < 0.9 ? 0 : next();
  }
  return out;
}

export const bytesOf = (array: ArrayBufferView): Uint8Array =>
  new Uint8Array(array.buffer, array.byteOffset, array.byteLength);

/** Lengths around the vector sizes, and one that is not small. */
export const LENGTHS = [0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 63, 1000, 4099] as const;
