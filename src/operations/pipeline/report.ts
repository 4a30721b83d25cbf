import type { Finding } from '../../errors.js';
import type { ValidationReport } from '../../validate/report.js';
import type { SpeedReport } from '../quantize/report.js';
import type { WriteReport } from '../reports.js';
import type { Figures } from './step-kind.js';

/** What became of one step. */
export interface StepEntry {
  /** From 1. */
  readonly step: number;
  readonly do: string;
  readonly name?: string;
  /**
   * `done`: written (or looked at) and proved. `kept`: an earlier run had done it. `composed`: taken on without a file,
   * to be proved with the next one. `planned`: a dry run. `failed`: its gate said no. `waiting`: not reached.
   */
  readonly outcome: 'done' | 'kept' | 'composed' | 'planned' | 'failed' | 'waiting';
  /** Of what it took and gave; null where it is not known. */
  readonly bytesIn: number | null;
  readonly bytesOut: number | null;
  readonly figures: Figures;
  readonly validation?: ValidationReport;
  readonly findings: readonly Finding[];
  readonly seconds: number;
}

/** What a recipe did; sizes, tensors and validation are those of the output next to the input. */
export interface PipelineReport extends WriteReport {
  readonly command: 'pipeline';
  readonly recipe: { readonly file: string; readonly name?: string };
  readonly steps: readonly StepEntry[];
  /** The step whose gate said no, from 1; 0: that of the whole. */
  readonly failedStep?: number;
  /** Where finished steps are kept: the next run goes on there. */
  readonly work?: string;
  /** Of the output next to the input. */
  readonly speed?: SpeedReport;
  /** Accuracy of the input less that of the output, with labels. */
  readonly accuracyDrop?: number;
}
