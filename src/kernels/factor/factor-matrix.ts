import { type DType, dtypeFacts } from '../../core/dtype.js';
import { decodeElements, encodeElements } from '../elements.js';
import { factorsOf, product, rankForEnergy, spectrumOf, transposed } from './truncated.js';

/** A matrix and how much of it is kept. */
export interface FactorJob {
  readonly dtype: DType;
  /** Row-major; `turned`: columns × rows. */
  readonly bytes: Uint8Array;
  readonly rows: number;
  readonly columns: number;
  readonly turned: boolean;
  /** Singular values that are kept; absent: as many as have the share `energy` of the sum of squares. */
  readonly rank?: number;
  readonly energy: number;
}

export interface FactorDone {
  /** Undefined: it has NaN or infinite values. */
  readonly rank: number | undefined;
  /** Share of the sum of squares that the rank keeps. */
  readonly energy: number;
  /** Where the factors have fewer elements than the matrix: they, in its type, … */
  readonly left?: Uint8Array<ArrayBuffer>;
  readonly right?: Uint8Array<ArrayBuffer>;
  /** … and what they multiply to, f64, as the matrix lies. */
  readonly near?: Uint8Array<ArrayBuffer>;
}

/** The truncated singular value decomposition of one matrix. The same bytes wherever it is computed. */
export function factorMatrix({ dtype, bytes, rows, columns, turned, rank, energy }: FactorJob): FactorDone {
  const elements = rows * columns;
  const stored = numbers(dtype, bytes, elements);
  if (!stored.every(Number.isFinite)) return { rank: undefined, energy: 0 };
  const matrix = turned ? transposed(stored, columns, rows) : stored;
  const spectrum = spectrumOf(matrix, rows, columns);
  const kept = Math.min(rows, columns, rank ?? rankForEnergy(spectrum, energy));
  const factors = factorsOf(matrix, rows, columns, spectrum, kept);
  const figures = { rank: kept, energy: factors.energy };
  if (kept * (rows + columns) >= elements) return figures;
  const [left, right] = [coded(dtype, factors.left), coded(dtype, factors.right)];
  // Of the rounded factors.
  const back = product(
    numbers(dtype, left, rows * kept),
    rows,
    kept,
    numbers(dtype, right, kept * columns),
    columns,
  );
  const near = turned ? transposed(back, rows, columns) : back;
  return { ...figures, left, right, near: new Uint8Array(near.buffer) };
}

function numbers(dtype: DType, bytes: Uint8Array, count: number): Float64Array<ArrayBuffer> {
  const out = new Float64Array(count);
  decodeElements(dtype, bytes, count, out);
  return out;
}

function coded(dtype: DType, values: Float64Array): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array((values.length * dtypeFacts(dtype).bits) / 8);
  encodeElements(dtype, values, values.length, out);
  return out;
}
