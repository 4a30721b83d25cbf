import { type DType, dtypeFacts, elementCount } from '../core/dtype.js';
import type { WorkContext } from '../core/format.js';
import type { KernelOp } from '../core/recipe.js';
import type { TensorSource } from '../core/tensor.js';
import { blocksOf } from './blocks.js';
import { comparedAs, DifferenceFold, type DifferencePart, mergeAllDifferences } from './compare-fold.js';
import { checkRawCrc } from './integrity.js';
import { interrupted } from './messages.js';
import { Pipeline } from './pipeline.js';
import { type Pool, withPool } from './pool.js';
import { keyText, type Program, programOf } from './program.js';
import { StatisticsFold, type StatisticsPart } from './statistics-fold.js';
import { summarize, type TensorStats } from './statistics-summary.js';
import { BLOCK_ELEMENTS, type CompareTask, RANGE_ELEMENTS, rangesOf } from './tasks.js';
import { together } from './together.js';
import { arena } from './wasm.js';

export interface TensorPair {
  readonly a: TensorSource;
  readonly b: TensorSource;
  /** What `b` is meant to be, bit for bit: told in `exact`, where it is made of blocks of `a` and no second look is needed. */
  readonly meant?: TensorSource;
}

/**
 * How two tensors of one shape differ; `a` is the reference. Errors are over pairs of finite values; a pair that
 * differs with a NaN or infinity on a side makes `maxAbs`, `maxRel` and `neededTolerance` infinite. Complex numbers
 * are compared by component. Elements that are no numbers (strings, GGML blocks) are compared as bytes: `changed`
 * counts bytes, and errors are NaN.
 */
export interface TensorDifference {
  /** Same type: bit for bit. Different types: the same numbers (NaN equals NaN). */
  readonly equal: boolean;
  /** Elements that differ (bits, or numbers where the types differ). */
  readonly changed: number;
  /** changed ÷ elements, 0 for empty tensors. */
  readonly changedFraction: number;
  /** Largest |a − b|. */
  readonly maxAbs: number;
  /** Largest |a − b| ÷ |a| over the elements with a ≠ 0. */
  readonly maxRel: number;
  /** Smallest t with |a − b| ≤ t + t·|b| everywhere. */
  readonly neededTolerance: number;
  /** √(mean (a − b)²). */
  readonly rmse: number;
  /** 10·log10(Σa² ÷ Σ(a − b)²); null where there is no error or no signal. */
  readonly sqnrDb: number | null;
  /** Σab ÷ √(Σa²·Σb²); null where a side is all zeros. */
  readonly cosine: number | null;
  /** Statistics of `b`, where they were asked for and its elements are numbers. */
  readonly figures?: TensorStats;
  /** Whether `b` is what was meant; undefined: not asked for, or not found out on the way. */
  readonly exact?: boolean;
}

export interface CompareOptions {
  /** Also the statistics of every `b` (as `statTensors` has them), from the same bytes. */
  readonly figures?: boolean;
}

const EQUAL: TensorDifference = {
  ...{ equal: true, changed: 0, changedFraction: 0, maxAbs: 0, maxRel: 0, neededTolerance: 0, rmse: 0 },
  ...{ sqnrDb: null, cosine: 1 },
};

/** A pair, and how its elements are compared. */
interface Subject extends TensorPair {
  /** Undefined: as bytes. */
  readonly types: readonly [DType, DType] | undefined;
  /** What is compared, in units of `types` or bytes. */
  readonly count: number;
  readonly programs: readonly [Program, Program] | undefined;
  /** Type of the elements of `b` whose statistics are wanted. */
  readonly figures: DType | undefined;
  /** What makes of blocks of `a` what `b` is meant to be. */
  readonly steps: readonly KernelOp[] | undefined;
}

/** What a pass finds of one pair. */
interface Found {
  readonly difference: DifferencePart;
  readonly statistics: readonly StatisticsPart[];
  readonly exact?: boolean;
}

/**
 * The differences of pairs of tensors of equal shapes, in order. Blocks that are equal byte for byte cost a memory
 * comparison only; tensors that differ somewhere are read a second time for the sums over their equal blocks.
 */
export async function compareTensors(
  pairs: readonly TensorPair[],
  context: WorkContext,
  options: CompareOptions = {},
): Promise<TensorDifference[]> {
  return withPool(context, async (pool) => {
    const subjects = pairs.map((pair) => subjectOf(pair, options.figures === true));
    const first = await pass(subjects, pool, context, false);
    const again = subjects.map((subject, i) => needsSums(subject, first[i]?.difference));
    const second = await pass(
      subjects.filter((_, i) => again[i]),
      pool,
      context,
      true,
    );
    let at = 0;
    return subjects.map((subject, i) => ({
      ...differenceOf(subject, (again[i] ? second[at++] : first[i])?.difference),
      ...figuresOf(subject, first[i]),
      ...exactOf(first[i]),
    }));
  });
}

/** Numbers differ, and sums of equal blocks are missing. */
const needsSums = (subject: Subject | undefined, part: DifferencePart | undefined): boolean =>
  subject?.types !== undefined && part !== undefined && part.changed > 0 && part.skipped;

/** Complex numbers and other types that are compared in other units have none. */
function figuresOf(subject: Subject | undefined, found: Found | undefined): { figures?: TensorStats } {
  if (!subject?.figures || !found) return {};
  return { figures: summarize(subject.b.info, found.statistics, false) };
}

const exactOf = (found: Found | undefined): { exact?: boolean } =>
  found?.exact === undefined ? {} : { exact: found.exact };

/** The steps from one program to the other, if they take blocks as comparing does. */
function stepsBetween(a: Program | undefined, meant: Program | undefined): readonly KernelOp[] | undefined {
  if (!a || !meant || a.path !== meant.path || a.offset !== meant.offset || a.coded || meant.coded)
    return undefined;
  const steps = meant.ops.slice(a.ops.length);
  if (steps.length === 0 || keyText(meant.ops.slice(0, a.ops.length)) !== keyText(a.ops)) return undefined;
  const { pullsMore, blockElements } = new Pipeline(steps, new Pipeline(a.ops, a.inBits).outBits);
  return pullsMore || blockElements < BLOCK_ELEMENTS ? undefined : steps;
}

function subjectOf({ a, b, meant }: TensorPair, figures: boolean): Subject | undefined {
  const [left, right] = [comparedAs(a.info.dtype), comparedAs(b.info.dtype)];
  const same = a.info.dtype === b.info.dtype;
  if (!same && !(left.dtype && right.dtype && left.perElement === right.perElement)) return undefined;
  const types = left.dtype && right.dtype ? ([left.dtype, right.dtype] as const) : undefined;
  const elements = elementCount(a.info.shape, a.info.name) * left.perElement;
  const x = programOf(a);
  const y = programOf(b);
  return {
    a,
    b,
    types,
    count: types ? elements : a.byteLength,
    programs: x && y ? [inUnits(x, types?.[0]), inUnits(y, types?.[1])] : undefined,
    figures: figures && types?.[1] === b.info.dtype ? b.info.dtype : undefined,
    steps: meant && left.perElement === 1 ? stepsBetween(x, programOf(meant)) : undefined,
  };
}

/** The program of a complex tensor counts bytes; here it counts components. */
function inUnits(program: Program, dtype: DType | undefined): Program {
  const outBits = new Pipeline(program.ops, program.inBits).outBits;
  const bits = dtype ? dtypeFacts(dtype).bits : outBits;
  return bits === outBits ? program : { ...program, inBits: bits, count: (program.count * outBits) / bits };
}

async function pass(
  subjects: readonly (Subject | undefined)[],
  pool: Pool,
  context: WorkContext,
  sums: boolean,
): Promise<(Found | undefined)[]> {
  const found: (Found | undefined)[] = subjects.map(() => undefined);
  const tasks = subjects.map((subject): CompareTask[] => {
    if (!subject?.programs) return [];
    const { types, count } = subject;
    const [program, other] = subject.programs;
    return rangesOf(count, RANGE_ELEMENTS).map((range) => ({
      kind: 'compare',
      ...{ program, other, types, sums, ...range },
      ...(sums ? { figures: undefined } : { figures: subject.figures, steps: subject.steps }),
    }));
  });
  await together(context.signal, [
    async (signal) => {
      const results = await pool.run(tasks.flat(), signal);
      let at = 0;
      subjects.forEach((subject, i) => {
        const mine = tasks[i] ?? [];
        const own = results.slice(at, at + mine.length);
        at += mine.length;
        if (!subject?.programs) return;
        checkRawCrc(subject.programs[0], mine, own);
        checkRawCrc(subject.programs[1], mine, own, 'otherCrc');
        found[i] = {
          difference: mergeAllDifferences(own.flatMap(({ difference }) => difference ?? [])),
          statistics: own.flatMap(({ statistics }) => statistics ?? []),
          ...(own.length > 0 && own.every(({ exact }) => exact !== undefined)
            ? { exact: own.every(({ exact }) => exact) }
            : {}),
        };
      });
    },
    async (signal) => {
      for (const [i, subject] of subjects.entries())
        if (subject && !subject.programs)
          found[i] = await compareStreams(subject, sums, sums ? undefined : context, signal);
    },
  ]);
  return found;
}

async function compareStreams(
  { a, b, types, count, figures }: Subject,
  sums: boolean,
  context: WorkContext | undefined,
  signal: AbortSignal,
): Promise<Found> {
  const left = blocksOf(a.stream(), types ? dtypeFacts(types[0]).bits : 8, count);
  const right = blocksOf(b.stream(), types ? dtypeFacts(types[1]).bits : 8, count);
  const parts: DifferencePart[] = [];
  const statistics: StatisticsPart[] = [];
  const startFigures = (): StatisticsFold | undefined =>
    figures && !sums ? new StatisticsFold(figures, false) : undefined;
  let fold = new DifferenceFold(types, sums);
  let stats = startFigures();
  let folded = 0;
  const close = (): void => {
    parts.push(fold.finish());
    if (stats) statistics.push(stats.finish());
  };
  try {
    for (;;) {
      const [x, y] = [await left.next(), await right.next()];
      if (x.done || y.done) break;
      if (signal.aborted) throw interrupted();
      const here = arena();
      here.slot(0).bytes.set(x.value.bytes);
      here.slot(2).bytes.set(y.value.bytes);
      stats?.add(here, here.slot(2), y.value.count);
      fold.add(here, here.slot(0), here.slot(2), here.slot(1), here.slot(3), x.value.count);
      context?.progress.advance(x.value.bytes.length + y.value.bytes.length);
      folded += x.value.count;
      if (folded < RANGE_ELEMENTS) continue;
      close();
      fold = new DifferenceFold(types, sums);
      stats = startFigures();
      folded = 0;
    }
  } finally {
    await left.return(undefined);
    await right.return(undefined);
  }
  close();
  return { difference: mergeAllDifferences(parts), statistics };
}

function differenceOf(subject: Subject | undefined, part: DifferencePart | undefined): TensorDifference {
  // Types that have nothing in common.
  if (!subject || !part) return bytesDiffer(1, 1);
  const { types, count } = subject;
  const { changed, broken, error, aa, bb } = part;
  if (changed === 0) return EQUAL;
  const changedFraction = changed / count;
  if (!types) return bytesDiffer(changed, changedFraction);
  const infinite = broken > 0;
  const ab = (aa + bb - error) / 2; // from (a − b)² = a² − 2ab + b²
  return {
    equal: false,
    changed,
    changedFraction,
    maxAbs: infinite ? Number.POSITIVE_INFINITY : part.maxAbs,
    maxRel: infinite ? Number.POSITIVE_INFINITY : part.maxRel,
    neededTolerance: infinite ? Number.POSITIVE_INFINITY : part.needed,
    rmse: Math.sqrt(error / count),
    sqnrDb: error === 0 || aa === 0 ? null : 10 * Math.log10(aa / error),
    cosine: aa === 0 || bb === 0 ? null : ab / Math.sqrt(aa * bb),
  };
}

const bytesDiffer = (changed: number, changedFraction: number): TensorDifference => ({
  ...{ equal: false, changed, changedFraction, maxAbs: Number.NaN, maxRel: Number.NaN },
  ...{ neededTolerance: Number.NaN, rmse: Number.NaN, sqnrDb: null, cosine: null },
});
