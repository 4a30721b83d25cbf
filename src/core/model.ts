import type { Finding } from '../errors.js';
import type { OnnxGraph } from './graph.js';
import type { TensorSource } from './tensor.js';
import type { TrainingState } from './training.js';

/** JSON-like metadata. Formats that only know strings refuse or stringify the rest (a finding says so). */
export type MetadataValue =
  | string
  | number
  | bigint
  | boolean
  | null
  | readonly MetadataValue[]
  | ReadonlyMap<string, MetadataValue>;

/** A model that has been opened: headers were read, tensor bytes were not. */
export interface Model {
  /** Id of the format it was read from. */
  readonly format: string;
  readonly formatVersion?: string;
  /** Every tensor under every name, aliases included, in file order. Names are unique. */
  readonly tensors: readonly TensorSource[];
  /** Tied tensors: name → canonical name. Both are in `tensors` and pull the same bytes. */
  readonly aliases: ReadonlyMap<string, string>;
  readonly metadata: ReadonlyMap<string, MetadataValue>;
  /** Refers to tensors by name only. */
  readonly graph?: OnnxGraph;
  readonly training?: TrainingState;
  /**
   * Parts of the file that we do not know but may copy: the writer of the same format keeps them
   * (native checkpoint: manifest fields of a newer minor version).
   */
  readonly unknown?: { readonly format: string; readonly parts: readonly Uint8Array[] };
  /** Content id as the file records it (native checkpoint): a claim until tensors are hashed. */
  readonly recordedContent?: string;
  /** The file holds differences to another model. */
  readonly delta?: DeltaInfo;
  /** What the reader noticed. */
  readonly findings: readonly Finding[];
}

/** What a delta says of its base and of itself. */
export interface DeltaInfo {
  /** Content id of the base (hex). */
  readonly base: string;
  /** Deltas on top of each other until a whole model is reached, this one included. */
  readonly depth: number;
  /** Name of the base's file as the writer saw it: where to look first. */
  readonly file?: string;
  /** What was given up, in words, if the delta is not exact. */
  readonly lossy?: string;
}

export const tensorMap = (model: Model): Map<string, TensorSource> =>
  new Map(model.tensors.map((tensor) => [tensor.info.name, tensor]));
