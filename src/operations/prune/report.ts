import type { WriteReport } from '../reports.js';

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
