// Products of the rows of two matrices of f64, for quantization by what layers are fed with.
// Reference: ../reference/products.ts.

// @ts-ignore: decorator
@inline
function sum2(x: v128): f64 {
  return f64x2.extract_lane(x, 0) + f64x2.extract_lane(x, 1);
}

// @ts-ignore: decorator
@inline
function addTo(at: usize, x: v128): void {
  store<f64>(at, load<f64>(at) + sum2(x));
}

/**
 * out[i, j] += Σ a[i, k]·b[j, k] for all rows i of a and j of b, row-major without gaps; even and odd k are summed apart.
 * Rows of a come in fours, those of b and their length in twos.
 */
export function addProducts(a: usize, rowsA: i32, b: usize, rowsB: i32, length: i32, out: usize): void {
  const bytes: usize = <usize>length << 3;
  const step: usize = <usize>rowsB << 3;
  for (let i: i32 = 0; i < rowsA; i += 4) {
    const a0: usize = a + <usize>i * bytes;
    const a1: usize = a0 + bytes;
    const a2: usize = a1 + bytes;
    const a3: usize = a2 + bytes;
    for (let j: i32 = 0; j < rowsB; j += 2) {
      const b0: usize = b + <usize>j * bytes;
      const b1: usize = b0 + bytes;
      let s00: v128 = f64x2.splat(0);
      let s01: v128 = f64x2.splat(0);
      let s10: v128 = f64x2.splat(0);
      let s11: v128 = f64x2.splat(0);
      let s20: v128 = f64x2.splat(0);
      let s21: v128 = f64x2.splat(0);
      let s30: v128 = f64x2.splat(0);
      let s31: v128 = f64x2.splat(0);
      for (let k: usize = 0; k < bytes; k += 16) {
        const y0 = v128.load(b0 + k);
        const y1 = v128.load(b1 + k);
        const x0 = v128.load(a0 + k);
        s00 = f64x2.add(s00, f64x2.mul(x0, y0));
        s01 = f64x2.add(s01, f64x2.mul(x0, y1));
        const x1 = v128.load(a1 + k);
        s10 = f64x2.add(s10, f64x2.mul(x1, y0));
        s11 = f64x2.add(s11, f64x2.mul(x1, y1));
        const x2 = v128.load(a2 + k);
        s20 = f64x2.add(s20, f64x2.mul(x2, y0));
        s21 = f64x2.add(s21, f64x2.mul(x2, y1));
        const x3 = v128.load(a3 + k);
        s30 = f64x2.add(s30, f64x2.mul(x3, y0));
        s31 = f64x2.add(s31, f64x2.mul(x3, y1));
      }
      const at: usize = out + <usize>i * step + (<usize>j << 3);
      addTo(at, s00);
      addTo(at + 8, s01);
      addTo(at + step, s10);
      addTo(at + step + 8, s11);
      addTo(at + 2 * step, s20);
      addTo(at + 2 * step + 8, s21);
      addTo(at + 3 * step, s30);
      addTo(at + 3 * step + 8, s31);
    }
  }
}
