import { type DType, isFloat } from '../core/dtype.js';
import type { WorkContext } from '../core/format.js';
import { type Model, tensorMap } from '../core/model.js';
import type { TensorSource } from '../core/tensor.js';
import { type Finding, finding } from '../errors.js';
import { canCast } from '../kernels/cast.js';
import { compareTensors, type TensorDifference } from '../kernels/compare.js';
import type { TensorStats } from '../kernels/statistics.js';
import { sameDims } from '../runtime/metrics.js';
import { roundingBound } from './bounds.js';
import type { TensorErrorMetrics, ValidationReport } from './report.js';

export interface WeightsRequest {
  /** What was read back. */
  readonly written: Model;
  /** What was meant. */
  readonly intended: Model;
  /** What it was made from: tensors of the same name. */
  readonly source: Model;
  /** Tensors whose values a step changed without changing their type. */
  readonly changed?: ReadonlySet<string>;
  /** Integers that stand for floats are no numbers to compare with these. */
  readonly quantized?: readonly string[];
  /** Also the statistics of what is read back, from the same bytes. */
  readonly figures?: boolean;
}

export interface WeightsResult {
  readonly report: NonNullable<ValidationReport['weights']>;
  readonly findings: readonly Finding[];
  readonly tensorErrors: ReadonlyMap<string, TensorErrorMetrics>;
  /** Statistics of what was read back, by name, where they were asked for. */
  readonly figures: ReadonlyMap<string, TensorStats>;
}

interface Pair {
  readonly name: string;
  readonly written: TensorSource;
  readonly intended: TensorSource;
  /** The tensor before a lossy step, where there was one. */
  readonly before?: TensorSource;
}

/**
 * Reads every tensor back. Where nothing lossy was done, its bytes must be those that were meant. Where its type
 * was changed, it must be within the rounding of that type; what rounding does not explain (subnormals, saturation,
 * integers) must be bit for bit what the conversion gives.
 */
export async function checkWeights(request: WeightsRequest, context: WorkContext): Promise<WeightsResult> {
  const pairs = pairUp(request);
  const findings: Finding[] = [];
  const tensorErrors = new Map<string, TensorErrorMetrics>();
  const exact = pairs.filter((pair) => !pair.before);
  const lossy = pairs.flatMap(({ before, ...pair }) => (before ? [{ ...pair, before }] : []));
  context.progress.stage(
    'read back',
    pairs.reduce(
      (sum, { written, intended, before }) => sum + written.byteLength + (before ?? intended).byteLength,
      0,
    ),
  );

  const differences = await compareTensors(
    [
      ...exact.map(({ intended, written }) => ({ a: intended, b: written })),
      ...lossy.map(({ before, written, intended }) => ({
        a: before,
        b: written,
        ...(needsExact(before.info.dtype, written.info.dtype) ? { meant: intended } : {}),
      })),
    ],
    context,
    request.figures ? { figures: true } : {},
  );
  const figures = new Map<string, TensorStats>();
  [...exact, ...lossy].forEach(({ name }, i) => {
    const found = differences[i]?.figures;
    if (found) figures.set(name, found);
  });
  exact.forEach(({ name }, i) => {
    const difference = differences[i];
    if (!difference?.equal) findings.push(changedBytes(name, difference));
  });
  const unexplained: Pair[] = [];
  lossy.forEach((pair, i) => {
    const difference = differences[exact.length + i];
    if (!difference || difference.changed === 0) return;
    tensorErrors.set(pair.name, metricsOf(difference));
    const verdict = judge(pair, difference);
    findings.push(...verdict.findings);
    if (!verdict.recheck || difference.exact === true) return;
    if (difference.exact === false) findings.push(changedBytes(pair.name, undefined));
    else unexplained.push(pair);
  });
  const again = await compareTensors(
    unexplained.map(({ intended, written }) => ({ a: intended, b: written })),
    context,
  );
  unexplained.forEach(({ name }, i) => {
    if (!again[i]?.equal) findings.push(changedBytes(name, again[i]));
  });
  const wrong = new Set(
    findings.filter(({ code }) => code === 'VALUES_DIFFER').map(({ subject }) => subject),
  );
  const inexact = pairs.filter(({ name }) => wrong.has(name) || tensorErrors.has(name)).length;
  return {
    report: {
      checked: pairs.length,
      equal: pairs.length - inexact,
      lossy: tensorErrors.size,
      worst: worstOf(tensorErrors),
    },
    findings,
    tensorErrors,
    figures,
  };
}

/** Every tensor under its first name; a second name that is tied in the file as it was meant needs no second look. */
function pairUp({ written, intended, source, changed, quantized }: WeightsRequest): Pair[] {
  const meant = tensorMap(intended);
  const origin = tensorMap(source);
  return written.tensors.flatMap((tensor) => {
    const { name } = tensor.info;
    const target = meant.get(name);
    if (!target) return [];
    const canonical = written.aliases.get(name);
    if (
      canonical !== undefined &&
      (intended.aliases.get(name) ?? name) === (intended.aliases.get(canonical) ?? canonical)
    )
      return [];
    const before = origin.get(name);
    const lossy =
      before !== undefined &&
      sameDims(before.info.shape, target.info.shape) &&
      !(quantized && isFloat(before.info.dtype) && !isFloat(target.info.dtype)) &&
      (changed?.has(name) ||
        (before.info.dtype !== target.info.dtype && canCast(before.info.dtype, target.info.dtype)));
    return [{ name, written: tensor, intended: target, ...(lossy ? { before } : {}) }];
  });
}

const changedBytes = (name: string, difference: TensorDifference | undefined): Finding =>
  finding(
    'error',
    'VALUES_DIFFER',
    name,
    difference && difference.changed > 0
      ? `${difference.changed} elements in the written file are not the ones that were meant`
      : 'the bytes in the written file are not the ones that were meant',
  );

/**
 * No rounding explains values that were changed on purpose. Of other types it need not explain those whose small numbers are
 * often subnormal: all but those that reach as far as f32.
 */
const needsExact = (from: DType, to: DType): boolean =>
  from === to || (to !== 'f32' && to !== 'f64' && to !== 'bf16');

/** What a difference means, and whether only an exact comparison can tell. */
function judge(
  { name, before, written }: Pair & { readonly before: TensorSource },
  difference: TensorDifference,
): { findings: Finding[]; recheck: boolean } {
  const from = before.info.dtype;
  const to = written.info.dtype;
  if (difference.maxAbs === Number.POSITIVE_INFINITY) {
    const message = `values that were finite as ${from} are infinite or NaN as ${to}: leave the tensor out, or choose a wider type`;
    return { findings: [finding('error', 'NONFINITE_CREATED', name, message)], recheck: false };
  }
  const bound = from === to ? undefined : roundingBound(from, to);
  if (!bound) return { findings: [], recheck: true };
  const { relative, absolute, largest } = bound;
  const saturated = difference.maxAbs > relative * largest + absolute;
  const message = `values past ${largest}, the largest ${to}, are now that`;
  return {
    findings: saturated ? [finding('warning', 'SATURATED', name, message)] : [],
    recheck: difference.maxRel > relative && difference.maxAbs > absolute,
  };
}

const metricsOf = ({ maxAbs, maxRel, rmse, sqnrDb, cosine }: TensorDifference): TensorErrorMetrics => ({
  maxAbs,
  maxRel,
  rmse,
  sqnrDb,
  cosine,
});

/** The tensor with the most noise for its size. */
function worstOf(
  errors: ReadonlyMap<string, TensorErrorMetrics>,
): { name: string; maxAbs: number; rmse: number } | null {
  let worst: { name: string; maxAbs: number; rmse: number } | null = null;
  let least = Number.POSITIVE_INFINITY;
  for (const [name, { maxAbs, rmse, sqnrDb }] of errors) {
    const quality = sqnrDb ?? Number.POSITIVE_INFINITY;
    if (worst && quality >= least) continue;
    worst = { name, maxAbs, rmse };
    least = quality;
  }
  return worst;
}
