import type { BenchComparison, Interval } from './report.js';
import { ratioOfMedians } from './statistics.js';
import type { Subject } from './subject.js';

/** Every model against the first that was measured on the same device, at the same batch. */
export function compareAll(subjects: readonly Subject[]): BenchComparison[] {
  return subjects.flatMap((subject) => {
    const { path, device } = subject;
    const first = subjects.find((other) => other.device === device);
    if (!first || first === subject) return [];
    return subject.batches.flatMap(({ batch, latency }) => {
      const [of, by] = [subject, first].map(({ medians }) => medians.get(batch));
      const reference = first.batches.find((other) => other.batch === batch);
      if (!of || !by || !reference) return [];
      const { ratio, interval } = ratioOfMedians(
        { p50: latency.p50, medians: of },
        { p50: reference.latency.p50, medians: by },
      );
      return [{ path, against: first.path, device, batch, ratio, interval, verdict: verdictOf(interval) }];
    });
  });
}

export function verdictOf(interval: Interval): BenchComparison['verdict'] {
  if (!interval) return 'unknown';
  const [low, high] = interval;
  return high < 1 ? 'faster' : low > 1 ? 'slower' : 'same';
}
