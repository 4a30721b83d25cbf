import type { NodeProto } from '../../../formats/onnx/schema.js';
import { inputOf, outputOf } from '../../opset/attributes.js';
import { bases, isPolynomial, near, polynomialOf, productWith, scalarBeside } from '../polynomial.js';
import type { WorkGraph } from '../work-graph.js';

/** Hendrycks & Gimpel, "Gaussian Error Linear Units": √½, and √(2/π), 0.044715 of the approximation with tanh. */
const ROOT_HALF = Math.SQRT1_2;
const TANH = [0, Math.sqrt(2 / Math.PI), 0, Math.sqrt(2 / Math.PI) * 0.044715];

export interface GeluMatch {
  readonly form: 'none' | 'tanh';
  readonly x: string;
  readonly inner: readonly NodeProto[];
  readonly last: NodeProto;
}

/**
 * x/2·(1 + erf(x/√2)) or x/2·(1 + tanh(√(2/π)(x + 0.044715x³))) around an Erf or Tanh, f32, whatever the order of
 * products and sums: PyTorch, TensorFlow and JAX all spell it another way.
 */
export async function geluAround(graph: WorkGraph, node: NodeProto): Promise<GeluMatch | undefined> {
  const form = graph.op(node) === 'Erf' ? 'none' : 'tanh';
  const u = inputOf(node, 0);
  const sum = await onePlus(graph, outputOf(node, 0));
  if (!sum) return undefined;
  for (const x of bases(graph, u)) {
    const inside = await polynomialOf(graph, u, x);
    const wanted = form === 'none' ? [0, ROOT_HALF] : TANH;
    if (!inside || !isPolynomial(inside, ...wanted.map((term) => term * sum.sign))) continue;
    const product = await productWith(graph, outputOf(sum.node, 0), x, 0.5);
    if (!product) continue;
    return { form, x, inner: [...inside.nodes, node, sum.node, ...product.nodes], last: product.last };
  }
  return undefined;
}

/** 1 + value, or 1 − value: the functions are odd. */
async function onePlus(
  graph: WorkGraph,
  value: string | undefined,
): Promise<{ readonly node: NodeProto; readonly sign: 1 | -1 } | undefined> {
  const node = graph.soleTaker(value);
  const op = graph.op(node);
  if (!node || (op !== 'Add' && op !== 'Sub')) return undefined;
  const first = inputOf(node, 0) === value;
  if (op === 'Sub' && first) return undefined;
  const scalar = await scalarBeside(graph, inputOf(node, first ? 1 : 0), value);
  return scalar !== undefined && near(scalar, 1) ? { node, sign: op === 'Add' ? 1 : -1 } : undefined;
}
