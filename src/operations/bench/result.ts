import { type Finding, finding, type MlserError } from '../../errors.js';
import type { BenchModel, Interval, LoadTimes } from './report.js';
import { quantile, resamples, summarize } from './statistics.js';
import type { Subject } from './subject.js';

/** Figures of every batch, from the runs that were gathered. The same turns are drawn for all models. */
export function summarizeAll(subjects: readonly Subject[], processes: number, seed: number): void {
  for (const subject of subjects)
    for (const [batch, { shapes, turns }] of subject.timings) {
      if (subject.error || turns.length === 0) continue;
      const { latency, medians } = summarize(turns, resamples(processes, turns.length / processes, seed));
      subject.medians.set(batch, medians);
      const runs = turns.reduce((sum, { length }) => sum + length, 0);
      const throughput = {
        value: perSecond(batch, latency.mean),
        interval: reversed(batch, latency.intervals.mean),
      };
      subject.batches.push({ batch, runs, turns: turns.length, shapes, latency, throughput });
    }
}

const perSecond = (samples: number, ms: number): number => (samples * 1000) / ms;
const reversed = (samples: number, interval: Interval): Interval =>
  interval && [perSecond(samples, interval[1]), perSecond(samples, interval[0])];

/** Why a model has no figures: what went wrong, or the runtime's no to its only batches. */
const failureOf = ({ error, batches, refused }: Subject): MlserError | undefined =>
  error ?? (batches.length === 0 ? refused : undefined);

export const failures = (subjects: readonly Subject[]): MlserError[] =>
  subjects.flatMap((subject) => failureOf(subject) ?? []);

export function modelOf(subject: Subject): BenchModel {
  const { path, device, bytes, parameters, loads, memory, batches, skipped, accuracy, roofline } = subject;
  const failed = failureOf(subject);
  return {
    ...{ path, device, status: failed ? 'failed' : 'measured' },
    ...(failed ? { error: { code: failed.code, message: failed.message, details: failed.details } } : {}),
    ...(bytes === undefined ? {} : { bytes }),
    ...(parameters === undefined ? {} : { parameters }),
    ...(loads.length > 0 ? { load: loadTimes(loads) } : {}),
    ...(memory ? { memory } : {}),
    ...{ batches, skipped },
    ...(accuracy ? { accuracy } : {}),
    ...(roofline ? { roofline } : {}),
  };
}

function loadTimes(ms: readonly number[]): LoadTimes {
  const sorted = Float64Array.from(ms).sort();
  return { ms, p50: quantile(sorted, 0.5), min: quantile(sorted, 0), max: quantile(sorted, 1) };
}

export function findingsOf(subject: Subject): Finding[] {
  const { path, device, skipped } = subject;
  const failed = failureOf(subject);
  return [
    ...(failed ? [finding('error', 'MODEL_FAILED', path, `on ${device}: ${failed.message}`)] : []),
    ...skipped.map(({ batch, reason }) =>
      finding('info', 'BATCH_SKIPPED', path, `not measured at batch ${batch} on ${device}: ${reason}`),
    ),
  ];
}

/** Models that have inputs of the same name, but were fed with other shapes: their times do not compare. */
export function unlikeFeeds(subjects: readonly Subject[]): Finding[] {
  const [first, ...others] = subjects.filter(({ batches }) => batches.length > 0);
  return others.flatMap(({ path, device, batches }) => {
    const unlike = batches.find(({ batch, shapes }) => {
      const reference = first?.batches.find((one) => one.batch === batch)?.shapes ?? {};
      return Object.entries(shapes).some(
        ([name, dims]) => reference[name] && String(reference[name]) !== String(dims),
      );
    });
    const message = `on ${device}: its inputs have other shapes than those of ${first?.path ?? ''}, so times do not compare: give the same to both with --inputs`;
    return unlike ? [finding('warning', 'FEEDS_DIFFER', path, message)] : [];
  });
}

/** Where the runtime's profile does not tell how long operators took. */
export const noRoofline = (subjects: readonly Subject[]): Finding[] =>
  subjects
    .filter(({ device, error }) => device !== 'cpu' && !error)
    .map(({ path, device }) =>
      finding('info', 'ROOFLINE_SKIPPED', path, `operators are timed on the cpu only, not on ${device}`),
    );
