import { MlserError } from '../../errors.js';
import type { BenchGates } from './gates.js';

export interface BenchOptions extends BenchGates {
  /** Default: the cpu. One that is not here is skipped, unless it is the only one. */
  readonly devices?: readonly string[];
  /** npz of feeds; default: made up from the inputs of each graph. */
  readonly inputs?: string;
  /** Array of class numbers in it. */
  readonly labels?: string;
  /** Samples a run; default: 1. Gates of latency look at the first. */
  readonly batches?: readonly number[];
  /** Default: as many as two seconds hold, 20 to 1000. */
  readonly runs?: number;
  readonly warmup?: number;
  /** Fresh processes of each model, over which its runs are spread; default: 5. */
  readonly processes?: number;
  readonly seed?: number;
  /** Where the time of each operator goes, against what this machine can do. */
  readonly roofline?: boolean;
}

export const BENCH_DEFAULTS = {
  ...{ devices: ['cpu'], batches: [1], warmup: 10, processes: 5, seed: 1, roofline: false },
} as const;

export type Settled = BenchOptions & Required<Pick<BenchOptions, keyof typeof BENCH_DEFAULTS>>;

const usage = (message: string, hint: string): MlserError => new MlserError('E_USAGE', message, { hint });

/** The options with their defaults. E_USAGE for what makes no sense together. */
export function settle(paths: readonly string[], options: BenchOptions): Settled {
  if (paths.length === 0) throw usage('a model is missing', 'name one or more models');
  if (options.minAccuracy !== undefined && options.labels === undefined)
    throw usage('--min-accuracy needs --labels', 'give --inputs test.npz --labels y');
  if (options.labels !== undefined && options.inputs === undefined)
    throw usage('--labels needs --inputs', 'labels are an array of the file of feeds');
  if (options.maxSlowdown !== undefined && paths.length < 2)
    throw usage('--max-slowdown compares with the first model', 'name two models or more');
  const settled = { ...BENCH_DEFAULTS, ...options };
  const numbers = [...settled.batches, settled.warmup, settled.processes, options.runs ?? 1];
  if (settled.batches.length === 0 || numbers.some((n) => !Number.isSafeInteger(n) || n < 1))
    throw usage('batches, runs, warm-up runs and processes are whole numbers above 0', 'for example 1,8,32');
  return { ...settled, batches: [...new Set(settled.batches)] };
}

/** As many as were asked for, but none without a run. */
export const processesFor = ({ processes, runs }: Settled): number => Math.min(processes, runs ?? processes);
