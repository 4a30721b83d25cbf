import { elementCount } from '../../core/dtype.js';
import type { TensorSource } from '../../core/tensor.js';
import { smallFloatValues } from '../small-floats.js';
import { type CodedTensor, type Coder, codedBy } from './codes.js';
import { bordersOf, Nearest, stepDown } from './nearest.js';
import { f32Values, type Packing } from './values.js';

/** Levels of the 4-bit normal float: quantiles of the normal distribution (Dettmers et al., QLoRA, 2023, appendix E). */
export const NF4 = [
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
  /** Codes of the values [from, to), written at the same places. */
  codes(values: Float32Array, from: number, to: number, out: Uint8Array): void;
}

/** Borders between the levels of NF4. */
export const nf4Borders = (): Float32Array => bordersOf(NF4);

/** Those between magnitudes of E2M1: the middle belongs to the even code. */
export function e2m1Borders(): Float32Array {
  const levels = smallFloatValues('f4_e2m1');
  return Float32Array.from({ length: 7 }, (_, i) => {
    const middle = ((levels[i] ?? 0) + (levels[i + 1] ?? 0)) / 2;
    return i % 2 === 0 ? middle : stepDown(middle);
  });
}

export function nf4(block = 64): BlockFloat {
  const nearest = new Nearest(NF4);
  return {
    ...{ id: 'nf4', block, levels: NF4 },
    scaleOf: (largest) => largest,
    codes: (values, from, to, out) => void nearest.codes(values, from, to, out),
  };
}

/** OCP Microscaling Formats 1.0: E2M1 elements, and a power of two for 32 of them, E8M0. */
export function mxfp4(): BlockFloat {
  return {
    id: 'mxfp4',
    block: 32,
    levels: [...smallFloatValues('f4_e2m1')],
    // The largest element of E2M1 has the exponent 2.
    scaleOf: (largest) => 2 ** Math.min(127, Math.max(-127, exponentOf(largest) - 2)),
    codes: e2m1Codes,
  };
}

export const formatOf = (id: BlockFloat['id'], block: number): BlockFloat =>
  id === 'nf4' ? nf4(block) : { ...mxfp4(), block };

/** Nearest of 0, 0.5, 1, 1.5, 2, 3, 4 and 6, the even code in the middle between two; the sign is the highest bit. */
function e2m1Codes(values: Float32Array, from: number, to: number, out: Uint8Array): void {
  for (let i = from; i < to; i++) {
    const value = values[i] ?? 0;
    const size = Math.abs(value);
    const low = Number(size > 0.25) + Number(size >= 0.75) + Number(size > 1.25) + Number(size >= 1.75);
    const code = low + Number(size > 2.5) + Number(size >= 3.5) + Number(size > 5);
    out[i] = value < 0 || (size === 0 && 1 / value < 0) ? code | 8 : code;
  }
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
  const found = new BlockScales(elementCount(tensor.info.shape), format);
  for await (const { at, values } of f32Values(tensor)) found.widen(values, at);
  return found.finite ? withScales(tensor, format, found.scales(), packing) : undefined;
}

/** The same with scales from elsewhere. */
export const withScales = (
  tensor: TensorSource,
  format: BlockFloat,
  scales: Float32Array,
  packing: Packing,
): BlockFloatTensor => ({ scales, ...codedBy(tensor, packing, blockCoder(format, scales)) });

/** Scales of blocks, from values in pieces. */
export class BlockScales {
  finite: boolean = true;
  readonly #format: BlockFloat;
  readonly #largest: Float32Array;

  constructor(count: number, format: BlockFloat) {
    this.#format = format;
    this.#largest = new Float32Array(Math.ceil(count / format.block));
  }

  widen(values: Float32Array, at: number): void {
    runs(values.length, at, this.#format.block, (from, to, block) => {
      let [most, check] = [this.#largest[block] ?? 0, 0];
      for (let i = from; i < to; i++) {
        const value = Math.abs(values[i] ?? 0);
        check += value - value; // 0, or NaN for ever
        if (value > most) most = value;
      }
      this.#largest[block] = most;
      if (check !== 0) this.finite = false;
    });
  }

  scales(): Float32Array {
    return this.#largest.map((value) => this.#format.scaleOf(value));
  }
}

/** Parts of a piece that begins at element `at`, each within a block. */
function runs(
  length: number,
  at: number,
  block: number,
  visit: (from: number, to: number, block: number) => void,
): void {
  for (let from = 0; from < length; ) {
    const index = Math.floor((at + from) / block);
    const to = Math.min(length, (index + 1) * block - at);
    visit(from, to, index);
    from = to;
  }
}

/** Values to codes and back, by the scales of their blocks. */
export function blockCoder(format: BlockFloat, scales: Float32Array): Coder {
  const levels = Float32Array.from(format.levels);
  return {
    codes(values, at) {
      const scaled = new Float32Array(values.length);
      runs(values.length, at, format.block, (from, to, block) => {
        const scale = scales[block] ?? 0;
        if (scale !== 0) for (let i = from; i < to; i++) scaled[i] = (values[i] ?? 0) / scale;
      });
      const out = new Uint8Array(values.length);
      format.codes(scaled, 0, values.length, out);
      return out;
    },
    valuesOf(codes, at) {
      const out = new Float64Array(codes.length);
      runs(codes.length, at, format.block, (from, to, block) => {
        const scale = scales[block] ?? 0;
        for (let i = from; i < to; i++) out[i] = Math.fround((levels[codes[i] ?? 0] ?? 0) * scale);
      });
      return out;
    },
  };
}

/** Powers of two as E8M0 codes (OCP Microscaling Formats 1.0, 5.4.1), and back: 255 is NaN. */
export function powerCodes(scales: Float32Array): Uint8Array {
  const out = new Uint8Array(scales.length);
  for (let i = 0; i < out.length; i++) out[i] = Math.log2(scales[i] ?? 1) + 127;
  return out;
}
export function powersOf(codes: ArrayLike<number>): Float32Array {
  const powers = Float32Array.from({ length: 256 }, (_, code) =>
    code === 255 ? Number.NaN : 2 ** (code - 127),
  );
  const out = new Float32Array(codes.length);
  for (let i = 0; i < out.length; i++) out[i] = powers[codes[i] ?? 0] ?? 0;
  return out;
}
