import type { WorkContext } from '../../core/format.js';
import { inOrder, Jobs, movable } from '../jobs.js';
import { interrupted } from '../messages.js';
import { type FactorDone, type FactorJob, factorMatrix } from './factor-matrix.js';

/** Bytes that an element takes while its matrix is factored: the matrix, its transpose, factors and product, in f64. */
const ELEMENT_BYTES = 40;

/** Multiplications that are done before a worker has started (some 50 ms). */
const FEW = 3e7;

export interface MatrixSize {
  readonly rows: number;
  readonly columns: number;
}

/**
 * Factors matrices in up to `context.threads` workers, as far as memory allows, and gives the results in order; a matrix is
 * loaded when its turn comes. E_INTERRUPTED on abort.
 */
export async function* factorAll<T extends MatrixSize>(
  matrices: readonly T[],
  load: (matrix: T) => Promise<FactorJob>,
  context: WorkContext,
): AsyncGenerator<FactorDone> {
  const largest = Math.max(1, ...matrices.map(({ rows, columns }) => rows * columns));
  const most = Math.max(1, Math.floor(context.maxMemory / (largest * ELEMENT_BYTES)));
  const threads = Math.min(context.threads, most, matrices.length);
  const work = matrices.reduce((sum, { rows, columns }) => sum + workOf(rows, columns), 0);
  if (threads <= 1 || work < FEW) {
    for (const matrix of matrices) {
      if (context.signal?.aborted) throw interrupted();
      yield factorMatrix(await load(matrix));
    }
    return;
  }
  const jobs = new Jobs<FactorJob, FactorDone>('bundle/factor.cjs');
  try {
    yield* inOrder(
      matrices,
      async (matrix) => {
        const job = await load(matrix);
        if (context.signal?.aborted) throw interrupted();
        const bytes = movable(job.bytes);
        return jobs.run({ ...job, bytes }, [bytes.buffer], threads);
      },
      threads,
    );
  } finally {
    jobs.end();
  }
}

const workOf = (rows: number, columns: number): number =>
  Math.min(rows, columns) ** 2 * (Math.max(rows, columns) + 3 * Math.min(rows, columns));
