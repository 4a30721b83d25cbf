import type { Level } from '../../graph/optimize/pass.js';
import type { SpeedReport } from '../quantize/report.js';
import type { WriteReport } from '../reports.js';
import type { RuntimeLevel } from './levels.js';

/** What one pass did. */
export interface PassEntry {
  readonly name: string;
  readonly rewrites: number;
}

export interface OptimizeReport extends WriteReport {
  readonly command: 'optimize';
  readonly optimize: {
    readonly level: Level | RuntimeLevel;
    /** Passes that were asked for by name, in place of those of a level. */
    readonly named?: readonly string[];
    /** Those that found something, in the order in which they first did. */
    readonly passes: readonly PassEntry[];
    readonly rounds: number;
    /** Nodes of all graphs, sub-graphs and functions included. */
    readonly nodesBefore: number;
    readonly nodesAfter: number;
    /** Operators whose number changed: before, after. */
    readonly ops: Readonly<Record<string, readonly [number, number]>>;
  };
  /** Median latencies on one sample; absent where the model cannot be run. */
  readonly speed?: Pick<SpeedReport, 'beforeMs' | 'afterMs'>;
}

/** `optimize --list --json`. */
export interface PassList {
  readonly command: 'optimize';
  readonly passes: readonly { readonly name: string; readonly level: Level; readonly summary: string }[];
}
