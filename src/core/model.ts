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
  /** What the reader noticed. */
  readonly findings: readonly Finding[];
}

export const tensorMap = (model: Model): Map<string, TensorSource> =>
  new Map(model.tensors.map((tensor) => [tensor.info.name, tensor]));
