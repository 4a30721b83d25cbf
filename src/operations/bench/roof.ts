import type { Peaks, Roof } from './report.js';

/** Where the peaks would take less than this share of the time, neither is what holds an operator back. */
const OVERHEAD = 0.1;

export interface Work {
  readonly ms: number;
  readonly flops: number | undefined;
  readonly bytes: number;
}

/**
 * An operator under the roof (Williams, Waterman and Patterson, Roofline, 2009): with peaks P and B and intensity I no
 * more than min(P, I·B) operations a second are possible, so that the time is at least max(flops ÷ P, bytes ÷ B).
 * More than that is attained where operands are still in a cache, or where integers are multiplied faster than floats.
 */
export function roofOf({ ms, flops, bytes }: Work, peak: Peaks, total: number): Roof {
  const seconds = ms / 1000;
  const [computing, moving] = [(flops ?? 0) / peak.flops, bytes / peak.bandwidth];
  const least = Math.max(computing, moving);
  const attained = seconds > 0 ? least / seconds : 0;
  return {
    ...{ ms, bytes, flops: flops ?? null },
    share: total > 0 ? ms / total : 0,
    intensity: flops === undefined || bytes === 0 ? null : flops / bytes,
    gflops: flops === undefined || seconds === 0 ? null : flops / seconds / 1e9,
    gbps: seconds === 0 ? 0 : bytes / seconds / 1e9,
    attained,
    bound: attained < OVERHEAD ? 'overhead' : computing >= moving ? 'compute' : 'memory',
  };
}

/** The same for several together; operations of those that are not counted are left out. */
export const together = (works: readonly Work[]): Work => ({
  ms: works.reduce((sum, { ms }) => sum + ms, 0),
  bytes: works.reduce((sum, { bytes }) => sum + bytes, 0),
  flops: works.every(({ flops }) => flops === undefined)
    ? undefined
    : works.reduce((sum, { flops = 0 }) => sum + flops, 0),
});
