import { type DType, dtypeFacts, elementCount } from '../core/dtype.js';
import type { WorkContext } from '../core/format.js';
import type { TensorSource } from '../core/tensor.js';
import { blocksOf } from './blocks.js';
import { comparedAs, DifferenceFold, type DifferencePart, mergeAllDifferences } from './compare-fold.js';
import { checkRawCrc } from './integrity.js';
import { interrupted } from './messages.js';
import { Pipeline } from './pipeline.js';
import { type Pool, withPool } from './pool.js';
import { type Program, programOf } from './program.js';
import { type CompareTask, RANGE_ELEMENTS, rangesOf } from './tasks.js';
import { together } from './together.js';
import { arena } from './wasm.js';

export interface TensorPair {
  readonly a: TensorSource;
  readonly b: TensorSource;
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
}

/**
 * The differences of pairs of tensors of equal shapes, in order. Blocks that are equal byte for byte cost a memory
 * comparison only; tensors that differ somewhere are read a second time for the sums over their equal blocks.
 */
export async function compareTensors(
  pairs: readonly TensorPair[],
  context: WorkContext,
): Promise<TensorDifference[]> {
  return withPool(context, async (pool) => {
    const subjects = pairs.map(subjectOf);
    const first = await pass(subjects, pool, context, false);
    const again = subjects.map((subject, i) => needsSums(subject, first[i]));
    const second = await pass(
      subjects.filter((_, i) => again[i]),
      pool,
      context,
      true,
    );
    let at = 0;
    return subjects.map((subject, i) => differenceOf(subject, again[i] ? second[at++] : first[i]));
  });
}

/** Numbers differ, and sums of equal blocks are missing. */
const needsSums = (subject: Subject | undefined, part: DifferencePart | undefined): boolean =>
  subject?.types !== undefined && part !== undefined && part.changed > 0 && part.skipped;

function subjectOf({ a, b }: TensorPair): Subject | undefined {
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
): Promise<(DifferencePart | undefined)[]> {
  const found: (DifferencePart | undefined)[] = subjects.map(() => undefined);
  const tasks = subjects.map((subject): CompareTask[] => {
    if (!subject?.programs) return [];
    const { types, count } = subject;
    const [program, other] = subject.programs;
    return rangesOf(count, RANGE_ELEMENTS).map((range) => ({
      kind: 'compare',
      ...{ program, other, types, sums, ...range },
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
        found[i] = mergeAllDifferences(own.flatMap(({ difference }) => difference ?? []));
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
  { a, b, types, count }: Subject,
  sums: boolean,
  context: WorkContext | undefined,
  signal: AbortSignal,
): Promise<DifferencePart> {
  const left = blocksOf(a.stream(), types ? dtypeFacts(types[0]).bits : 8, count);
  const right = blocksOf(b.stream(), types ? dtypeFacts(types[1]).bits : 8, count);
  const parts: DifferencePart[] = [];
  let fold = new DifferenceFold(types, sums);
  let folded = 0;
  try {
    for (;;) {
      const [x, y] = [await left.next(), await right.next()];
      if (x.done || y.done) break;
      if (signal.aborted) throw interrupted();
      const here = arena();
      here.slot(0).bytes.set(x.value.bytes);
      here.slot(2).bytes.set(y.value.bytes);
      fold.add(here, here.slot(0), here.slot(2), here.slot(1), here.slot(3), x.value.count);
      context?.progress.advance(x.value.bytes.length + y.value.bytes.length);
      folded += x.value.count;
      if (folded < RANGE_ELEMENTS) continue;
      parts.push(fold.finish());
      fold = new DifferenceFold(types, sums);
      folded = 0;
    }
  } finally {
    await left.return(undefined);
    await right.return(undefined);
  }
  parts.push(fold.finish());
  return mergeAllDifferences(parts);
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
