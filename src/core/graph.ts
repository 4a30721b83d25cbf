/**
 * A computation graph, seen by the layers that need not know protobuf. The ONNX format fills it; passes in
 * `graph/` rewrite it. Tensors are referred to by name only (`Model.tensors` holds them).
 */
export interface OnnxValueInfo {
  readonly name: string;
  /** Element type as a DType name, or `optional(…)`, `sequence(…)`, `map(…)` text. */
  readonly dtype: string;
  /** Fixed dimensions are numbers, symbolic ones their name, unknown ones null. undefined: no shape given. */
  readonly shape: readonly (number | string | null)[] | undefined;
}

export interface OnnxGraph {
  readonly irVersion: number;
  /** Domain → version; the default domain is ''. */
  readonly opsets: ReadonlyMap<string, number>;
  readonly producer: string;
  readonly name: string;
  /** Real inputs: those with an initializer of the same name are not listed. */
  readonly inputs: readonly OnnxValueInfo[];
  readonly outputs: readonly OnnxValueInfo[];
  /** Nodes of the main graph. */
  readonly nodes: number;
  /** Operator → count, sub-graphs and functions included. Those of other domains are `domain::Op`. */
  readonly ops: ReadonlyMap<string, number>;
  readonly functions: number;
  readonly subgraphs: number;
  /**
   * The decoded ModelProto without large tensor data, opaque to everything but formats/onnx and graph/.
   * Immutable: a pass clones what it changes.
   */
  readonly proto: unknown;
}
