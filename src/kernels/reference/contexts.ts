import { classOf } from './classes.js';

/** 124 classes cover 32 bits. */
export const CLASSES = 124;
export const MAX_CONTEXTS = 16;
/** What a further code table costs in bits, as a rule. */
const TABLE_COST = 200;
/** As many elements of two bytes and more are not all counted. */
const SAMPLED = 131072;
/** Of those: of each 16384 bytes the first so many elements. */
const SAMPLE = 1024;

/** Neighbouring exponents that share a code. */
export interface Context {
  /** The lowest exponent. */
  readonly start: number;
  /** Of every class. */
  readonly counts: Uint32Array;
}

const totalOf = ({ counts }: Context): number => counts.reduce((sum, count) => sum + count, 0);

const joined = (a: Context, b: Context): Context => ({
  start: a.start,
  counts: a.counts.map((count, c) => count + (b.counts[c] ?? 0)),
});

/** Contexts for the differences of elements of `width` bytes, with the counts that their codes are made from. */
export function contextsOf(
  differences: readonly number[],
  exponents: readonly number[],
  width: number,
): Context[] {
  const sampled = width > 1 && differences.length >= SAMPLED;
  const every = 16384 / width;
  const counted: Context[] = [];
  for (const [i, d] of differences.entries()) {
    if (sampled && i % every >= SAMPLE) continue;
    const start = exponents[i] ?? 0;
    counted[start] ??= { start, counts: new Uint32Array(CLASSES) };
    const { counts = [] } = counted[start] ?? {};
    const c = classOf(Math.abs(d));
    counts[c] = (counts[c] ?? 0) + 1;
  }
  const contexts = groupExponents(counted.filter((context) => context !== undefined));
  if (!sampled) return contexts;
  // What the sample does not have may come all the same.
  const most = differences.reduce((largest, d) => Math.max(largest, classOf(Math.abs(d))), 0);
  return contexts.map(({ start, counts }) => ({
    start,
    counts: counts.map((count, c) => (c <= most ? (count * 16) / width + 1 : count)),
  }));
}

/** log2 in 1/65536, in integers: linear between powers of two, corrected by a parabola. */
function log2(x: number): number {
  const whole = 31 - Math.clz32(x);
  const part = Math.floor((x / 2 ** whole) * 65536) - 65536;
  return whole * 65536 + part + Math.floor((part * (65536 - part) * 22544) / 2 ** 32);
}

/** Bits that a context's classes cost, in 1/65536. */
function costOf(context: Context): number {
  const total = totalOf(context);
  const bits = (count: number): number => (count === 0 ? 0 : count * log2(count));
  return bits(total) - context.counts.reduce((sum, count) => sum + bits(count), 0);
}

/** At most 16 contexts: rare exponents join their neighbour, then always the pair that loses least, while that pays. */
function groupExponents(present: readonly Context[]): Context[] {
  const rare = Math.floor(present.reduce((sum, context) => sum + totalOf(context), 0) / 256);
  const contexts: Context[] = [];
  for (const context of present) {
    const before = contexts.at(-1);
    if (before && (totalOf(context) < rare || totalOf(before) < rare))
      contexts[contexts.length - 1] = joined(before, context);
    else contexts.push(context);
  }
  const loss = (g: number): number => {
    const [a, b] = contexts.slice(g, g + 2);
    return a && b ? costOf(joined(a, b)) - costOf(a) - costOf(b) : Infinity;
  };
  const losses = contexts.map((_, g) => loss(g));
  while (contexts.length > 1) {
    const least = losses.indexOf(Math.min(...losses));
    if (contexts.length <= MAX_CONTEXTS && (losses[least] ?? 0) > TABLE_COST * 65536) break;
    const [a, b] = contexts.slice(least, least + 2);
    if (a && b) contexts.splice(least, 2, joined(a, b));
    losses.splice(least, 1);
    for (const g of [least - 1, least]) if (g >= 0) losses[g] = loss(g);
  }
  return contexts;
}
