import type { Finding } from '../errors.js';
import type { OutputComparison } from '../runtime/metrics.js';

export type { OutputComparison };

export type ValidationLevel = 'none' | 'structure' | 'weights' | 'run';

/** The error of one tensor that was changed by a lossy step, against the tensor it came from. */
export interface TensorErrorMetrics {
  readonly maxAbs: number;
  readonly maxRel: number;
  readonly rmse: number;
  readonly sqnrDb: number | null;
  readonly cosine: number | null;
}

/** The `validation` object of reports (JSON-safe). */
export interface ValidationReport {
  readonly level: ValidationLevel;
  readonly device: string;
  readonly passed: boolean;
  /** The staged file was opened again and holds what was meant. */
  readonly structure?: boolean;
  readonly weights?: {
    readonly checked: number;
    readonly equal: number;
    readonly lossy: number;
    readonly worst: { readonly name: string; readonly maxAbs: number; readonly rmse: number } | null;
  };
  readonly run?: {
    readonly outputs: readonly OutputComparison[];
    /** Tolerance that outputs had to meet. */
    readonly tolerance?: number;
    /** Outputs beyond the tolerance passed with a cosine of so much: rounded weights move single elements. */
    readonly passingCosine?: number;
    /** Where the feeds came from: `generated` from the input metadata with a fixed seed, or a file. */
    readonly feeds?: string;
    readonly samples?: number;
    /** Weights without a graph: tensors that the runtime read from the written bytes itself, and as fed inputs. */
    readonly tensorsRead?: number;
    readonly tensorsFed?: number;
    /** Reference that outputs were compared with: the source graph, a file of expected outputs, or none. */
    readonly reference?: string;
  };
  readonly accuracy?: { readonly before?: number; readonly after: number; readonly samples: number };
}

/** What the gate hands back to the operation. */
export interface GateResult {
  readonly report: ValidationReport;
  /** Why it failed, and what is worth knowing. */
  readonly findings: readonly Finding[];
  /** By tensor name, for tensors changed by a lossy step. */
  readonly tensorErrors: ReadonlyMap<string, TensorErrorMetrics>;
}
