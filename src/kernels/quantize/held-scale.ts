/** Bits that f32 has more, and the largest number below which f16 has the fixed distance of its subnormals. */
const DROP = { f16: 13, bf16: 16 } as const;
const NORMAL_F16 = 2 ** -14;
const LEAST_F16 = 2 ** -24;
/** Adding it leaves multiples of 2^-24. */
const GRID = 0.75;

/**
 * One scale as it is once it is stored, as `heldScales` has it: rounded half even, and none becomes 0 in f16. Where every block
 * of a large weight has one, arrays would take longer than the weight.
 */
export function heldScale(type: 'f16' | 'bf16'): (scale: number) => number {
  const value = new Float32Array(1);
  const bits = new Int32Array(value.buffer);
  const drop = DROP[type];
  const half = (1 << (drop - 1)) - 1;
  return (scale) => {
    const size = Math.abs(scale);
    if (scale === 0) return scale;
    if (type === 'f16' && size < NORMAL_F16) {
      if (size < LEAST_F16) return Math.sign(scale) * LEAST_F16;
      return Math.fround(Math.fround(scale + GRID) - GRID);
    }
    value[0] = scale;
    const all = bits[0] ?? 0;
    bits[0] = (all + half + ((all >> drop) & 1)) & -(1 << drop);
    return value[0] ?? 0;
  };
}
