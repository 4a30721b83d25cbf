import { elementCount } from '../../core/dtype.js';
import type { WorkContext } from '../../core/format.js';
import type { TensorSource } from '../../core/tensor.js';
import { blocksOf } from '../blocks.js';
import { interrupted } from '../messages.js';
import type { Pool } from '../pool.js';
import { type Program, programOf } from '../program.js';
import { type DigitsTask, type MagnitudesTask, RANGE_ELEMENTS, rangesOf, type TaskResult } from '../tasks.js';
import { type Arena, arena, type Slot } from '../wasm.js';
import { addDigits, DIGITS, type DigitCounts, trimmed } from './digits-task.js';
import { asKeys } from './keys.js';
import { type MagnitudeCounts, MagnitudeFold } from './magnitudes-task.js';

/** A tensor as the floats it is ranked by. */
export interface Ranked {
  readonly key: TensorSource;
  readonly count: number;
  /** Undefined: it has to be streamed. */
  readonly program: Program | undefined;
}

export function rankedAs(tensor: TensorSource, width: 4 | 8): Ranked {
  const key = asKeys(tensor, width);
  const program = programOf(key);
  const count = elementCount(key.info.shape, key.info.name);
  if (!program?.crc32) return { key, count, program };
  // Sums of the file are checked when the tensor is written.
  const { crc32: _, ...plain } = program;
  return { key, count, program: plain };
}

/** A tensor, or a range of it. */
export interface Piece {
  readonly tensor: Ranked;
  readonly start: number;
  readonly end: number;
}

export const piecesOf = (tensor: Ranked): Piece[] =>
  rangesOf(tensor.count, tensor.program ? RANGE_ELEMENTS : Math.max(1, tensor.count)).map((range) => ({
    tensor,
    ...range,
  }));

type Wanted<T> = Omit<T, 'kind' | 'program' | 'start' | 'end'>;

/** Digits of every piece, in order. E_INTERRUPTED on abort. */
export const digitsOf = (
  pieces: readonly (Piece & Wanted<DigitsTask>)[],
  pool: Pool,
  context: WorkContext,
): Promise<DigitCounts[]> =>
  each(
    pieces,
    (program, { start, end, width, shift, prefix }): DigitsTask => ({
      ...{ kind: 'digits', program, start, end, width, shift, prefix },
    }),
    ({ digits }) => digits,
    async (piece) => {
      const counts = new Uint32Array(DIGITS);
      for await (const { here, block, count } of streamed(piece, context))
        addDigits(here, [{ block, count }], piece, counts);
      return trimmed(counts);
    },
    pool,
    context,
  );

/** Counts below and of a magnitude, of every piece, in order. E_INTERRUPTED on abort. */
export const magnitudesOf = (
  pieces: readonly (Piece & Wanted<MagnitudesTask>)[],
  pool: Pool,
  context: WorkContext,
): Promise<MagnitudeCounts[]> =>
  each(
    pieces,
    (program, { start, end, width, magnitude, nth }): MagnitudesTask => ({
      ...{ kind: 'magnitudes', program, start, end, width, magnitude, nth },
    }),
    ({ magnitudes }) => magnitudes,
    async (piece) => {
      const fold = new MagnitudeFold(piece);
      for await (const { here, block, count, start } of streamed(piece, context))
        fold.add(here, block, count, start);
      return fold.finish();
    },
    pool,
    context,
  );

/** What has a program is done in the pool, then the rest, stream by stream. */
async function each<P extends Piece, R>(
  pieces: readonly P[],
  taskOf: (program: Program, piece: P) => DigitsTask | MagnitudesTask,
  resultOf: (result: TaskResult) => R | undefined,
  stream: (piece: P) => Promise<R>,
  pool: Pool,
  context: WorkContext,
): Promise<R[]> {
  const tasks = pieces.flatMap((piece) => {
    const { program } = piece.tensor;
    return program ? [taskOf(program, piece)] : [];
  });
  const done = (await pool.run(tasks, context.signal)).values();
  const results: R[] = [];
  for (const piece of pieces) {
    if (!piece.tensor.program) {
      results.push(await stream(piece));
      continue;
    }
    const { value } = done.next();
    const result = value && resultOf(value);
    if (result === undefined) throw new Error('a task gave no result');
    results.push(result);
  }
  return results;
}

/** Blocks of a tensor that has no program, each in a slot of the arena. */
async function* streamed(
  { tensor, width }: Piece & { readonly width: 4 | 8 },
  context: WorkContext,
): AsyncGenerator<{
  readonly here: Arena;
  readonly block: Slot;
  readonly count: number;
  readonly start: number;
}> {
  const here = arena();
  const block = here.slot(0);
  let start = 0;
  for await (const { bytes, count } of blocksOf(tensor.key.stream(), width * 8, tensor.count)) {
    if (context.signal?.aborted) throw interrupted();
    block.bytes.set(bytes);
    yield { here, block, count, start };
    start += count;
    context.progress.advance(bytes.length);
  }
}
