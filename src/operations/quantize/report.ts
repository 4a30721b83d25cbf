import type { Finding } from '../../errors.js';
import type { ValidationReport } from '../../validate/report.js';
import type { FileEntry, WriteReport } from '../reports.js';

/** How fast the result is, and why. */
export interface SpeedReport {
  /** Median of a run on one sample, milliseconds. */
  readonly beforeMs: number;
  readonly afterMs: number;
  /** In the graph as the runtime optimises it: operators that compute with integers, and with floats. */
  readonly integerKernels: number;
  readonly floatKernels: number;
  readonly dequantize: number;
  readonly quantize: number;
  readonly layoutCopies: number;
  /** Type and name of the heavy operators that compute with floats, the first 50. */
  readonly floatNodes: readonly string[];
  readonly notes: readonly string[];
}

export interface QuantizeReport extends WriteReport {
  readonly speed?: SpeedReport;
  readonly scheme: string;
  /** Accuracy before less accuracy after, with `--labels`. */
  readonly accuracyDrop?: number;
  /** With `--target-size`: sizes that could be had, and the sum of the measured losses. */
  readonly frontier?: readonly {
    readonly bytes: number;
    readonly loss: number;
    readonly schemes: Readonly<Record<string, number>>;
  }[];
}

/** What it costs to quantize one weight and leave all others. */
export interface LayerLoss {
  readonly name: string;
  readonly scheme: string;
  readonly bytesIn: number;
  readonly bytesOut: number;
  /** Of the weight itself. */
  readonly weightSqnrDb: number | null;
  /** Of the worst output. */
  readonly cosine: number | null;
  readonly maxAbs: number;
  readonly sqnrDb: number | null;
  readonly accuracy?: number;
  readonly accuracyDrop?: number;
}

export interface SensitivityReport {
  readonly command: 'sensitivity';
  readonly path: string;
  readonly scheme: string;
  /** Outputs were compared on made-up inputs: what it means for real ones is not known. */
  readonly synthetic: boolean;
  /** The weight whose quantization costs most comes first. */
  readonly layers: readonly LayerLoss[];
  readonly findings: readonly Finding[];
  readonly seconds: number;
}

/** One file of a preset. */
export interface VariantEntry {
  /** As the client's option `dtype` names it. */
  readonly dtype: string;
  /** In the folder of the report. */
  readonly file: string;
  /** `none`: the model as it is. */
  readonly scheme: string;
  /** `source`: the input is that file. `failed`: nothing was written, findings say why. */
  readonly outcome: 'written' | 'source' | 'planned' | 'failed';
  /** The graph and its data files. */
  readonly files: readonly FileEntry[];
  /** Of all its files; of a failed one, what it would have had. */
  readonly bytes: number;
  /** Of the worst output, against those of the source. */
  readonly maxAbs?: number;
  readonly cosine?: number | null;
  readonly accuracy?: number;
  readonly accuracyDrop?: number;
  /** Median of a run on one sample, milliseconds. */
  readonly beforeMs?: number;
  readonly afterMs?: number;
  readonly findings: readonly Finding[];
  readonly validation?: ValidationReport;
}

/** Every variant of a model that a client loads. */
export interface PresetReport {
  readonly command: 'quantize';
  readonly preset: string;
  readonly input: string;
  /** The folder of the files. */
  readonly output: string;
  readonly dryRun?: boolean;
  readonly bytesIn: number;
  readonly variants: readonly VariantEntry[];
  /** What the client wants as `use_external_data_format`: data files of each graph that has some. */
  readonly externalData: Readonly<Record<string, number>>;
  /** About all of them. */
  readonly findings: readonly Finding[];
  readonly seconds: number;
}
