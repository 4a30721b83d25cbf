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
