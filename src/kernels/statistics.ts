import { dtypeFacts } from '../core/dtype.js';
import type { WorkContext } from '../core/format.js';
import type { TensorSource } from '../core/tensor.js';
import { DistinctSet } from './distinct.js';
import { isNumeric } from './elements.js';
import { checkRawCrc } from './integrity.js';
import { type Pool, withPool } from './pool.js';
import { type Program, programOf } from './program.js';
import { streamDistinct, streamHistogram, streamStatistics } from './statistics-stream.js';
import { summarize, type TensorStats } from './statistics-summary.js';
import { RANGE_ELEMENTS, rangesOf, type StatisticsTask, type Task, type TaskResult } from './tasks.js';
import { together } from './together.js';

export type { TensorStats, ValueHistogram } from './statistics-summary.js';

export interface StatOptions {
  /** Bins of a histogram over [min, max]: a second pass over the bytes. */
  readonly histogram?: number;
  /** Also `distinct` and `entropy`. */
  readonly detail?: boolean;
}

/** Whether elements are numbers, so that there are statistics. */
export const hasStats = isNumeric;

/** A tensor that has statistics, and its figures as they come. */
interface Subject {
  readonly tensor: TensorSource;
  readonly program: Program | undefined;
  stats?: TensorStats;
  /** Its different elements are still to be counted. */
  counts?: boolean;
}

/**
 * Statistics of every tensor, in order; undefined where elements are not numbers (complex, strings, blocks). They
 * do not depend on the number of threads: blocks and their order are fixed.
 */
export async function statTensors(
  tensors: readonly TensorSource[],
  context: WorkContext,
  options: StatOptions = {},
): Promise<(TensorStats | undefined)[]> {
  const subjects = tensors.map((tensor): Subject | undefined =>
    isNumeric(tensor.info.dtype) ? { tensor, program: programOf(tensor) } : undefined,
  );
  const chosen = subjects.flatMap((subject) => subject ?? []);
  await withPool(context, async (pool) => {
    await figures(chosen, pool, context, options.detail === true);
    await distinctValues(
      chosen.filter(({ counts }) => counts),
      pool,
      context,
    );
    if (options.histogram) await histograms(chosen, pool, context, options.histogram);
  });
  return subjects.map((subject) => subject?.stats);
}

/** One pass: tensors with a program in the pool, the others streamed at the same time. */
async function pass<T extends Task>(
  subjects: readonly Subject[],
  pool: Pool,
  context: WorkContext,
  tasksOf: (subject: Subject, program: Program) => readonly T[],
  keep: (subject: Subject, tasks: readonly T[], results: readonly TaskResult[]) => void,
  stream: (subject: Subject, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const planned = subjects.flatMap((subject) =>
    subject.program ? [{ subject, tasks: tasksOf(subject, subject.program) }] : [],
  );
  await together(context.signal, [
    async (signal) => {
      const results = await pool.run(
        planned.flatMap(({ tasks }) => tasks),
        signal,
      );
      let at = 0;
      for (const { subject, tasks } of planned) {
        keep(subject, tasks, results.slice(at, at + tasks.length));
        at += tasks.length;
      }
    },
    async (signal) => {
      for (const subject of subjects) if (!subject.program) await stream(subject, signal);
    },
  ]);
}

function figures(
  subjects: readonly Subject[],
  pool: Pool,
  context: WorkContext,
  detail: boolean,
): Promise<void> {
  return pass<StatisticsTask>(
    subjects,
    pool,
    context,
    ({ tensor }, program) =>
      rangesOf(program.count, RANGE_ELEMENTS).map((range, i, { length }) => ({
        kind: 'statistics',
        program,
        dtype: tensor.info.dtype,
        detail,
        ...(detail && isWide(tensor) && i === 0 ? { distinct: length === 1 ? 'count' : 'look' } : {}),
        ...range,
      })),
    (subject, tasks, results) => {
      if (subject.program) checkRawCrc(subject.program, tasks, results);
      const parts = results.flatMap((result) => result.statistics ?? []);
      const [{ distinct, promising = false } = {}] = results;
      const stats = summarize(subject.tensor.info, parts, detail);
      subject.stats = distinct === undefined ? stats : { ...stats, distinct };
      subject.counts = promising;
    },
    async (subject, signal) => {
      const parts = await streamStatistics(subject.tensor, detail, context.progress, signal);
      subject.stats = summarize(subject.tensor.info, parts, detail);
      subject.counts = detail && isWide(subject.tensor);
    },
  );
}

/** Types of 32 and 64 bits: the different codes of narrower ones are known from the figures. */
const isWide = ({ info }: TensorSource): boolean => dtypeFacts(info.dtype).bits >= 32;

/** Of tensors of several ranges that a look was promising for, and of those that are streamed. */
function distinctValues(subjects: readonly Subject[], pool: Pool, context: WorkContext): Promise<void> {
  const keep = (subject: Subject, distinct: number | undefined): void => {
    if (subject.stats && distinct !== undefined) subject.stats = { ...subject.stats, distinct };
  };
  const set = new DistinctSet();
  return pass(
    subjects,
    pool,
    context,
    ({ tensor }, program) => [
      {
        kind: 'distinct',
        program,
        bits: dtypeFacts(tensor.info.dtype).bits === 64 ? 64 : 32,
        start: 0,
        end: program.count,
      },
    ],
    (subject, _tasks, [result]) => keep(subject, result?.distinct),
    async (subject, signal) => keep(subject, await streamDistinct(subject.tensor, set, signal)),
  );
}

function histograms(
  subjects: readonly Subject[],
  pool: Pool,
  context: WorkContext,
  bins: number,
): Promise<void> {
  const endsOf = ({ stats }: Subject): { min: number; max: number } | undefined =>
    stats && stats.min !== null && stats.max !== null ? { min: stats.min, max: stats.max } : undefined;
  const keep = (subject: Subject, counts: Float64Array): void => {
    const ends = endsOf(subject);
    if (subject.stats && ends)
      subject.stats = { ...subject.stats, histogram: { ...ends, counts: Array.from(counts) } };
  };
  return pass(
    subjects.filter((subject) => endsOf(subject) !== undefined),
    pool,
    context,
    (subject, program) =>
      rangesOf(program.count, RANGE_ELEMENTS).map((range) => ({
        kind: 'histogram',
        program,
        dtype: subject.tensor.info.dtype,
        ...(endsOf(subject) ?? { min: 0, max: 0 }),
        bins,
        ...range,
      })),
    (subject, _tasks, results) => {
      const total = new Float64Array(bins);
      for (const { counts } of results)
        counts?.forEach((n, bin) => {
          total[bin] = (total[bin] ?? 0) + n;
        });
      keep(subject, total);
    },
    async (subject, signal) => {
      const ends = endsOf(subject);
      if (ends) keep(subject, await streamHistogram(subject.tensor, ends, bins, signal));
    },
  );
}
