import type { Finding } from '../../errors.js';

/** How a value found its counterpart in the reference. */
export type MatchedBy = 'name' | 'map' | 'structure' | 'figures';

/** A value of the main graph, in an order in which values are computed. Figures are null where they are infinite. */
export interface TracedValue {
  readonly name: string;
  /** The node that makes it (`<operator>_<position>` where it has no name), and its operator. */
  readonly node: string;
  readonly op: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  /** Elements that are NaN or infinite. */
  readonly nonFinite: number;
  /** Absent: it has no counterpart. */
  readonly counterpart?: {
    readonly name: string;
    readonly by: MatchedBy;
    readonly maxAbs: number;
    readonly maxRel: number;
    readonly rmse: number;
    readonly cosine: number | null;
    readonly neededTolerance: number;
    readonly nonFinite: number;
    readonly same: boolean;
    /** Why no figures could be taken. */
    readonly reason?: string;
  };
}

/** An input of the first node that differs. */
export interface TracedInput {
  readonly name: string;
  readonly kind: 'input' | 'value' | 'weight';
  /** undefined: it has no counterpart, so nothing is known. */
  readonly same?: boolean;
  readonly maxAbs?: number;
  readonly cosine?: number | null;
  /** Without a reference: its elements that are NaN or infinite. */
  readonly nonFinite?: number;
}

export interface FirstDifference {
  /** `fails`: the runtime refuses the node, or fails or crashes at it. */
  readonly kind: 'differs' | 'not-finite' | 'fails';
  readonly value: string;
  readonly node: string;
  readonly op: string;
  readonly inputs: readonly TracedInput[];
  /**
   * What is to blame: a weight that differs, the node itself (all it takes is the same), its inputs (they differ
   * already, within the tolerance, or are not finite), or one of `between`: nodes since the last values that were compared.
   */
  readonly blame: 'weight' | 'node' | 'inputs' | 'between';
  readonly between: readonly string[];
  /** What the runtime says, where it fails. */
  readonly message?: string;
}

export interface TraceReport {
  readonly command: 'trace';
  readonly path: string;
  /** The reference model; the model itself on another device; null: values only had to be finite. */
  readonly reference: string | null;
  readonly device: string;
  readonly referenceDevice?: string;
  /** A file, or `generated`. */
  readonly feeds: string;
  readonly samples?: number;
  readonly tolerance?: number;
  /** Values beyond the tolerance pass with a cosine of so much: weights are rounded. */
  readonly passingCosine?: number;
  /** How many values have a counterpart, and by what. */
  readonly matched: { readonly values: number; readonly of: number } & Readonly<Record<MatchedBy, number>>;
  readonly values: readonly TracedValue[];
  readonly first: FirstDifference | null;
  /** Nothing differs; without a reference, everything is finite. */
  readonly same: boolean;
  readonly findings: readonly Finding[];
  readonly seconds: number;
}
