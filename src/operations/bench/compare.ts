import type { BenchComparison, Interval } from './report.js';
import { ratioOfMedians } from './statistics.js';
import type { Subject } from './subject.js';

/**
 * Every model against the first that was measured on the same device, at each batch that both took; in the order of
 * the models. undefined for that first one, and for those that were not measured.
 */
export const compareAll = (subjects: readonly Subject[]): (BenchComparison[] | undefined)[] =>
  subjects.map((subject) => {
    const measured = ({ batches, error }: Subject): boolean => !error && batches.length > 0;
    const first = subjects.find((other) => other.device === subject.device && measured(other));
    return first && first !== subject && measured(subject) ? compare(subject, first) : undefined;
  });

const compare = ({ path, device, batches, medians }: Subject, first: Subject): BenchComparison[] =>
  batches.flatMap(({ batch, latency }) => {
    const reference = first.batches.find((other) => other.batch === batch);
    const [of, by] = [medians.get(batch), first.medians.get(batch)];
    if (!of || !by || !reference) return [];
    const { ratio, interval } = ratioOfMedians(
      { p50: latency.p50, medians: of },
      { p50: reference.latency.p50, medians: by },
    );
    return [{ path, against: first.path, device, batch, ratio, interval, verdict: verdictOf(interval) }];
  });

export function verdictOf(interval: Interval): BenchComparison['verdict'] {
  if (!interval) return 'unknown';
  const [low, high] = interval;
  return high < 1 ? 'faster' : low > 1 ? 'slower' : 'same';
}
