const { fround } = Math;
const settled = (value: number): number => (Number.isNaN(value) ? Number.NaN : value);

/**
 * What one step of Adam makes of a weight, from the moments after the step: `decay` is 1 − lr · weight decay, `step`
 * −lr / (1 − β₁ᵗ), `root` √(1 − β₂ᵗ). All of f32, every operation rounded to f32. A NaN is always the same one.
 */
export function adamWeight(
  weight: Float32Array,
  first: Float32Array,
  second: Float32Array,
  [decay = 0, step = 0, root = 0, eps = 0]: readonly number[],
): Float32Array {
  return weight.map((value, i) => {
    const by = fround(fround(fround(Math.sqrt(second[i] ?? 0)) / root) + eps);
    const move = fround(fround(step * (first[i] ?? 0)) / by);
    return settled(fround(value * decay) + move);
  });
}

/**
 * What it makes of a second moment: the first moments before and after tell the gradient (`rate` is 1 − β₁), nearly: the
 * second lost some of its bits. `keep` is β₂, `add` 1 − β₂. The gradient and the last sum are computed in f64.
 */
export function adamSecond(
  second: Float32Array,
  before: Float32Array,
  after: Float32Array,
  [rate = 0, keep = 0, add = 0]: readonly number[],
): Float32Array {
  return second.map((value, i) => {
    const old = before[i] ?? 0;
    const gradient = fround(old + ((after[i] ?? 0) - old) / rate);
    return settled(fround(add * gradient) * gradient + fround(value * keep));
  });
}
