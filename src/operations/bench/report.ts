import type { Details, Finding } from '../../errors.js';

/** What `bench` tells (JSON-safe). Times are milliseconds, sizes bytes. */
export interface BenchReport {
  readonly command: 'bench';
  readonly settings: BenchSettings;
  readonly machine: Machine;
  /** One for each model on each device, in the order of the command line. */
  readonly models: readonly BenchModel[];
  /** Each against the first model, on the same device at the same batch. */
  readonly comparisons: readonly BenchComparison[];
  readonly gates: readonly GateOutcome[];
  /** Every gate holds. */
  readonly passed: boolean;
  readonly findings: readonly Finding[];
  readonly seconds: number;
}

export interface BenchSettings {
  readonly devices: readonly string[];
  readonly batches: readonly number[];
  /** Counted runs of a model at a batch; null: as many as two seconds hold, 20 to 1000. */
  readonly runs: number | null;
  readonly warmup: number;
  /** Fresh processes of each model, over which its runs are spread. */
  readonly processes: number;
  /** Threads of the runtime inside an operator. */
  readonly threads: number;
  /** Of the order of turns, and of the resampling. */
  readonly seed: number;
  /** Where feeds come from: a file, or `generated`. */
  readonly feeds: string;
  /** How intervals were made. */
  readonly method: string;
}

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly platform: string;
  readonly node: string;
}

export interface BenchModel {
  readonly path: string;
  readonly device: string;
  readonly status: 'measured' | 'failed';
  /** Why it failed. What was measured before is there all the same. */
  readonly error?: { readonly code: string; readonly message: string; readonly details: Details };
  /** Files of the family, external data included. */
  readonly bytes?: number;
  readonly parameters?: number;
  readonly load?: LoadTimes;
  readonly memory?: PeakMemory;
  readonly batches: readonly BatchResult[];
  readonly skipped: readonly { readonly batch: number; readonly reason: string }[];
  readonly accuracy?: Accuracy;
  readonly roofline?: Roofline;
}

/** Making a session in a process in which nothing ran before; the files are in the page cache after the first. */
export interface LoadTimes {
  readonly ms: readonly number[];
  readonly p50: number;
  readonly min: number;
  readonly max: number;
}

/** Of the processes that ran nothing but this model on this device: the one that took most. */
export interface PeakMemory {
  /** Once the runtime is loaded, before the model is. */
  readonly baseline: number;
  readonly peak: number;
  /** The difference. */
  readonly model: number;
}

/** Ends of the interval that holds the figure with 95 % confidence; null where there were too few turns. */
export type Interval = readonly [low: number, high: number] | null;

export interface BatchResult {
  readonly batch: number;
  readonly runs: number;
  readonly turns: number;
  readonly shapes: Readonly<Record<string, readonly number[]>>;
  readonly latency: LatencySummary;
  /** Samples a second, one run after the other. */
  readonly throughput: { readonly value: number; readonly interval: Interval };
}

export interface LatencySummary {
  readonly mean: number;
  readonly min: number;
  readonly p25: number;
  readonly p50: number;
  readonly p75: number;
  readonly p95: number;
  readonly p99: number;
  readonly max: number;
  readonly intervals: {
    readonly mean: Interval;
    readonly p50: Interval;
    readonly p95: Interval;
    readonly p99: Interval;
  };
  /** Counts of equal steps from `min` to the 99th percentile; the last has all above. */
  readonly histogram: { readonly min: number; readonly max: number; readonly counts: readonly number[] };
}

export interface Accuracy {
  readonly share: number;
  readonly right: number;
  readonly samples: number;
  /** Wilson's score interval, 95 %. */
  readonly interval: readonly [number, number];
}

export interface BenchComparison {
  readonly path: string;
  readonly against: string;
  readonly device: string;
  readonly batch: number;
  /** Median latency ÷ that of `against`: below 1 is faster. */
  readonly ratio: number;
  readonly interval: Interval;
  /** `same`: the interval holds 1, so no difference is shown. */
  readonly verdict: 'faster' | 'slower' | 'same' | 'unknown';
}

export type GateName =
  | 'max-p95'
  | 'max-load'
  | 'max-size'
  | 'max-peak-memory'
  | 'min-accuracy'
  | 'max-slowdown';

export interface GateOutcome {
  readonly gate: GateName;
  readonly path: string;
  readonly device: string;
  readonly asked: number;
  /** null: it could not be measured, which fails the gate. */
  readonly measured: number | null;
  readonly passed: boolean;
}

/** What operators do, what they take, and what this machine could do in that time. */
export interface Roofline {
  readonly batch: number;
  readonly runs: number;
  readonly peak: Peaks;
  /** A whole run under the profiler, its operators, and the rest. */
  readonly ms: { readonly run: number; readonly operators: number; readonly rest: number };
  readonly flops: number;
  readonly bytes: number;
  /** By operator type, the longest first. */
  readonly operators: readonly OperatorRoof[];
  /** The longest nodes. */
  readonly nodes: readonly NodeRoof[];
}

/** Measured in this run with the same threads. */
export interface Peaks {
  /** Floating-point operations a second of a large f32 MatMul. */
  readonly flops: number;
  /** Bytes a second that a large copy reads and writes. */
  readonly bandwidth: number;
}

export interface Roof {
  readonly ms: number;
  /** Of the time of all operators. */
  readonly share: number;
  /** Operations of a run; null where the operator is not one that is counted. */
  readonly flops: number | null;
  /** Operands read and results written, each once. */
  readonly bytes: number;
  /** Operations a byte. */
  readonly intensity: number | null;
  readonly gflops: number | null;
  readonly gbps: number;
  /** Of what the roof allows at this intensity: the time that the peaks would take ÷ the time that it took. */
  readonly attained: number;
  /** What holds it back: `overhead` where the peaks would take less than a tenth of the time. */
  readonly bound: 'compute' | 'memory' | 'overhead';
}

export interface OperatorRoof extends Roof {
  readonly op: string;
  readonly nodes: number;
}

export interface NodeRoof extends Roof {
  readonly name: string;
  readonly op: string;
  readonly shapes: readonly string[];
}
