import type { Model } from '../../core/model.js';
import type { TensorSource } from '../../core/tensor.js';
import type { Fact } from './facts.js';
import type { WorkGraph } from './work-graph.js';

/**
 * How far a pass goes: `basic` gives the same numbers with fewer nodes, `extended` merges operators into others of
 * the ONNX standard (numbers may be rounded otherwise), `all` takes operators that only onnxruntime has.
 */
export const LEVELS = ['basic', 'extended', 'all'] as const;
export type Level = (typeof LEVELS)[number];

/** What a pass may ask of the runtime. */
export interface Services {
  /** Types and shapes of values of the main graph, as far as the runtime can infer them. */
  describe(model: Model, names: readonly string[]): Promise<ReadonlyMap<string, Fact>>;
  /**
   * The outputs of a model without inputs; undefined where the runtime cannot compute them. What comes back may be
   * kept: large results do not lie in memory.
   */
  evaluate(model: Model): Promise<ReadonlyMap<string, TensorSource> | undefined>;
}

export interface PassContext {
  readonly services: Services;
  /** Constants that folding makes may have so many bytes each. */
  readonly foldLimit: number;
}

interface Common {
  /** As `--passes` and `--skip` name it. */
  readonly name: string;
  /** What `--list` says: one line. */
  readonly summary: string;
  readonly level: Level;
}

/** Rewrites one graph: the main graph and each sub-graph in its turn. Gives the number of rewrites. */
export interface GraphPass extends Common {
  apply(graph: WorkGraph, context: PassContext): number | Promise<number>;
}

/** Rewrites the model before its graphs are looked at. */
export interface ModelPass extends Common {
  prepare(model: Model): Promise<{ readonly model: Model; readonly rewrites: number }>;
}

export type Pass = GraphPass | ModelPass;

export const isGraphPass = (pass: Pass): pass is GraphPass => 'apply' in pass;
