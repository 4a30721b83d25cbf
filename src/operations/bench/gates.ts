import { type Finding, finding } from '../../errors.js';
import type { BenchComparison, BenchModel, GateName, GateOutcome } from './report.js';

/** What must hold of every model. Absent: anything goes. */
export interface BenchGates {
  /** Milliseconds at the first batch that was measured. */
  readonly maxP95?: number;
  /** Milliseconds, the median. */
  readonly maxLoad?: number;
  /** Bytes of the files. */
  readonly maxSize?: number;
  /** Bytes of the process. */
  readonly maxPeakMemory?: number;
  readonly minAccuracy?: number;
  /** Times the median latency of the first model; noise is no slowdown: the whole interval must be above. */
  readonly maxSlowdown?: number;
}

const least = (asked: number) => (measured: number) => measured >= asked;
const most = (asked: number) => (measured: number) => measured <= asked;

/**
 * The outcome of every gate for every model that was measured. What was not measured does not pass. `comparisons` has
 * those of each model; undefined for the one that others are compared with.
 */
export function judge(
  models: readonly BenchModel[],
  comparisons: readonly (readonly BenchComparison[] | undefined)[],
  gates: BenchGates,
): GateOutcome[] {
  const { maxP95, maxLoad, maxSize, maxPeakMemory, minAccuracy, maxSlowdown } = gates;
  return models.flatMap((model, at) => {
    const { path, device, status } = model;
    if (status === 'failed') return [];
    const outcomes: GateOutcome[] = [];
    const gate = (
      name: GateName,
      asked: number | undefined,
      measured: number | undefined,
      holds: (asked: number) => (measured: number) => boolean,
    ): void => {
      if (asked === undefined) return;
      const passed = measured !== undefined && holds(asked)(measured);
      outcomes.push({ gate: name, path, device, asked, measured: measured ?? null, passed });
    };
    gate('max-p95', maxP95, model.batches[0]?.latency.p95, most);
    gate('max-load', maxLoad, model.load?.p50, most);
    gate('max-size', maxSize, model.bytes, most);
    gate('max-peak-memory', maxPeakMemory, model.memory?.peak, most);
    gate('min-accuracy', minAccuracy, model.accuracy?.share, least);
    const compared = comparisons[at];
    if (compared) {
      const interval = compared[0]?.interval ?? null;
      gate('max-slowdown', maxSlowdown, compared[0]?.ratio, (asked) => (ratio) => {
        const certain = interval === null || interval[0] > asked;
        return ratio <= asked || !certain;
      });
    }
    return outcomes;
  });
}

const UNITS: Readonly<Record<GateName, (value: number) => string>> = {
  'max-p95': (value) => `${three(value)} ms`,
  'max-load': (value) => `${three(value)} ms`,
  'max-size': (value) => `${value} bytes`,
  'max-peak-memory': (value) => `${value} bytes`,
  'min-accuracy': (value) => `${three(value * 100)} %`,
  'max-slowdown': (value) => `${three(value)} times the first`,
};
const WHAT: Readonly<Record<GateName, string>> = {
  'max-p95': 'the 95th percentile of latency',
  'max-load': 'the median load time',
  'max-size': 'the size of the files',
  'max-peak-memory': 'the peak memory',
  'min-accuracy': 'the accuracy',
  'max-slowdown': 'the median latency',
};
const three = (value: number): string => String(Number(value.toPrecision(4)));

/** The gates that do not hold, each with its model, what was asked and what was measured. */
export const gateFindings = (outcomes: readonly GateOutcome[]): Finding[] =>
  outcomes
    .filter(({ passed }) => !passed)
    .map(({ gate, path, device, asked, measured }) => {
      const limit = `${gate.startsWith('min') ? 'at least' : 'at most'} ${UNITS[gate](asked)}`;
      const found = measured === null ? 'was not measured' : `is ${UNITS[gate](measured)}`;
      const message = `${path} on ${device}: ${WHAT[gate]} ${found}, --${gate} asks for ${limit}`;
      return finding('error', 'GATE_FAILED', path, message);
    });
