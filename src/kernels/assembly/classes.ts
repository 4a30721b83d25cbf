// Classes of magnitudes: 0 … 3 are the magnitude itself, then four to an octave; the bits below are written raw.

// @ts-ignore: decorator
@inline
export function classOf(m: u32): u32 {
  // Without a branch for small ones: which ones are small is noise.
  const low = 29 - clz<u32>(m | 7);
  return (low << 2) + (m >> low);
}
// @ts-ignore: decorator
@inline
export function lowBits(c: u32): u32 {
  return c < 4 ? 0 : (c >> 2) - 1;
}
// @ts-ignore: decorator
@inline
export function magnitude(d: i32): u32 {
  const s = d >> 31;
  return <u32>((d ^ s) - s);
}
