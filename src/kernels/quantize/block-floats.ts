import { elementCount } from '../../core/dtype.js';
import type { TensorSource } from '../../core/tensor.js';
import { smallFloatEncoder, smallFloatValues } from '../small-floats.js';
import { type CodedTensor, type Coder, codedBy } from './codes.js';
import { Nearest } from './nearest.js';
import { f32Values, type Packing } from './values.js';

/** Levels of the 4-bit normal float: quantiles of the normal distribution (Dettmers et al., QLoRA, 2023, appendix E). */
const NF4 = [
  -1, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635,
  -0.18477343022823334, -0.09105003625154495, 0, 0.07958029955625534, 0.16093020141124725,
  0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1,
];

/** Types of blocks: runs of elements in row-major order, each with a scale. */
export interface BlockFloat {
  readonly id: 'nf4' | 'mxfp4';
  readonly block: number;
  /** Value of each of the 16 codes. */
  readonly levels: readonly number[];
  /** Scale of a block by its largest magnitude. */
  scaleOf(largest: number): number;
  code(value: number): number;
}

export function nf4(block = 64): BlockFloat {
  const nearest = new Nearest(NF4);
  return { id: 'nf4', block, levels: NF4, scaleOf: (largest) => largest, code: (value) => nearest.of(value) };
}

/** OCP Microscaling Formats 1.0: E2M1 elements, and a power of two for 32 of them, E8M0. */
export function mxfp4(): BlockFloat {
  const encode = smallFloatEncoder('f4_e2m1');
  return {
    id: 'mxfp4',
    block: 32,
    levels: [...smallFloatValues('f4_e2m1')],
    // The largest element of E2M1 has the exponent 2.
    scaleOf: (largest) => 2 ** Math.min(127, Math.max(-127, exponentOf(largest) - 2)),
    code: encode,
  };
}

/** floor(log2 x), exact for f32 numbers. */
function exponentOf(x: number): number {
  if (x === 0) return -127;
  const guess = Math.floor(Math.log2(x));
  return 2 ** guess > x ? guess - 1 : 2 ** (guess + 1) <= x ? guess + 1 : guess;
}

export interface BlockFloatTensor extends CodedTensor {
  /** A scale for every block of the row-major elements. */
  readonly scales: Float32Array;
}

/** A tensor as 4-bit codes and scales. Undefined if a value is NaN or infinite. */
export async function blockFloats(
  tensor: TensorSource,
  format: BlockFloat,
  packing: Packing,
): Promise<BlockFloatTensor | undefined> {
  const { block } = format;
  const largest = new Float32Array(Math.ceil(elementCount(tensor.info.shape) / block));
  let check = 0;
  for await (const { at, values } of f32Values(tensor))
    for (let i = 0; i < values.length; i++) {
      const value = Math.abs(values[i] ?? 0);
      const group = Math.floor((at + i) / block);
      check += value - value;
      if (value > (largest[group] ?? 0)) largest[group] = value;
    }
  if (check !== 0) return undefined;
  const scales = largest.map((value) => format.scaleOf(value));
  return { scales, ...codedBy(tensor, packing, blockCoder(format, scales)) };
}

/** Values to codes and back, by the scales of their blocks. */
export function blockCoder({ block, levels, code }: BlockFloat, scales: Float32Array): Coder {
  const scaleAt = (element: number): number => scales[Math.floor(element / block)] ?? 0;
  return {
    codes: (values, at) =>
      Uint8Array.from(values, (value, i) => {
        const scale = scaleAt(at + i);
        return code(scale === 0 ? 0 : Math.fround(value / scale));
      }),
    valuesOf: (codes, at) =>
      Float64Array.from(codes, (one, i) => Math.fround(Math.fround(levels[one] ?? 0) * scaleAt(at + i))),
  };
}

/** Powers of two as E8M0 codes (OCP Microscaling Formats 1.0, 5.4.1), and back: 255 is NaN. */
export const powerCodes = (scales: Float32Array): Uint8Array =>
  Uint8Array.from(scales, (scale) => Math.log2(scale) + 127);
export const powersOf = (codes: ArrayLike<number>): Float32Array =>
  Float32Array.from(codes, (code) => (code === 255 ? Number.NaN : 2 ** (code - 127)));
