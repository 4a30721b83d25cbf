/**
 * Magnitudes as a class and low bits: 0 … 3 are classes of their own, then there are four classes to a power of two,
 * told apart by the two bits below the highest one; the bits below those are stored as they are.
 */
export function classOf(magnitude: number): number {
  if (magnitude < 4) return magnitude;
  const bits = 32 - Math.clz32(magnitude);
  return (bits - 2) * 4 + ((magnitude >>> (bits - 3)) & 3);
}

/** Bits that follow the code of a class. */
export const lowBits = (c: number): number => (c < 4 ? 0 : Math.floor(c / 4) - 1);

/** The smallest magnitude of a class. */
export const baseOf = (c: number): number => (c < 4 ? c : (4 + (c % 4)) * 2 ** lowBits(c));
