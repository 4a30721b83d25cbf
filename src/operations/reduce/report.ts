import type { ValueInfoEntry, WriteReport } from '../reports.js';
import type { FailureKind } from './outcome.js';

export interface ReducedNode {
  /** Its name, else `<operator>_<position>` in the graph it was taken from. */
  readonly name: string;
  readonly op: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
}

/** What `reduce` found. */
export interface Reduction {
  readonly failure: { readonly kind: FailureKind; readonly text: string };
  readonly nodesBefore: number;
  readonly nodesAfter: number;
  /** Times that the check was made. */
  readonly checks: number;
  /** No node, and no output, can be left out without losing the failure. */
  readonly minimal: boolean;
  readonly nodes: readonly ReducedNode[];
  readonly inputs: readonly ValueInfoEntry[];
  readonly outputs: readonly ValueInfoEntry[];
  /** Files beside the model: what its inputs are to be fed with, and the same part of the reference. */
  readonly feeds?: string;
  readonly reference?: string;
  /** The file as it was written fails the check in the same way. */
  readonly proved: boolean;
  /** The checks in their order: how many nodes were tried, and whether they still failed. */
  readonly steps: readonly { readonly stage: string; readonly nodes: number; readonly fails: boolean }[];
}

export interface ReduceReport extends WriteReport {
  readonly reduce: Reduction;
}
