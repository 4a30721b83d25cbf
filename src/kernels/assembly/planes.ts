// Byte planes of elements rotated left by one bit, so that the exponent of f32 and bf16 is a whole byte.
// Plane p holds byte p (little-endian) of every rotated element; the last plane is the exponent's. Planes lie
// `count` bytes apart. Reference: ../reference/planes.ts.

// @ts-ignore: decorator
@inline
function left16(x: v128): v128 {
  return v128.or(i16x8.shl(x, 1), i16x8.shr_u(x, 15));
}
// @ts-ignore: decorator
@inline
function right16(x: v128): v128 {
  return v128.or(i16x8.shr_u(x, 1), i16x8.shl(x, 15));
}
// @ts-ignore: decorator
@inline
function left32(x: v128): v128 {
  return v128.or(i32x4.shl(x, 1), i32x4.shr_u(x, 31));
}
// @ts-ignore: decorator
@inline
function right32(x: v128): v128 {
  return v128.or(i32x4.shr_u(x, 1), i32x4.shl(x, 31));
}
// @ts-ignore: decorator
@inline
function left64(x: v128): v128 {
  return v128.or(i64x2.shl(x, 1), i64x2.shr_u(x, 63));
}
// @ts-ignore: decorator
@inline
function right64(x: v128): v128 {
  return v128.or(i64x2.shr_u(x, 1), i64x2.shl(x, 63));
}
// @ts-ignore: decorator
@inline
function even(a: v128, b: v128): v128 {
  return v128.shuffle<u8>(a, b, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
}
// @ts-ignore: decorator
@inline
function odd(a: v128, b: v128): v128 {
  return v128.shuffle<u8>(a, b, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
}
// @ts-ignore: decorator
@inline
function zipLow(a: v128, b: v128): v128 {
  return v128.shuffle<u8>(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
}
// @ts-ignore: decorator
@inline
function zipHigh(a: v128, b: v128): v128 {
  return v128.shuffle<u8>(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
}

export function splitPlanes2(src: usize, dst: usize, count: i32): void {
  const n = <usize>count;
  const wide = n & ~15;
  let i: usize = 0;
  for (; i < wide; i += 16) {
    const a = left16(v128.load(src + 2 * i));
    const b = left16(v128.load(src + 2 * i, 16));
    v128.store(dst + i, even(a, b));
    v128.store(dst + n + i, odd(a, b));
  }
  for (; i < n; i++) {
    const x = load<u16>(src + 2 * i);
    const r = (x << 1) | (x >> 15);
    store<u8>(dst + i, <u8>r);
    store<u8>(dst + n + i, <u8>(r >> 8));
  }
}

export function joinPlanes2(src: usize, dst: usize, count: i32): void {
  const n = <usize>count;
  const wide = n & ~15;
  let i: usize = 0;
  for (; i < wide; i += 16) {
    const low = v128.load(src + i);
    const high = v128.load(src + n + i);
    v128.store(dst + 2 * i, right16(zipLow(low, high)));
    v128.store(dst + 2 * i, right16(zipHigh(low, high)), 16);
  }
  for (; i < n; i++) {
    const r = <u16>load<u8>(src + i) | (<u16>load<u8>(src + n + i) << 8);
    store<u16>(dst + 2 * i, (r >> 1) | (r << 15));
  }
}

export function splitPlanes4(src: usize, dst: usize, count: i32): void {
  const n = <usize>count;
  const wide = n & ~15;
  let i: usize = 0;
  for (; i < wide; i += 16) {
    const at = src + 4 * i;
    const a = left32(v128.load(at));
    const b = left32(v128.load(at, 16));
    const c = left32(v128.load(at, 32));
    const d = left32(v128.load(at, 48));
    const even1 = even(a, b);
    const even2 = even(c, d);
    const odd1 = odd(a, b);
    const odd2 = odd(c, d);
    v128.store(dst + i, even(even1, even2));
    v128.store(dst + n + i, even(odd1, odd2));
    v128.store(dst + 2 * n + i, odd(even1, even2));
    v128.store(dst + 3 * n + i, odd(odd1, odd2));
  }
  for (; i < n; i++) {
    const r = rotl<u32>(load<u32>(src + 4 * i), 1);
    store<u8>(dst + i, <u8>r);
    store<u8>(dst + n + i, <u8>(r >> 8));
    store<u8>(dst + 2 * n + i, <u8>(r >> 16));
    store<u8>(dst + 3 * n + i, <u8>(r >> 24));
  }
}

export function joinPlanes4(src: usize, dst: usize, count: i32): void {
  const n = <usize>count;
  const wide = n & ~15;
  let i: usize = 0;
  for (; i < wide; i += 16) {
    const p0 = v128.load(src + i);
    const p1 = v128.load(src + n + i);
    const p2 = v128.load(src + 2 * n + i);
    const p3 = v128.load(src + 3 * n + i);
    const even1 = zipLow(p0, p2);
    const even2 = zipHigh(p0, p2);
    const odd1 = zipLow(p1, p3);
    const odd2 = zipHigh(p1, p3);
    const at = dst + 4 * i;
    v128.store(at, right32(zipLow(even1, odd1)));
    v128.store(at, right32(zipHigh(even1, odd1)), 16);
    v128.store(at, right32(zipLow(even2, odd2)), 32);
    v128.store(at, right32(zipHigh(even2, odd2)), 48);
  }
  for (; i < n; i++) {
    const r =
      <u32>load<u8>(src + i) |
      (<u32>load<u8>(src + n + i) << 8) |
      (<u32>load<u8>(src + 2 * n + i) << 16) |
      (<u32>load<u8>(src + 3 * n + i) << 24);
    store<u32>(dst + 4 * i, rotr<u32>(r, 1));
  }
}

export function splitPlanes8(src: usize, dst: usize, count: i32): void {
  const n = <usize>count;
  const wide = n & ~15;
  let i: usize = 0;
  for (; i < wide; i += 16) {
    const at = src + 8 * i;
    const v0 = left64(v128.load(at));
    const v1 = left64(v128.load(at, 16));
    const v2 = left64(v128.load(at, 32));
    const v3 = left64(v128.load(at, 48));
    const v4 = left64(v128.load(at, 64));
    const v5 = left64(v128.load(at, 80));
    const v6 = left64(v128.load(at, 96));
    const v7 = left64(v128.load(at, 112));
    // Each round halves the set of byte positions that a vector holds.
    const e0 = even(v0, v1);
    const e1 = even(v2, v3);
    const e2 = even(v4, v5);
    const e3 = even(v6, v7);
    const ee0 = even(e0, e1);
    const ee1 = even(e2, e3);
    const eo0 = odd(e0, e1);
    const eo1 = odd(e2, e3);
    v128.store(dst + i, even(ee0, ee1));
    v128.store(dst + 4 * n + i, odd(ee0, ee1));
    v128.store(dst + 2 * n + i, even(eo0, eo1));
    v128.store(dst + 6 * n + i, odd(eo0, eo1));
    const o0 = odd(v0, v1);
    const o1 = odd(v2, v3);
    const o2 = odd(v4, v5);
    const o3 = odd(v6, v7);
    const oe0 = even(o0, o1);
    const oe1 = even(o2, o3);
    const oo0 = odd(o0, o1);
    const oo1 = odd(o2, o3);
    v128.store(dst + n + i, even(oe0, oe1));
    v128.store(dst + 5 * n + i, odd(oe0, oe1));
    v128.store(dst + 3 * n + i, even(oo0, oo1));
    v128.store(dst + 7 * n + i, odd(oo0, oo1));
  }
  for (; i < n; i++) {
    const r = rotl<u64>(load<u64>(src + 8 * i), 1);
    for (let p: usize = 0; p < 8; p++) store<u8>(dst + p * n + i, <u8>(r >> (8 * p)));
  }
}

export function joinPlanes8(src: usize, dst: usize, count: i32): void {
  const n = <usize>count;
  const wide = n & ~15;
  let i: usize = 0;
  for (; i < wide; i += 16) {
    const ee0 = zipLow(v128.load(src + i), v128.load(src + 4 * n + i));
    const ee1 = zipHigh(v128.load(src + i), v128.load(src + 4 * n + i));
    const eo0 = zipLow(v128.load(src + 2 * n + i), v128.load(src + 6 * n + i));
    const eo1 = zipHigh(v128.load(src + 2 * n + i), v128.load(src + 6 * n + i));
    const oe0 = zipLow(v128.load(src + n + i), v128.load(src + 5 * n + i));
    const oe1 = zipHigh(v128.load(src + n + i), v128.load(src + 5 * n + i));
    const oo0 = zipLow(v128.load(src + 3 * n + i), v128.load(src + 7 * n + i));
    const oo1 = zipHigh(v128.load(src + 3 * n + i), v128.load(src + 7 * n + i));
    const e0 = zipLow(ee0, eo0);
    const e1 = zipHigh(ee0, eo0);
    const e2 = zipLow(ee1, eo1);
    const e3 = zipHigh(ee1, eo1);
    const o0 = zipLow(oe0, oo0);
    const o1 = zipHigh(oe0, oo0);
    const o2 = zipLow(oe1, oo1);
    const o3 = zipHigh(oe1, oo1);
    const at = dst + 8 * i;
    v128.store(at, right64(zipLow(e0, o0)));
    v128.store(at, right64(zipHigh(e0, o0)), 16);
    v128.store(at, right64(zipLow(e1, o1)), 32);
    v128.store(at, right64(zipHigh(e1, o1)), 48);
    v128.store(at, right64(zipLow(e2, o2)), 64);
    v128.store(at, right64(zipHigh(e2, o2)), 80);
    v128.store(at, right64(zipLow(e3, o3)), 96);
    v128.store(at, right64(zipHigh(e3, o3)), 112);
  }
  for (; i < n; i++) {
    let r: u64 = 0;
    for (let p: usize = 0; p < 8; p++) r |= <u64>load<u8>(src + p * n + i) << (8 * p);
    store<u64>(dst + 8 * i, rotr<u64>(r, 1));
  }
}
