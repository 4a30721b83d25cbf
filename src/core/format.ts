import type { Finding } from '../errors.js';
import type { InputFiles, OutputFiles } from '../io/files.js';
import type { DType } from './dtype.js';
import type { DeltaInfo, Model } from './model.js';
import type { Prediction } from './prediction.js';
import type { Provenance } from './provenance.js';
import type { Rides, SharedWork } from './shared-work.js';
import type { TensorSource } from './tensor.js';

/** Told about bytes as they move; the command line draws it, the library may ignore it. */
export interface Progress {
  /** A new stage of work over `totalBytes` (0 = unknown). */
  stage(title: string, totalBytes: number): void;
  advance(bytes: number): void;
}
export const NO_PROGRESS: Progress = { stage() {}, advance() {} };

/** What every long operation is given. */
export interface WorkContext extends ReadContext {
  /** Worker threads; 1 = no workers. Output bytes never depend on it. */
  readonly threads: number;
  /** Upper bound of bytes in flight. */
  readonly maxMemory: number;
  readonly progress: Progress;
  /** Present where others make something of the same files at the same time. */
  readonly shared?: SharedWork;
  /** Present where others wait for what is read. */
  readonly rides?: Rides;
}

/** What readers are given. */
export interface ReadContext {
  readonly signal?: AbortSignal;
  /** Worker threads that may decode what is read later; absent: none. */
  readonly threads?: number;
  /** Finds the model that a delta builds on; undefined if it is nowhere. */
  readonly findBase?: (delta: DeltaInfo, files: InputFiles) => Promise<Model | undefined>;
  /** 32 bytes that open encrypted native checkpoints. */
  readonly key?: Uint8Array;
}

/** Options of writers; each writer reads the ones that concern it and ignores the rest. */
export interface WriteOptions {
  /** Bytes a shard may hold (safetensors, pytorch). */
  readonly shardSize?: number;
  /** ONNX: weights beside the graph; `true` = `<name>.data`, undefined = automatic (inline until 2 GiB). */
  readonly externalData?: boolean;
  /** ONNX: data files with names of their own; one that is there already is replaced as the model is. */
  readonly dataFiles?: DataFiles;
  /** ONNX: name of a safetensors file in the output folder that holds the weights. */
  readonly weightsFile?: string;
  /** ONNX: tensors whose bytes already lie in a file of the same family (name → file and byte offset). */
  readonly pointAt?: ReadonlyMap<string, { readonly file: string; readonly offset: number }>;
  /** ONNX: initializers that are stored as positions and values: how many elements are not all zero bits, by name. */
  readonly sparse?: ReadonlyMap<string, number>;
  /** npz, mlck: compress. */
  readonly compress?: boolean;
  /** mlck, compressed: how hard to try, and which codecs may be used. */
  readonly codecs?: CodecChoice;
  /** mlck: 32 bytes; chunks and manifest are encrypted. */
  readonly key?: Uint8Array;
  /** mlck: written as differences to this model. */
  readonly delta?: DeltaBase;
  /** mlck: where the model comes from; goes before what its metadata says (core/provenance.ts). */
  readonly provenance?: Provenance;
}

/** Files beside a graph that hold its weights. */
export interface DataFiles {
  readonly name: (index: number) => string;
  /** How many there can be: those of an older, larger model go when it is replaced. */
  readonly most: number;
  /** What one may hold; a single tensor may be larger. */
  readonly bytes: number;
}

/** How chunks may be coded. */
export interface CodecChoice {
  /** 1: the fast codecs of our own. 2 and more: zstd is tried everywhere too. */
  readonly level: number;
  /** Only these, by name (raw is always allowed). */
  readonly only?: readonly string[];
}

/** What a delta is written against. */
export interface DeltaBase {
  readonly model: Model;
  /** Content id, and SHA-256 (hex) by tensor name. */
  readonly content: string;
  readonly hashes: ReadonlyMap<string, string>;
  /** Of the delta that is written. */
  readonly info: DeltaInfo;
  /** Tensors that are rounded on the way: what they were, and how. The model to write has what comes out. */
  readonly lossy?: ReadonlyMap<string, LossyTensor>;
  /** Tensors that are written as differences to what is predicted, not to what the base has. */
  readonly predictions?: ReadonlyMap<string, Prediction>;
}

export interface LossyTensor {
  readonly original: TensorSource;
  readonly method: LossyMethod;
}

/** How differences are rounded: to bf16, or to 8 bits with a scale for every 1024 of them. */
export type LossyMethod = 'bf16-delta' | 'int8-delta';

export interface WriteContext extends WorkContext {
  readonly options: WriteOptions;
  /** Told what a writer could only see while it wrote (a data file that stays behind under its old name). */
  readonly notice?: (finding: Finding) => void;
  /** Told how tensors were stored, by a writer that has a choice. */
  readonly stored?: (tensors: readonly StoredTensor[]) => void;
}

/** How the bytes of one tensor were stored. */
export interface StoredTensor {
  readonly name: string;
  /** Chunks of its own; another tensor's or the base's bytes; another name of a tensor. */
  readonly kind: 'stored' | 'twin' | 'base' | 'alias';
  readonly byteLength: number;
  /** Bytes of elements that differ from the base. */
  readonly changed: number;
  /** Bytes before and after, by codec. */
  readonly codecs: ReadonlyMap<string, { readonly bytesIn: number; readonly bytesOut: number }>;
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
