import type { TensorSource } from '../core/tensor.js';
import { castTensor } from './cast.js';

/** Floats whose casts may give infinity: what rounds to it, its code, and that of the largest number. */
const OVERFLOWS = {
  f16: { from: 65520, largest: 0x7bff, infinity: 0x7c00, bytes: 2 },
  bf16: { from: (2 - 2 ** -8) * 2 ** 127, largest: 0x7f7f, infinity: 0x7f80, bytes: 2 },
  f8_e5m2: { from: 61440, largest: 0x7b, infinity: 0x7c, bytes: 1 },
} as const;

export type Overflowing = keyof typeof OVERFLOWS;

/** The least magnitude that becomes infinite. */
export const overflowOf = (dtype: Overflowing): number => OVERFLOWS[dtype].from;

/** The tensor in a type, with the largest number where `castTensor` gives infinity (ONNX Cast with `saturate`). */
export function saturatedCast(tensor: TensorSource, to: Overflowing): TensorSource {
  const cast = castTensor(tensor, to);
  const { largest, infinity, bytes } = OVERFLOWS[to];
  const sign = 1 << (bytes * 8 - 1);
  const { recipe: _, location: __, ...rest } = cast;
  const fixed = (bits: number): number => ((bits & ~sign) === infinity ? (bits & sign) | largest : bits);
  return {
    ...rest,
    async *stream(range) {
      for await (const chunk of cast.stream(range)) {
        const codes = new DataView(chunk.buffer, chunk.byteOffset, chunk.byteLength);
        if (bytes === 1)
          for (let at = 0; at < chunk.byteLength; at++) codes.setUint8(at, fixed(codes.getUint8(at)));
        else
          for (let at = 0; at + 1 < chunk.byteLength; at += 2)
            codes.setUint16(at, fixed(codes.getUint16(at, true)), true);
        yield chunk;
      }
    },
  };
}
