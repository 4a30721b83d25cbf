import { ZIP_LIMITS } from '../io/zip/limits.js';

/**
 * Named limits. Each is written down here, tested, and named in the message of the E_LIMIT that it raises.
 * They bound what a hostile file can make us allocate, loop over or recurse into.
 */
export const LIMITS = {
  /** safetensors header, as the reference implementation has it. */
  SAFETENSORS_HEADER_BYTES: 100_000_000,
  /** `*.index.json` of a sharded model, as huggingface_hub has it. */
  INDEX_JSON_BYTES: 10 * 1024 * 1024,
  /** Nesting of JSON documents read from model files (serde's default). */
  JSON_DEPTH: 128,
  /** Tensors in one model. */
  TENSORS: 4_000_000,
  /** Dimensions of one tensor. */
  RANK: 64,
  /** Nested protobuf messages (protobuf's own default). */
  PROTOBUF_DEPTH: 100,
  /** Bytes of an ONNX file that are not tensor data and so are decoded in memory. */
  ONNX_STRUCTURE_BYTES: 512 * 1024 * 1024,
  /** Largest single protobuf message, and so largest `.onnx` with inline weights. */
  PROTOBUF_BYTES: 2 ** 31 - 1,
  /** data.pkl of a `.pt`. */
  PICKLE_BYTES: 256 * 1024 * 1024,
  /** Objects built while interpreting one pickle. */
  PICKLE_OBJECTS: 20_000_000,
  /** Nesting of the object tree of one pickle. */
  PICKLE_DEPTH: 1_000,
  /** Values of one pickle that are reached again through containers that are in it more than once. */
  PICKLE_SHARED: 200_000,
  ...ZIP_LIMITS,
  /** npy header. */
  NPY_HEADER_BYTES: 1024 * 1024,
  /** Manifest of a native checkpoint. */
  MANIFEST_BYTES: 512 * 1024 * 1024,
  /** Values in one tree (metadata, training state) of a native checkpoint. */
  TREE_NODES: 4_000_000,
  /** Nesting of such a tree; as deep as a pickle may be. */
  TREE_DEPTH: 1_000,
  /** Deltas on top of each other. */
  DELTA_DEPTH: 256,
  /** Steps in the index of a run folder, and the size of that file. */
  RUN_STEPS: 100_000,
  RUN_INDEX_BYTES: 256 * 1024 * 1024,
  /** One input made up, or read from an npz, for a run. */
  FEED_BYTES: 512 * 1024 * 1024,
  /** One view of a storage may be at most this many times the bytes that are really there (stride 0). */
  VIEW_EXPANSION_BYTES: 64 * 1024 * 1024 * 1024,
  /** One tensor's difference in a delta of another trainer, and its zstd form beside it: both are held in memory. */
  DELTA_ZSTD_BYTES: 1792 * 1024 * 1024,
} as const;
export type LimitName = keyof typeof LIMITS;
