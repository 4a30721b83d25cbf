import { type Finding, finding } from '../errors.js';
import { toNumbers, type Value } from './values.js';

/** How an output compares with its reference, over all batches. */
export interface OutputComparison {
  readonly name: string;
  readonly maxAbs: number;
  /** Largest |a − b| ÷ |b| where b is not zero. */
  readonly maxRel: number;
  readonly rmse: number;
  /** 1 for the same direction; null where a side is all zeros. */
  readonly cosine: number | null;
  /** Share of rows (last axis, at least 2 wide) whose largest element is at the same place. Floats only. */
  readonly argmaxAgreement?: number;
  /** The smallest t with |a − b| ≤ t + t·|b| everywhere. Infinity where a NaN or an infinity is on one side only. */
  readonly neededTolerance: number;
}

/** Compares outputs batch by batch. NaN equals NaN, an infinity equals itself. */
export interface Comparison {
  /** `part` of an output next to the same part of the reference. False: they cannot be compared (a finding says why). */
  add(part: Value, reference: Value): boolean;
  result(): OutputComparison;
  readonly findings: readonly Finding[];
}

/** `anyNumberType`: numbers are compared across types (what was expected may have been saved in another one). */
export function compareOutput(name: string, options: { readonly anyNumberType?: boolean } = {}): Comparison {
  const findings: Finding[] = [];
  let count = 0;
  let maxAbs = 0;
  let maxRel = 0;
  let needed = 0;
  let squares = 0;
  let dot = 0;
  let lengthA = 0;
  let lengthB = 0;
  let rows = 0;
  let agreeing = 0;

  const differ = (code: string, message: string): false => {
    findings.push(finding('error', code, name, message));
    needed = Number.POSITIVE_INFINITY;
    return false;
  };

  const addNumbers = (a: ArrayLike<number>, b: ArrayLike<number>, gaps: Float64Array | undefined): void => {
    for (let i = 0; i < b.length; i++) {
      const x = a[i] ?? 0;
      const y = b[i] ?? 0;
      // Equal values (infinities too) and a NaN on both sides differ by nothing.
      const gap = gaps?.[i] ?? (Object.is(x, y) || x === y ? 0 : Math.abs(x - y));
      if (gap !== 0) {
        const size = Math.abs(y);
        const step =
          Number.isFinite(gap) && Number.isFinite(size) ? gap / (1 + size) : Number.POSITIVE_INFINITY;
        if (step > needed) needed = step;
        const abs = Number.isNaN(gap) ? Number.POSITIVE_INFINITY : gap;
        if (abs > maxAbs) maxAbs = abs;
        if (size > 0 && abs / size > maxRel) maxRel = abs / size;
        squares += abs * abs;
      }
      if (Number.isFinite(x) && Number.isFinite(y)) {
        dot += x * y;
        lengthA += x * x;
        lengthB += y * y;
      }
    }
    count += b.length;
  };

  return {
    findings,
    add(part, reference) {
      const text = part.type === 'string' || reference.type === 'string';
      if (part.type !== reference.type && (text || !options.anyNumberType))
        return differ('OUTPUT_DTYPE_DIFFERS', `output is ${part.type}, the reference ${reference.type}`);
      if (!sameDims(part.dims, reference.dims))
        return differ(
          'OUTPUT_SHAPE_DIFFERS',
          `output is [${part.dims.join(', ')}], the reference [${reference.dims.join(', ')}]`,
        );
      if (part.type === 'string') {
        const other = reference.data as readonly string[];
        const changed = (part.data as readonly string[]).filter((text, i) => text !== other[i]).length;
        count += other.length;
        return changed === 0 || differ('OUTPUT_TEXT_DIFFERS', `${changed} of ${other.length} strings differ`);
      }
      addNumbers(toNumbers(part), toNumbers(reference), bigGaps(part.data, reference.data));
      const width = part.dims.at(-1) ?? 0;
      if (/^float/.test(part.type) && part.dims.length > 0 && width >= 2) {
        const [a, b] = [argmaxRows(toNumbers(part), width), argmaxRows(toNumbers(reference), width)];
        rows += b.length;
        agreeing += b.filter((at, i) => at === a[i]).length;
      }
      return true;
    },
    result: () => ({
      name,
      maxAbs,
      maxRel,
      rmse: count === 0 ? 0 : Math.sqrt(squares / count),
      cosine: cosine(dot, lengthA, lengthB),
      ...(rows === 0 ? {} : { argmaxAgreement: agreeing / rows }),
      neededTolerance: needed,
    }),
  };
}

/** |a − b| of 64-bit integers, taken before anything is rounded to a double. */
function bigGaps(a: Value['data'], b: Value['data']): Float64Array | undefined {
  const big = (data: Value['data']): data is BigInt64Array | BigUint64Array =>
    data instanceof BigInt64Array || data instanceof BigUint64Array;
  if (!big(a) || !big(b)) return undefined;
  return Float64Array.from(b, (value, i) => Math.abs(Number((a[i] ?? 0n) - value)));
}

function cosine(dot: number, lengthA: number, lengthB: number): number | null {
  if (lengthA === 0 || lengthB === 0) return null;
  return Math.min(1, Math.max(-1, dot / (Math.sqrt(lengthA) * Math.sqrt(lengthB))));
}

/** Index of the largest element of every row; the first of equal ones. */
export function argmaxRows(values: ArrayLike<number>, width: number): number[] {
  const places: number[] = [];
  for (let start = 0; start + width <= values.length; start += width) {
    let best = 0;
    for (let i = 1; i < width; i++) if ((values[start + i] ?? 0) > (values[start + best] ?? 0)) best = i;
    places.push(best);
  }
  return places;
}

export const sameDims = (a: readonly number[], b: readonly number[]): boolean =>
  a.length === b.length && a.every((dim, i) => dim === b[i]);

/** How many elements of an output are NaN or infinite. */
export function nonFinite(value: Value): number {
  if (!/^float/.test(value.type)) return 0;
  const values = toNumbers(value);
  let found = 0;
  for (let i = 0; i < values.length; i++) if (!Number.isFinite(values[i])) found++;
  return found;
}
