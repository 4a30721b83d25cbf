import type { Finding } from '../errors.js';
import type { InputFiles, OutputFiles } from '../io/files.js';
import type { DType } from './dtype.js';
import type { Model } from './model.js';
import type { Provenance } from './provenance.js';

/** Told about bytes as they move; the command line draws it, the library may ignore it. */
export interface Progress {
  /** A new stage of work over `totalBytes` (0 = unknown). */
  stage(title: string, totalBytes: number): void;
  advance(bytes: number): void;
}
export const NO_PROGRESS: Progress = { stage() {}, advance() {} };

/** What every long operation is given. */
export interface WorkContext {
  /** Worker threads; 1 = no workers. Output bytes never depend on it. */
  readonly threads: number;
  /** Upper bound of bytes in flight. */
  readonly maxMemory: number;
  readonly progress: Progress;
  readonly signal?: AbortSignal;
}

export interface ReadContext {
  readonly signal?: AbortSignal;
  /** Worker threads that may decode what is read later; absent: none. */
  readonly threads?: number;
}

/** Options of writers; each writer reads the ones that concern it and ignores the rest. */
export interface WriteOptions {
  /** Bytes a shard may hold (safetensors, pytorch). */
  readonly shardSize?: number;
  /** ONNX: weights beside the graph; `true` = `<name>.data`, undefined = automatic (inline until 2 GiB). */
  readonly externalData?: boolean;
  /** ONNX: name of a safetensors file in the output folder that holds the weights. */
  readonly weightsFile?: string;
  /** ONNX: tensors whose bytes already lie in a file of the same family (name → file and byte offset). */
  readonly pointAt?: ReadonlyMap<string, { readonly file: string; readonly offset: number }>;
  /** npz, mlck: compress. */
  readonly compress?: boolean;
  /** mlck: where the model comes from; goes before what its metadata says (core/provenance.ts). */
  readonly provenance?: Provenance;
}

export interface WriteContext extends WorkContext {
  readonly options: WriteOptions;
  /** Told what a writer could only see while it wrote (a data file that stays behind under its old name). */
  readonly notice?: (finding: Finding) => void;
}

export interface ModelReader {
  /** Reads headers only. */
  read(files: InputFiles, context: ReadContext): Promise<Model>;
}

export interface ModelWriter {
  /** What would be lost (warning), or cannot be written (error), told before a byte moves. */
  check(model: Model, options: WriteOptions): readonly Finding[];
  /** Header from TensorInfo first, then each tensor pulled once, in order. */
  write(model: Model, files: OutputFiles, context: WriteContext): Promise<void>;
}

/** 0 not mine · 1 could be (extension only) · 2 likely · 3 certain (magic bytes). */
export type SniffScore = 0 | 1 | 2 | 3;

export interface FormatDescriptor {
  readonly id: string;
  readonly title: string;
  /** With the dot, lower case; the first is the preferred one. */
  readonly extensions: readonly string[];
  /** Types that the writer can store. */
  readonly dtypes: ReadonlySet<DType>;
  /** What besides tensors survives in this format. */
  readonly keeps: {
    readonly metadata: boolean;
    readonly aliases: boolean;
    readonly training: boolean;
    readonly graph: boolean;
  };
  /** `head` is the first 64 KiB at most. */
  sniff(head: Uint8Array, name: string, size: number): SniffScore;
  reader(): Promise<ModelReader>;
  writer?(): Promise<ModelWriter>;
}
