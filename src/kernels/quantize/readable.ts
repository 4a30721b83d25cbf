import type { WorkContext } from '../../core/format.js';
import type { TensorSource } from '../../core/tensor.js';
import { isMlserError } from '../../errors.js';
import { checkRawCrc } from '../integrity.js';
import { type Pool, withPool } from '../pool.js';
import { type Program, programOf } from '../program.js';
import { WaitingRoom } from '../ride-along.js';
import { rangesOf, type SumTask, type Task, type TaskResult } from '../tasks.js';
import { f32Program } from './f32-source.js';
import { type LaidDown, layDown } from './laid-down.js';

/** Weights that workers read by any ranges, and as often as they like. */
export interface Readable {
  /** Gives the values of a tensor as f32; undefined for other types, and for small ones that are no range of a file. */
  program(tensor: TensorSource): Program | undefined;
  /** @throws E_INTEGRITY where what is read has not the sum that its file records. */
  run(tasks: readonly Task[]): Promise<readonly TaskResult[]>;
}

/** What is smaller is as soon streamed as laid down. */
const LEAST_LAID_DOWN = 1 << 16;
/** Elements of a range whose sum is taken. */
const SUMMED = 4 << 20;

/**
 * Does `work` with tensors that are f32, f16 or bf16. Those that no range of a file holds (unfolded, gathered, computed from
 * their neighbours) are laid down in a scratch file first, in their own type; it goes when `work` has ended. Where there is no
 * room for it they have no program.
 */
export async function withReadable<T>(
  tensors: readonly TensorSource[],
  context: WorkContext,
  work: (readable: Readable) => Promise<T>,
): Promise<T> {
  const programs = new Map(tensors.map((tensor) => [tensor, f32Program(tensor)]));
  const folded = tensors.filter((tensor) => !programs.get(tensor) && isWorthIt(tensor));
  let down: LaidDown | undefined;
  try {
    if (folded.length > 0) {
      down = await layDown(folded, context).catch(whereThereIsRoom);
      down?.tensors.forEach((tensor, i) => {
        const original = folded[i];
        if (original) programs.set(original, f32Program(tensor));
      });
    }
    return await withPool(together(context), (pool) => work(readable(programs, pool, context)));
  } finally {
    down?.release();
  }
}

/** Sums are taken where the same bytes are read for something else. */
const together = (context: WorkContext): WorkContext => ({ rides: new WaitingRoom(context), ...context });

/** Without it they are streamed: that takes longer, but no room. */
function whereThereIsRoom(error: unknown): undefined {
  const errno = isMlserError(error) ? error.details['errno'] : undefined;
  if (errno !== 'ENOSPC' && errno !== 'EDQUOT' && errno !== 'EFBIG') throw error;
}

const isWorthIt = ({ info: { dtype }, byteLength }: TensorSource): boolean =>
  (dtype === 'f32' || dtype === 'f16' || dtype === 'bf16') && byteLength >= LEAST_LAID_DOWN;

function readable(
  programs: ReadonlyMap<TensorSource, Program | undefined>,
  pool: Pool,
  { signal }: WorkContext,
): Readable {
  /** Sums to check, by programs as they are handed out. */
  const sums = new Map<Program, Program>();
  const plain = new Map(
    [...programs].map(([tensor, program]) => {
      if (!program?.crc32) return [tensor, program];
      const { crc32: _, ...rest } = program;
      const raw = programOf(tensor);
      if (raw) sums.set(rest, { ...raw, ops: [] });
      return [tensor, rest];
    }),
  );
  return {
    program: (tensor) => plain.get(tensor),
    async run(tasks) {
      const open = [...new Set(tasks.map(({ program }) => program))].flatMap((program) => {
        const summed = sums.get(program);
        sums.delete(program); // once is enough
        return summed ? { program: summed, tasks: sumTasks(summed) } : [];
      });
      const results = await pool.run([...tasks, ...open.flatMap((one) => one.tasks)], signal);
      let at = tasks.length;
      for (const { program, tasks: own } of open) {
        checkRawCrc(program, own, results.slice(at, at + own.length));
        at += own.length;
      }
      return results.slice(0, tasks.length);
    },
  };
}

const sumTasks = (program: Program): SumTask[] =>
  rangesOf(program.count, SUMMED).map((range) => ({ kind: 'sum', program, ...range }));
