import { type DType, dtypeFacts } from '../core/dtype.js';
import { codesOf, decodeElements } from './elements.js';
import { addByteCounts, addLeadingCounts } from './histogram.js';
import { type Moments, mergeMoments, momentsOf, NO_MOMENTS } from './moments.js';
import { isSubByte } from './packing.js';
import { type BlockStatistics, blockStatistics } from './reference/statistics.js';
import { scratchDoubles } from './scratch.js';
import { viewAs } from './views.js';
import type { Arena, Slot } from './wasm.js';

/**
 * Statistics of a run of blocks. Types of at most 8 bits have how often each code occurs (everything follows from
 * it, exactly), the others moments.
 */
export interface StatisticsPart {
  readonly codeCounts?: Float64Array;
  readonly moments?: Moments;
  /** Exact ends of 64-bit integers past 2^53. */
  readonly exact?: { readonly min: bigint; readonly max: bigint };
  /** With detail: counts of the leading byte (see reference/bytes). */
  readonly leading?: Float64Array;
  /** With detail, types of 16 bits: 1 where a code occurs. */
  readonly seen?: Uint8Array;
}

const SIMD = new Map<DType, 'statisticsF32' | 'statisticsBf16' | 'statisticsF16'>([
  ['f32', 'statisticsF32'],
  ['bf16', 'statisticsBf16'],
  ['f16', 'statisticsF16'],
]);

/** Types whose statistics are made of code counts. */
const isCounted = (dtype: DType): boolean => dtypeFacts(dtype).bits <= 8;

/** Gathers the statistics of blocks that are given in order. */
export class StatisticsFold {
  readonly #dtype: DType;
  readonly #detail: boolean;
  readonly #codeCounts: Float64Array | undefined;
  readonly #leading: Float64Array | undefined;
  readonly #seen: Uint8Array | undefined;
  #moments = NO_MOMENTS;
  #exact: { min: bigint; max: bigint } | undefined;

  constructor(dtype: DType, detail: boolean) {
    const { bits } = dtypeFacts(dtype);
    this.#dtype = dtype;
    this.#detail = detail;
    this.#codeCounts = isCounted(dtype) ? new Float64Array(2 ** bits) : undefined;
    this.#leading = detail && bits >= 16 ? new Float64Array(256) : undefined;
    this.#seen = detail && bits === 16 ? new Uint8Array(65536) : undefined;
  }

  /** A block of `count` elements in a slot. */
  add(here: Arena, block: Slot, count: number): void {
    if (count === 0) return;
    if (this.#detail) this.#addDetail(here, block, count);
    if (this.#codeCounts) this.#addCodes(here, block, count, this.#codeCounts);
    else this.#moments = mergeMoments(this.#moments, this.#blockMoments(here, block, count));
  }

  finish(): StatisticsPart {
    return {
      ...(this.#codeCounts ? { codeCounts: this.#codeCounts } : { moments: this.#moments }),
      ...(this.#exact ? { exact: this.#exact } : {}),
      ...(this.#leading ? { leading: this.#leading } : {}),
      ...(this.#seen ? { seen: this.#seen } : {}),
    };
  }

  #blockMoments(here: Arena, block: Slot, count: number): Moments {
    const kernel = SIMD.get(this.#dtype);
    if (kernel) {
      here.kernels[kernel](block.at, count, here.results.at);
      return momentsOf(resultOf(here.results.values), count);
    }
    const values = scratchDoubles(0, count);
    decodeElements(this.#dtype, block.bytes, count, values);
    const found = blockStatistics(values, count);
    if (this.#dtype === 'f64' && !Number.isFinite(found.squares + found.shift * count))
      return scaledMoments(values, count);
    if ((this.#dtype === 'i64' || this.#dtype === 'u64') && Math.max(-found.min, found.max) >= 2 ** 53)
      this.#addExact(block.bytes, count);
    return momentsOf(found, count);
  }

  #addExact(bytes: Uint8Array, count: number): void {
    const signed = this.#dtype === 'i64';
    const values = signed ? viewAs(BigInt64Array, bytes, count) : viewAs(BigUint64Array, bytes, count);
    let { min, max } = this.#exact ?? { min: values[0] ?? 0n, max: values[0] ?? 0n };
    for (const value of values) {
      if (value < min) min = value;
      if (value > max) max = value;
    }
    this.#exact = { min, max };
  }

  #addCodes(here: Arena, block: Slot, count: number, counts: Float64Array): void {
    const { bits } = dtypeFacts(this.#dtype);
    if (!isSubByte(bits)) {
      addByteCounts(here, block, count, counts);
      return;
    }
    // Codes of 6 bits do not repeat byte by byte.
    const perByte = bits === 6 ? 1 : 8 / bits;
    const whole = bits === 6 ? 0 : Math.floor(count / perByte);
    const byteCounts = new Float64Array(256);
    addByteCounts(here, block, whole, byteCounts);
    const mask = 2 ** bits - 1;
    for (let byte = 0; byte < 256; byte++) {
      for (let i = 0; i < perByte; i++) {
        const code = (byte >> (i * bits)) & mask;
        counts[code] = (counts[code] ?? 0) + (byteCounts[byte] ?? 0);
      }
    }
    // Elements of the last byte, which may have unused bits.
    const rest = codesOf(this.#dtype, block.bytes.subarray(whole), count - whole * perByte);
    for (const code of rest) counts[code] = (counts[code] ?? 0) + 1;
  }

  #addDetail(here: Arena, block: Slot, count: number): void {
    const { bits } = dtypeFacts(this.#dtype);
    const width = bits === 64 ? 8 : bits === 32 ? 4 : 2;
    if (this.#leading) addLeadingCounts(here, block, sampled(count), width, this.#leading);
    if (!this.#seen) return;
    here.seen.bytes.set(this.#seen);
    here.kernels.markCodes(block.at, count, here.seen.at);
    this.#seen.set(here.seen.bytes);
  }
}

/**
 * Counting bytes costs as much as all the rest of the pass, and an entropy is settled by a sample: large blocks
 * (their positions in the tensor are fixed, so the figure never depends on threads) count their first eighth.
 */
const sampled = (count: number): number => (count >= 65536 ? count >>> 3 : count);

function resultOf(values: Float64Array): BlockStatistics {
  const [shift = 0, sum = 0, squares = 0, min = 0, max = 0, zeros = 0, nan = 0, inf = 0] = values;
  return { shift, sum, squares, min, max, zeros, nan, inf };
}

/** Doubles so large that their squares overflow: the mean is still right, the spread is infinite if it is. */
function scaledMoments(values: Float64Array, count: number): Moments {
  const scale = 2 ** 600;
  const zeros = values.subarray(0, count).reduce((n, value) => n + (value === 0 ? 1 : 0), 0);
  const scaled = values.subarray(0, count).map((value) => value / scale);
  return { ...momentsOf(blockStatistics(scaled, count), count, scale), zeros };
}
