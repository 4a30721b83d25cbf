import type { DType } from '../core/dtype.js';
import type { Coded, KernelOp } from '../core/recipe.js';
import type { DifferencePart } from './compare-fold.js';
import type { Program } from './program.js';
import type { DigitCounts } from './prune/digits-task.js';
import type { MagnitudeCounts } from './prune/magnitudes-task.js';
import type { NearCounts } from './prune/near-task.js';
import type { BlockFloat } from './quantize/block-floats.js';
import type { PaletteSpec } from './quantize/palette-fit.js';
import type { Rounding } from './quantize/parameters.js';
import type { StatisticsPart } from './statistics-fold.js';

/** Statistics and comparisons fold blocks of this many elements, so that results never depend on who computed them. */
export const BLOCK_ELEMENTS = 1 << 17;
/** … and partial results are merged over ranges of this many. */
export const RANGE_ELEMENTS = 1 << 23;

/** Elements [start, end) of a program; `start` is a multiple of BLOCK_ELEMENTS, or of 8 for copies. */
interface Range {
  readonly start: number;
  readonly end: number;
}

/** Pulls a range and writes it at its place. */
export interface CopyTask extends Range {
  readonly kind: 'copy';
  readonly program: Program;
  readonly path: string;
  /** Where the first byte of the range goes. */
  readonly offset: number;
  readonly crc32: boolean;
  readonly sha256: boolean;
  readonly crcEvery: number | undefined;
}

/** CRC-32 of the raw bytes of a program that has one to check: `rawCrc`. */
export interface SumTask extends Range {
  readonly kind: 'sum';
  readonly program: Program;
}

/** SHA-256 of the whole; told with its last part, where all parts are done in order on one thread. */
export interface HashTask extends Range {
  readonly kind: 'hash';
  readonly program: Program;
}

export interface StatisticsTask extends Range {
  readonly kind: 'statistics';
  readonly program: Program;
  readonly dtype: DType;
  readonly detail: boolean;
  /** Of a tensor of 32 or 64 bits. `count`: the range is all of it; `look`: it begins a large one, which is looked at. */
  readonly distinct?: 'count' | 'look';
}

/** Counts over equal bins of [min, max]. */
export interface HistogramTask extends Range {
  readonly kind: 'histogram';
  readonly program: Program;
  readonly dtype: DType;
  readonly min: number;
  readonly max: number;
  readonly bins: number;
}

/** Different elements of a type of 32 or 64 bits. */
export interface DistinctTask extends Range {
  readonly kind: 'distinct';
  readonly program: Program;
  readonly bits: 32 | 64;
}

export interface CompareTask extends Range {
  readonly kind: 'compare';
  readonly program: Program;
  readonly other: Program;
  /** Undefined: the elements are bytes. */
  readonly types: readonly [DType, DType] | undefined;
  /** What makes of `program` the bytes that `other` is meant to have: whether it has them is told. */
  readonly steps?: readonly KernelOp[] | undefined;
  /** Also the sums of equal blocks. */
  readonly sums: boolean;
  /** Also the statistics of the other program, whose elements are of this type. */
  readonly figures: DType | undefined;
}

/** Columns of a K × N matrix as blocks of integers (MatMulNBits), written to a file. `start` and `end`: see `batches.ts`. */
export interface BlocksTask extends Range {
  readonly kind: 'blocks';
  /** Gives the whole matrix as f32. */
  readonly program: Program;
  readonly rows: number;
  readonly columns: number;
  /** Columns [first, last). */
  readonly first: number;
  readonly last: number;
  readonly bits: 2 | 4 | 8;
  readonly block: number;
  readonly symmetric: boolean;
  /** Scales are numbers of f16. */
  readonly halfScales: boolean;
  readonly path: string;
  /** Where codes, scales and zero points of the whole matrix begin. */
  readonly codesAt: number;
  readonly scalesAt: number;
  readonly zerosAt: number;
}

/** Rows of a matrix in blocks along the rows, by the rule of MatMulNBits, written to a file. `start` and `end`: whole rows. */
export interface RowBlocksTask extends Range {
  readonly kind: 'row-blocks';
  /** Gives f32. */
  readonly program: Program;
  readonly columns: number;
  readonly bits: 2 | 4 | 8;
  /** A multiple of 16. */
  readonly block: number;
  readonly symmetric: boolean;
  readonly signed: boolean;
  readonly path: string;
  /** Where integers, scales and zero points of the whole matrix begin. */
  readonly codesAt: number;
  readonly scalesAt: number;
  readonly zerosAt: number;
}

/** Least and greatest value of every column in some rows of a matrix. */
export interface EndsTask extends Range {
  readonly kind: 'ends';
  /** Gives f32. */
  readonly program: Program;
  readonly columns: number;
}

/** Rows of a matrix as integers of at most 8 bits, written to a file. */
export interface LinearTask extends Range {
  readonly kind: 'linear';
  /** Gives f32. */
  readonly program: Program;
  readonly columns: number;
  readonly rounding: Rounding;
  /** That scales are rounded to. */
  readonly scaleType: 'f32' | 'f16' | 'bf16';
  /** The task has all rows, and finds one scale for all, or one for every column, by itself. */
  readonly over?: 'all' | 'columns';
  /** Scale and zero point of every column; absent, and `over` too: every row finds its own. */
  readonly scales?: Float32Array;
  readonly zeros?: Float32Array;
  readonly path: string;
  /** Where the integers of the whole matrix begin. */
  readonly codesAt: number;
}

/** What rounding to a float of 16 bits would do to values that lie in a file as f32. */
export interface HalfTask extends Range {
  readonly kind: 'half';
  readonly program: Program;
  readonly half: 'f16' | 'bf16';
}

/** All of a tensor as codes that are written to a file. */
export interface CodesTask extends Range {
  /** Gives f32. */
  readonly program: Program;
  /** Of a stored code. */
  readonly bits: number;
  readonly path: string;
  readonly codesAt: number;
}

/** Codes of codebooks that are fitted to the tensor. */
export interface PaletteTask extends CodesTask, PaletteSpec {
  readonly kind: 'palette';
  /** Of the tensor, and so of the values in its codebooks. */
  readonly dtype: DType;
  readonly shape: readonly number[];
}

/** 4-bit floats with a scale for every block. */
export interface BlockFloatTask extends CodesTask {
  readonly kind: 'block-floats';
  readonly format: BlockFloat['id'];
  readonly block: number;
  /** Rows and columns of a matrix that is coded column by column. */
  readonly turned?: readonly [number, number];
}

/** Counts a 16-bit digit of the magnitudes whose bits above it are `prefix`. The program gives f32 or f64. */
export interface DigitsTask extends Range {
  readonly kind: 'digits';
  readonly program: Program;
  readonly width: 4 | 8;
  /** Bit that the digit begins with. */
  readonly shift: number;
  readonly prefix: bigint;
}

/** Magnitudes of the first f32 elements of every block. */
export interface SampleTask extends Range {
  readonly kind: 'sample';
  readonly program: Program;
  readonly taken: number;
}

/** Counts f32 elements with a magnitude below `from`, and the 65,536 magnitudes from there on one by one. */
export interface NearTask extends Range {
  readonly kind: 'near';
  readonly program: Program;
  readonly from: bigint;
}

/** Counts elements below and of a magnitude, and finds the `nth` (from 1 on) of exactly this one, if it is wanted. */
export interface MagnitudesTask extends Range {
  readonly kind: 'magnitudes';
  readonly program: Program;
  readonly width: 4 | 8;
  readonly magnitude: bigint;
  readonly nth: number | undefined;
}

/** A piece of work that a worker thread, or the main thread, does by itself. Plain data. */
export type Task =
  | CopyTask
  | SumTask
  | HashTask
  | StatisticsTask
  | HistogramTask
  | DistinctTask
  | CompareTask
  | BlocksTask
  | RowBlocksTask
  | EndsTask
  | LinearTask
  | HalfTask
  | PaletteTask
  | BlockFloatTask
  | DigitsTask
  | SampleTask
  | NearTask
  | MagnitudesTask;

/** What has to be unfolded from chunks: codecs have to be loaded for it before tasks are done. */
export const codedOf = (task: Task): readonly Coded[] =>
  [task.program, ...(task.kind === 'compare' ? [task.other] : [])].flatMap(({ coded }) => coded ?? []);

/** What came out; each kind of task has its own fields. */
export interface TaskResult {
  /** CRC-32 of the raw bytes of the range, where the program has a sum to check. */
  readonly rawCrc?: number;
  /** The same of the other program of a comparison. */
  readonly otherCrc?: number;
  readonly crc32?: number;
  readonly crcs?: readonly number[];
  readonly sha256?: string;
  readonly statistics?: StatisticsPart;
  readonly counts?: Float64Array;
  /** Undefined: more than 65,536. */
  readonly distinct?: number;
  /** What a look says: it is worth counting. */
  readonly promising?: boolean;
  readonly difference?: DifferencePart;
  /** Every byte is as it is meant to be. */
  readonly exact?: boolean;
  /** Σ(a−b)², Σa², Σb², largest |a−b|, largest |a−b|÷|a|; the last is NaN if a value was not finite, else 0. */
  readonly errors?: Float64Array;
  /** Least, then greatest values, and whether all were finite. */
  readonly ends?: Float32Array;
  readonly finite?: boolean;
  readonly digits?: DigitCounts;
  readonly near?: NearCounts;
  /** Magnitudes. */
  readonly sample?: Uint32Array;
  readonly magnitudes?: MagnitudeCounts;
  /** Scales, then zero points, of the rows or what else has its own. */
  readonly parameters?: Float32Array;
  /** All zero points are the integer 0. */
  readonly zeroed?: boolean;
  /** Codebooks. */
  readonly tables?: readonly Float64Array[];
  /** Of blocks. */
  readonly scales?: Float32Array;
}

/** [0, count) in ranges of `step` elements. */
export const rangesOf = (count: number, step: number): { readonly start: number; readonly end: number }[] =>
  Array.from({ length: Math.ceil(count / step) }, (_, i) => ({
    start: i * step,
    end: Math.min(count, (i + 1) * step),
  }));
