import type { DeltaInfo, MetadataValue } from '../../core/model.js';
import type { Prediction } from '../../core/prediction.js';
import type { Provenance } from '../../core/provenance.js';
import type { TensorRole } from '../../core/tensor.js';
import type { TrainingState } from '../../core/training.js';

/** What a manifest says of one name (schemas/checkpoint.proto, Tensor), as it stands there. */
export interface TensorRecord {
  readonly name: string;
  readonly role: TensorRole | undefined;
  /** Set: nothing else is. */
  readonly aliasOf: string | undefined;
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly byteLength: number;
  /** Hexadecimal; '' where the record has none. */
  readonly sha256: string;
  readonly sameBytesAs: string | undefined;
  readonly offset: number;
  readonly chunkBytes: number;
  readonly crcs: readonly number[];
  readonly codecs: readonly number[];
  readonly storedLengths: readonly number[];
  /** CRC-32 of the canonical bytes: of every chunk of a tensor that has chunks with a base, or of the whole. */
  readonly rawCrcs: readonly number[];
  /** Deltas: the tensor of the base that chunks build on, or whose bytes these are. */
  readonly base: string | undefined;
  /** Deltas: the bytes are those of the base's tensor. */
  readonly sameAsBase: boolean;
  /** Deltas: chunks build on what is predicted from the base's tensor, not on the tensor. */
  readonly prediction: Prediction | undefined;
  /** Encryption: 12 and 16 bytes a chunk. */
  readonly nonces: Uint8Array;
  readonly tags: Uint8Array;
}

export const ALIAS_RECORD = {
  dtype: '',
  shape: [],
  byteLength: 0,
  sha256: '',
  sameBytesAs: undefined,
  offset: 0,
  chunkBytes: 0,
  crcs: [],
  codecs: [],
  storedLengths: [],
  rawCrcs: [],
  base: undefined,
  sameAsBase: false,
  prediction: undefined,
  nonces: new Uint8Array(),
  tags: new Uint8Array(),
} as const;

/** What a tensor without bytes of its own says of its storage. */
export const NO_STORAGE = {
  ...{ offset: 0, chunkBytes: 0, crcs: [], codecs: [], storedLengths: [], rawCrcs: [] },
  ...{ base: undefined, sameAsBase: false, prediction: undefined },
  ...{ nonces: ALIAS_RECORD.nonces, tags: ALIAS_RECORD.tags },
} as const;

export interface Manifest {
  readonly tensors: readonly TensorRecord[];
  readonly metadata: ReadonlyMap<string, MetadataValue>;
  readonly training: TrainingState | undefined;
  readonly provenance: Provenance | undefined;
  /** Hexadecimal. */
  readonly contentId: string;
  /** The file holds differences to another model. */
  readonly delta: DeltaInfo | undefined;
  /** Fields that we do not know but must keep: numbers from FIRST_KEPT_FIELD on. */
  readonly kept: readonly Uint8Array[];
  /** Numbers of fields that we do not know and drop when we rewrite the file. */
  readonly skipped: ReadonlySet<number>;
}

/** Unknown manifest fields from this number on depend on nothing else and are copied. */
export const FIRST_KEPT_FIELD = 1000;

/** Roles by their number in the schema, from 1 on. */
export const ROLES: readonly TensorRole[] = ['parameter', 'buffer', 'optimizer', 'constant'];

/** Kinds of predictions by their number in the schema, from 1 on. */
export const PREDICTIONS: readonly Prediction['kind'][] = ['adam-weight', 'adam-second'];
