import type { Finding } from '../errors.js';
import type { TensorStats } from '../kernels/statistics.js';
import type { ValidationReport } from '../validate/report.js';

/** The shapes of all reports: what `--json` prints, and what `schemas/reports` describes. Sizes are bytes. */

export interface FileEntry {
  readonly name: string;
  readonly bytes: number;
}

export interface DTypeTotals {
  readonly tensors: number;
  readonly parameters: number;
  readonly bytes: number;
}

export interface TensorEntry {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly bytes: number;
  readonly file?: string;
  readonly offset?: number;
  readonly aliasOf?: string;
  readonly role?: string;
  readonly sha256?: string;
  readonly stats?: TensorStats;
}

/** Metadata as JSON: integers past 2^53 are decimal strings. */
export type JsonValue =
  | string
  | number
  | boolean
  | null
  | readonly JsonValue[]
  | { readonly [key: string]: JsonValue };

export interface ValueInfoEntry {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly (number | string | null)[] | null;
}

export interface GraphEntry {
  readonly irVersion: number;
  readonly opsets: Record<string, number>;
  readonly producer: string;
  readonly inputs: readonly ValueInfoEntry[];
  readonly outputs: readonly ValueInfoEntry[];
  readonly nodes: number;
  readonly ops: Record<string, number>;
  readonly functions: number;
  readonly subgraphs: number;
}

export interface TrainingEntry {
  readonly step?: number;
  readonly epoch?: number;
  readonly loss?: number;
  readonly learningRate?: number;
  readonly optimizer?: string;
  /** The whole state as JSON, tensors as `{"tensor": name}`. */
  readonly state?: JsonValue;
}

export interface InspectReport {
  readonly command: 'inspect';
  readonly path: string;
  readonly format: string;
  /** null where the format has no versions (safetensors, npz). */
  readonly formatVersion: string | null;
  readonly files: readonly FileEntry[];
  readonly bytes: number;
  readonly parameters: number;
  readonly tensorBytes: number;
  readonly dtypes: Record<string, DTypeTotals>;
  readonly tensors: readonly TensorEntry[];
  readonly metadata: Record<string, JsonValue>;
  readonly graph?: GraphEntry;
  readonly training?: TrainingEntry;
  /** Content id, with `--hashes`. */
  readonly content?: string;
  /** The file holds differences to another model. */
  readonly delta?: {
    /** Content id of the base. */
    readonly base: string;
    readonly depth: number;
    readonly file?: string;
    readonly lossy?: string;
    /** Whether the base was found. */
    readonly found: boolean;
  };
  readonly findings: readonly Finding[];
}

export interface TensorError {
  readonly maxAbs: number;
  readonly maxRel: number;
  readonly rmse: number;
  readonly sqnrDb: number | null;
  readonly cosine: number | null;
}

export interface TensorAction {
  readonly name: string;
  readonly action: string;
  readonly dtypeIn: string;
  readonly dtypeOut: string;
  readonly shape: readonly number[];
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly error?: TensorError;
}

export interface WriteReport {
  readonly command: string;
  readonly input: string;
  readonly output: string;
  readonly format: string;
  readonly dryRun?: boolean;
  readonly bytesIn: number;
  readonly bytesOut: number;
  /** bytesIn ÷ bytesOut. */
  readonly ratio: number;
  readonly files: readonly FileEntry[];
  readonly tensors: readonly TensorAction[];
  readonly findings: readonly Finding[];
  readonly validation: ValidationReport;
  readonly seconds: number;
}

export interface ChecksumReport {
  readonly command: 'checksum';
  readonly files: readonly (FileEntry & { readonly path: string; readonly sha256: string })[];
  readonly content: string;
  readonly tensors: readonly {
    readonly name: string;
    readonly dtype: string;
    readonly shape: readonly number[];
    readonly sha256: string;
  }[];
  readonly findings: readonly Finding[];
}

export interface CheckReport {
  readonly command: 'checksum';
  readonly passed: boolean;
  /** Files, content ids and tensors that the manifest names. `found` is null where the thing is missing. */
  readonly checks: readonly {
    readonly kind: 'file' | 'content' | 'tensor';
    readonly name: string;
    readonly ok: boolean;
    readonly expected: string;
    readonly found: string | null;
  }[];
  readonly findings: readonly Finding[];
}

export interface TensorChange {
  readonly name: string;
  readonly reasons: readonly ('dtype' | 'shape' | 'values')[];
  readonly maxAbs?: number;
  readonly maxRel?: number;
  readonly rmse?: number;
  readonly cosine?: number | null;
  readonly changedFraction?: number;
  /** Old and new type and shape, where they differ. */
  readonly dtype?: readonly [string, string];
  readonly shape?: readonly [readonly number[], readonly number[]];
  /** The values differ, but within the tolerance that was given: not a reason. */
  readonly withinTolerance?: boolean;
}

export interface NameChanges {
  readonly added: readonly string[];
  readonly removed: readonly string[];
  readonly changed: readonly string[];
}

export interface DiffReport {
  readonly command: 'diff';
  readonly a: string;
  readonly b: string;
  readonly same: boolean;
  readonly tensors: {
    readonly added: readonly string[];
    readonly removed: readonly string[];
    readonly changed: readonly TensorChange[];
    /** Values that moved within the tolerance; they count as unchanged. */
    readonly tolerated?: readonly TensorChange[];
    readonly unchanged: number;
  };
  readonly metadata: NameChanges;
  readonly graph?: {
    readonly same: boolean;
    readonly nodes: readonly [number, number];
    readonly ops: { readonly added: Record<string, number>; readonly removed: Record<string, number> };
    readonly inputs: NameChanges;
    readonly outputs: NameChanges;
    readonly opsets: NameChanges;
  };
  readonly run?: ValidationReport['run'];
  readonly findings: readonly Finding[];
}

export interface ValidateReport {
  readonly command: 'validate';
  readonly path: string;
  readonly format: string;
  readonly passed: boolean;
  readonly validation: ValidationReport;
  readonly findings: readonly Finding[];
  readonly seconds: number;
}

export interface MetaReport {
  readonly command: 'meta';
  readonly path: string;
  readonly metadata: Record<string, JsonValue>;
  readonly changed?: readonly string[];
  readonly findings: readonly Finding[];
}

export interface CodecTotals {
  readonly tensors: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
}

export interface DeltaCreateReport extends WriteReport {
  readonly base: { readonly content: string };
  /** null: nothing was written. */
  readonly target: { readonly content: string | null };
  /** Tensors that are new, or whose bytes differ from the base's. */
  readonly changedTensors: number;
  /** Share of the elements (by bytes) that differ. */
  readonly changedFraction: number;
  /** What was used for how many tensors: codecs, and `base`, `twin` and `alias` for bytes that lie elsewhere. */
  readonly codecs: Record<string, CodecTotals>;
  readonly depth: number;
  /** Bytes of the tensors and of the file. */
  readonly tensorBytes: number;
  readonly lossy?: string;
}

export interface DeltaVerifyReport {
  readonly command: 'delta verify';
  readonly path: string;
  readonly passed: boolean;
  readonly checks: readonly {
    readonly name: string;
    readonly ok: boolean;
    readonly content: string | null;
    readonly error?: { readonly code: string; readonly message: string };
  }[];
  readonly findings: readonly Finding[];
  readonly seconds: number;
}

export interface DeltaLogEntry {
  readonly name: string;
  readonly step: number | null;
  readonly file: string;
  readonly content: string | null;
  /** null: whole by itself. */
  readonly base: string | null;
  readonly depth: number;
  readonly bytes: number;
  readonly tensorBytes: number;
  /** tensorBytes ÷ bytes. */
  readonly ratio: number;
}

export interface DeltaLogReport {
  readonly command: 'delta log';
  readonly path: string;
  readonly entries: readonly DeltaLogEntry[];
  readonly bytes: number;
  readonly tensorBytes: number;
  readonly ratio: number;
  readonly findings: readonly Finding[];
}

export interface DeltaAddReport extends Omit<DeltaCreateReport, 'base'> {
  readonly base: { readonly content: string } | null;
  readonly run: string;
  readonly name: string;
  readonly step: number | null;
  readonly keyframe: boolean;
}

export interface DeltaPruneReport {
  readonly command: 'delta prune';
  readonly path: string;
  readonly dryRun?: boolean;
  readonly kept: readonly string[];
  readonly dropped: readonly string[];
  /** Steps that were written again, because what they built on goes. */
  readonly rewritten: readonly string[];
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly findings: readonly Finding[];
}

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

export interface PruneReport extends WriteReport {
  readonly prune: {
    readonly method: string;
    /** magnitude, channels: what was ranked together. */
    readonly scope?: 'global' | 'tensor';
    /** channels: what they were ranked by. */
    readonly importance?: string;
    /** channels: of all groups; layers: blocks. */
    readonly channels?: { readonly before: number; readonly after: number };
    /** Share of zeros that was asked for; null where the method has none. */
    readonly asked: number | null;
    /** Share of zeros in all tensors that were pruned. */
    readonly sparsity: number;
    readonly zeros: number;
    readonly elements: number;
    /** Bytes of the tensors that were pruned, as plain numbers and as they are stored; null: not known. */
    readonly denseBytes: number;
    readonly storedBytes: number | null;
    /** Why the file is no smaller, or could be smaller still. */
    readonly reason?: string;
    readonly tensors: readonly PrunedTensorEntry[];
  };
  /** Accuracy before less accuracy after, with `--labels`. */
  readonly accuracyDrop?: number;
  /** With `--target-size`: sizes that could be had, the sum of the measured losses, and how many weights have each level. */
  readonly frontier?: readonly {
    readonly bytes: number;
    readonly loss: number;
    readonly levels: Readonly<Record<string, number>>;
  }[];
}

export interface PrunedTensorEntry {
  readonly name: string;
  readonly sparsity: number;
  readonly zeros: number;
  readonly elements: number;
  readonly denseBytes: number;
  readonly storedBytes: number | null;
  /** n:m: the axis along which neighbours were compared. */
  readonly axis?: string;
  /** low-rank: singular values that are kept, and their share of the sum of squares. */
  readonly rank?: number;
  readonly energy?: number;
  /** channels: of the group that this weight gives its name; how many parts it has that go together, and all weights in it. */
  readonly channels?: { readonly before: number; readonly after: number };
  readonly units?: number;
  readonly members?: readonly string[];
  /** layers, with samples: 1 − the mean cosine of what is before and behind the block. */
  readonly influence?: number;
  /** Why it takes as much as before. */
  readonly reason?: string;
}

export interface SensitivityReport {
  readonly command: 'sensitivity';
  readonly path: string;
  readonly scheme: string;
  /** Outputs were compared on made-up inputs: what it means for real ones is not known. */
  readonly synthetic: boolean;
  /** The weight whose quantization costs most comes first. */
  readonly layers: readonly {
    readonly name: string;
    readonly scheme: string;
    readonly bytesIn: number;
    readonly bytesOut: number;
    readonly weightSqnrDb: number | null;
    readonly cosine: number | null;
    readonly maxAbs: number;
    readonly sqnrDb: number | null;
    readonly accuracy?: number;
    readonly accuracyDrop?: number;
  }[];
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
