// One step of Adam on blocks of f32. Reference: ../reference/adam.ts.

/** A NaN has many forms, and hardware chooses: every one becomes the same. */
// @ts-ignore: decorator
@inline
function settled(x: v128): v128 {
  return v128.bitselect(x, i32x4.splat(0x7fc00000), f32x4.eq(x, x));
}

/** `weight` becomes weight · decay + (step · first) / (√second / root + eps). */
export function adamWeight(
  weight: usize,
  first: usize,
  second: usize,
  count: i32,
  decay: f32,
  step: f32,
  root: f32,
  eps: f32,
): void {
  const end = weight + (<usize>count << 2);
  while (weight < end) {
    const by = f32x4.add(f32x4.div(f32x4.sqrt(v128.load(second)), f32x4.splat(root)), f32x4.splat(eps));
    const move = f32x4.div(f32x4.mul(f32x4.splat(step), v128.load(first)), by);
    const kept = f32x4.mul(v128.load(weight), f32x4.splat(decay));
    v128.store(weight, settled(f32x4.add(kept, move)));
    weight += 16;
    first += 16;
    second += 16;
  }
}

/** Two gradients from the first moments before and after. */
// @ts-ignore: decorator
@inline
function gradient(before: v128, after: v128, rate: v128): v128 {
  const old = f64x2.promote_low_f32x4(before);
  const moved = f64x2.div(f64x2.sub(f64x2.promote_low_f32x4(after), old), rate);
  return f32x4.demote_f64x2_zero(f64x2.add(old, moved));
}

/** a · b + added, rounded once (nearly: by way of doubles, which hold the product exactly). */
// @ts-ignore: decorator
@inline
function fused(a: v128, b: v128, added: v128): v128 {
  const product = f64x2.mul(f64x2.promote_low_f32x4(a), f64x2.promote_low_f32x4(b));
  return f32x4.demote_f64x2_zero(f64x2.add(product, f64x2.promote_low_f32x4(added)));
}

// @ts-ignore: decorator
@inline
function high(x: v128): v128 {
  return v128.shuffle<i64>(x, x, 1, 1);
}

/** `second` becomes second · keep + add · g², g = before + (after − before) / rate. */
export function adamSecond(
  second: usize,
  before: usize,
  after: usize,
  count: i32,
  rate: f32,
  keep: f32,
  add: f32,
): void {
  const end = second + (<usize>count << 2);
  const by = f64x2.splat(<f64>rate);
  while (second < end) {
    const old = v128.load(before);
    const now = v128.load(after);
    const g = v128.shuffle<i64>(gradient(old, now, by), gradient(high(old), high(now), by), 0, 2);
    const share = f32x4.mul(f32x4.splat(add), g);
    const kept = f32x4.mul(v128.load(second), f32x4.splat(keep));
    const low = fused(share, g, kept);
    v128.store(second, settled(v128.shuffle<i64>(low, fused(high(share), high(g), high(kept)), 0, 2)));
    second += 16;
    before += 16;
    after += 16;
  }
}
