import type { DType } from '../core/dtype.js';
import { decodeElements, encodeElements } from './elements.js';
import { saturateI64, saturateU64 } from './integers.js';
import { castBf16ToF32, castF16ToF32, castF32ToBf16, castF32ToF16 } from './reference/casts.js';
import { target, viewAs } from './views.js';

/** Casts `count` packed elements; `dst` must be aligned for its type. */
export type Converter = (src: Uint8Array, dst: Uint8Array, count: number) => void;

const direct = new Map<string, Converter>([
  ['f32 bf16', castF32ToBf16],
  ['f32 f16', castF32ToF16],
  ['bf16 f32', castBf16ToF32],
  ['f16 f32', castF16ToF32],
  ['i64 u64', castI64ToU64],
  ['u64 i64', castU64ToI64],
]);

const scratch = new Float64Array(16384);

/** The plain conversion between two numeric types. */
export function converter(from: DType, to: DType): Converter {
  const own = direct.get(`${from} ${to}`);
  if (own) return own;
  return (src, dst, count) => {
    const values = count <= scratch.length ? scratch : new Float64Array(count);
    decodeElements(from, src, count, values, to !== 'f64');
    encodeElements(to, values, count, dst);
  };
}

function castI64ToU64(src: Uint8Array, dst: Uint8Array, count: number): void {
  const from = viewAs(BigInt64Array, src, count);
  const to = target(BigUint64Array, dst, count);
  for (let i = 0; i < count; i++) to[i] = saturateU64(from[i] ?? 0n);
}

function castU64ToI64(src: Uint8Array, dst: Uint8Array, count: number): void {
  const from = viewAs(BigUint64Array, src, count);
  const to = target(BigInt64Array, dst, count);
  for (let i = 0; i < count; i++) to[i] = saturateI64(from[i] ?? 0n);
}
