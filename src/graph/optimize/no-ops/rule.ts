import type { NodeProto } from '../../../formats/onnx/schema.js';
import type { WorkGraph } from '../work-graph.js';

/** The value that a node's first output equals bit for bit; undefined where that is not sure. */
export type Rule = (graph: WorkGraph, node: NodeProto) => string | undefined | Promise<string | undefined>;

/** Rules by operator. */
export type Rules = Readonly<Record<string, Rule>>;
