// What rounding did to values, summed while they are at hand: six doubles, Σ(a−b)², Σa², Σb², the largest |a−b|, the
// largest |a−b|÷|a|, and what is other than 0 once a value was not finite.

// @ts-ignore: decorator
@inline
export function across(x: v128): f64 {
  return (
    <f64>f32x4.extract_lane(x, 0) +
    <f64>f32x4.extract_lane(x, 1) +
    <f64>f32x4.extract_lane(x, 2) +
    <f64>f32x4.extract_lane(x, 3)
  );
}

// @ts-ignore: decorator
@inline
function largest(x: v128): f64 {
  const a = max(f32x4.extract_lane(x, 0), f32x4.extract_lane(x, 1));
  return <f64>max(a, max(f32x4.extract_lane(x, 2), f32x4.extract_lane(x, 3)));
}

/** Σ(a−b)², Σa², Σb²: the first three doubles. */
// @ts-ignore: decorator
@inline
export function addSums(sums: usize, squares: v128, aa: v128, bb: v128): void {
  store<f64>(sums, load<f64>(sums) + across(squares));
  store<f64>(sums, load<f64>(sums, 8) + across(aa), 8);
  store<f64>(sums, load<f64>(sums, 16) + across(bb), 16);
}

/** What is NaN once a value was not finite: the last. */
// @ts-ignore: decorator
@inline
export function addOdd(sums: usize, odd: v128): void {
  store<f64>(sums, load<f64>(sums, 40) + across(odd), 40);
}

/** The largest |a−b| and |a−b|÷|a|: the next two. */
// @ts-ignore: decorator
@inline
export function keepLargest(sums: usize, most: v128, relative: v128): void {
  store<f64>(sums, max(load<f64>(sums, 24), largest(most)), 24);
  store<f64>(sums, max(load<f64>(sums, 32), largest(relative)), 32);
}

/**
 * The largest |a−b|÷|a|. Divisions are slow, and mostly nothing is larger than what was there, if it begins with the largest
 * of all before: begun anew for every block, half of the time of a kernel went into mispredicted branches. Zeros have no
 * error.
 */
// @ts-ignore: decorator
@inline
export function withRelative(most: v128, error: v128, x: v128): v128 {
  const size = f32x4.abs(x);
  if (!v128.any_true(f32x4.gt(error, f32x4.mul(most, size)))) return most;
  return f32x4.pmax(most, v128.andnot(f32x4.div(error, size), f32x4.eq(size, f32x4.splat(0))));
}

/** The same of four vectors. */
// @ts-ignore: decorator
@inline
export function withRelatives(
  most: v128,
  e0: v128,
  e1: v128,
  e2: v128,
  e3: v128,
  x0: v128,
  x1: v128,
  x2: v128,
  x3: v128,
): v128 {
  return withRelative(withRelative(withRelative(withRelative(most, e0, x0), e1, x1), e2, x2), e3, x3);
}

// @ts-ignore: decorator
@inline
export function squaresOf(a: v128, b: v128, c: v128, d: v128): v128 {
  return f32x4.add(
    f32x4.add(f32x4.mul(a, a), f32x4.mul(b, b)),
    f32x4.add(f32x4.mul(c, c), f32x4.mul(d, d)),
  );
}

// @ts-ignore: decorator
@inline
export function largestOf(a: v128, b: v128, c: v128, d: v128): v128 {
  return f32x4.pmax(f32x4.pmax(a, b), f32x4.pmax(c, d));
}

/** Lanes of columns that are there. */
// @ts-ignore: decorator
@inline
export function lanesBelow(columns: i32): v128 {
  return i32x4.lt_s(i32x4(0, 1, 2, 3), i32x4.splat(columns));
}
