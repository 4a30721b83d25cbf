import type { TensorSource } from '../../core/tensor.js';
import { encoded } from '../../kernels/quantize/codes.js';
import { reciprocal, scaledTensor } from '../../kernels/quantize/scaled.js';
import type { GraphEdit } from '../edit.js';
import { intOf } from '../opset/attributes.js';
import { type Foldable, foldableScales } from './foldable-scales.js';
import type { QuantizedTensor } from './types.js';
import type { Weight } from './weights.js';

/** Weights that are multiplied with the same value, along its last axis. */
export interface FedTogether {
  readonly value: string;
  readonly size: number;
  readonly weights: readonly Weight[];
}

/** Matrices by the value that they alone are multiplied with. */
export function fedTogether(weights: readonly Weight[]): readonly FedTogether[] {
  const groups = new Map<string, Weight[]>();
  for (const weight of weights) {
    const { op, shape, shared, nodes } = weight;
    if ((op !== 'MatMul' && op !== 'Gemm') || shape.length !== 2 || shared) continue;
    const values = new Set(nodes.map(({ input: [value = ''] }) => value));
    const [value = ''] = values;
    const turned = nodes.some((node) => node.opType === 'Gemm' && (intOf(node, 'transA') ?? 0n) !== 0n);
    if (values.size === 1 && !turned) groups.set(value, [...(groups.get(value) ?? []), weight]);
  }
  return [...groups].map(([value, own]) => {
    const [first] = own;
    return { value, size: first?.shape[first.sums] ?? 0, weights: own };
  });
}

/**
 * Moves scales from what layers are fed with into their weights: x·W = (x / s)·(s·W). The division goes into what makes
 * x where that is a constant along the last axis (the weights of a normalization or of the layer before, also through
 * additions, products and a Relu), else into a Mul node.
 */
export class ScaledInputs {
  readonly #edit: GraphEdit;
  readonly #mayChange: (name: string) => boolean;
  readonly #scalings = new Map<string, { readonly axis: number; readonly factors: Float64Array }[]>();
  /** How many divisions could be folded, and how many became a node. */
  readonly counts = { folded: 0, added: 0 };

  /** `mayChange`: constants that scales may be folded into. */
  constructor(edit: GraphEdit, mayChange: (name: string) => boolean) {
    this.#edit = edit;
    this.#mayChange = mayChange;
  }

  /** Divides the value by the scales, for these weights. */
  apply({ value, weights }: FedTogether, scales: Float64Array): void {
    const edit = this.#edit;
    const takers = new Set<string>(weights.map(({ name }) => name));
    const consumers = edit.consumers().get(value) ?? [];
    const alone = consumers.every(({ input: [, weight = ''] }) => takers.has(weight));
    const folds = alone ? foldableScales(edit, value, scales.length, this.#mayChange) : undefined;
    for (const { name, sums } of weights) this.#scale(name, sums, scales);
    if (folds) {
      for (const fold of folds) this.#fold(fold, reciprocal(scales));
      this.counts.folded++;
      return;
    }
    this.counts.added++;
    const dtype = edit.tensor(weights[0]?.name ?? '')?.info.dtype ?? 'f32';
    const factors = edit.addBytes(
      `${value}_smooth`,
      dtype,
      [scales.length],
      encoded(dtype, reciprocal(scales)),
    );
    const divided = edit.fresh(`${value}_smoothed`);
    const mul = edit.make({
      op: 'Mul',
      inputs: [value, factors],
      outputs: [divided],
      name: edit.fresh('Smooth'),
    });
    let placed = false;
    edit.rewrite((node) => {
      const [left, weight = '', ...rest] = node.input;
      if (left !== value || !takers.has(weight)) return undefined;
      const taker = { ...node, input: [divided, weight, ...rest] };
      const nodes = placed ? [taker] : [mul, taker];
      placed = true;
      return nodes;
    });
  }

  /** What was quantized, with the weights as they were before they were scaled. */
  restored(tensor: QuantizedTensor): QuantizedTensor {
    const scalings = this.#scalings.get(tensor.name);
    if (!scalings) return tensor;
    const { loss: _, ...rest } = tensor;
    const dequantized = scalings.reduce<TensorSource>(
      (made, { axis, factors }) => scaledTensor(made, axis, reciprocal(factors)),
      tensor.dequantized,
    );
    return { ...rest, dequantized };
  }

  #scale(name: string, axis: number, factors: Float64Array): void {
    const tensor = this.#edit.tensor(name);
    if (!tensor) throw new Error(`${name} is not in the graph`);
    this.#edit.replaceTensor(name, scaledTensor(tensor, axis, factors));
    this.#scalings.set(name, [...(this.#scalings.get(name) ?? []), { axis, factors }]);
  }

  /** Multiplies the constants by the factors. */
  #fold({ name, axis, copy, input, output }: Foldable, factors: Float64Array): void {
    const edit = this.#edit;
    const tensor = edit.tensor(name);
    if (!copy || !tensor) {
      this.#scale(name, axis, factors);
      return;
    }
    const own = edit.add(`${name}_scaled`, scaledTensor(tensor, axis, factors));
    edit.rewrite((node) =>
      node.output.includes(output)
        ? [{ ...node, input: node.input.map((one) => (one === input ? own : one)) }]
        : undefined,
    );
  }
}
