import type { DType } from '../../core/dtype.js';
import type { AttributeValue } from '../build.js';
import type { EditNode, GraphEdit } from '../edit.js';
import type { DynamicRemarks } from './dynamic-remarks.js';
import type { DynamicWeights } from './dynamic-weights.js';
import type { QuantizeSettings } from './types.js';

/** ONNX number of f32, for Cast. */
const FLOAT = 1n;

/** A value of the graph as 8-bit integers. */
export interface DynamicActivation {
  readonly integers: string;
  readonly scale: string;
  readonly zeroPoint: string;
}

/** What a node becomes: nodes in order, the last ones make its outputs. */
export type NodeList = EditNode[];

/**
 * The graph that the pass rewrites, and what its nodes share. Only standard operators are made: the runtime itself
 * joins MatMulInteger, Cast, Mul and Add into DynamicQuantizeMatMul or MatMulIntegerToFloat when it loads the graph
 * (measured: the same speed as with com.microsoft operators in the file), and other programs can read it too.
 */
export class DynamicGraph {
  readonly edit: GraphEdit;
  readonly settings: QuantizeSettings;
  readonly weights: DynamicWeights;
  readonly remarks: DynamicRemarks;
  /** Nodes between a weight and its product that are done beforehand: superfluous, once nothing else takes them. */
  readonly passed = new Set<EditNode>();
  readonly #producers: ReadonlyMap<string, EditNode>;
  readonly #activations = new Map<string, DynamicActivation>();
  readonly #constants = new Map<string, string>();

  constructor(edit: GraphEdit, settings: QuantizeSettings, weights: DynamicWeights, remarks: DynamicRemarks) {
    this.edit = edit;
    this.settings = settings;
    this.weights = weights;
    this.remarks = remarks;
    this.#producers = edit.producers();
  }

  producer(name: string): EditNode | undefined {
    return this.#producers.get(name);
  }

  /** Quantizes a value where the first node needs it; the nodes after it find it made. */
  activation(name: string, into: NodeList): DynamicActivation {
    const known = this.#activations.get(name);
    if (known) return known;
    const made = {
      integers: this.edit.fresh(`${name}_quantized`),
      scale: this.edit.fresh(`${name}_scale`),
      zeroPoint: this.edit.fresh(`${name}_zero_point`),
    };
    const outputs = [made.integers, made.scale, made.zeroPoint];
    into.push(this.edit.make({ op: 'DynamicQuantizeLinear', inputs: [name], outputs }));
    this.#activations.set(name, made);
    return made;
  }

  /** A node with one output, whose name it gives. */
  step(
    into: NodeList,
    op: string,
    inputs: readonly string[],
    output: string,
    attributes: Readonly<Record<string, AttributeValue>> = {},
  ): string {
    into.push(this.edit.make({ op, inputs, outputs: [output], attributes }));
    return output;
  }

  /** An f32 scalar as an initializer. */
  scalar(value: number): string {
    const bytes = new Uint8Array(Float32Array.of(value).buffer);
    return this.constant(`scalar_${value}`, 'f32', [], bytes);
  }

  /** An initializer, made once under each name. */
  constant(wanted: string, dtype: DType, shape: readonly number[], bytes: Uint8Array): string {
    const known = this.#constants.get(wanted) ?? this.edit.addBytes(wanted, dtype, shape, bytes);
    this.#constants.set(wanted, known);
    return known;
  }

  /** Sums of products as floats: times the scale of the activation and that of the weight. */
  scaled(into: NodeList, sums: string, activationScale: string, weightScale: string, output: string): string {
    const fresh = (what: string): string => this.edit.fresh(`${output}_${what}`);
    const floats = this.step(into, 'Cast', [sums], fresh('float'), { to: FLOAT });
    // In this order and shape the runtime recognizes the pattern.
    const scale = this.step(into, 'Mul', [activationScale, weightScale], fresh('scale'));
    return this.step(into, 'Mul', [floats, scale], output);
  }
}

/** Attributes of a node by name. */
export const intOf = (node: EditNode, name: string, absent: number): number =>
  Number(node.attribute.find((one) => one.name === name)?.i ?? absent);

export const floatOf = (node: EditNode, name: string, absent: number): number =>
  node.attribute.find((one) => one.name === name)?.f ?? absent;

export const labelOf = (node: EditNode): string => node.name || node.output[0] || (node.opType ?? 'node');
