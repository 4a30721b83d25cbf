import type { NodeProto } from '../../formats/onnx/schema.js';
import { inputOf, outputOf } from '../opset/attributes.js';
import type { WorkGraph } from './work-graph.js';

/** Longest chain of nodes, and highest power, that activations are made of. */
const DEEPEST = 8;
const HIGHEST = 3;

/** c₀ + c₁x + c₂x² + c₃x³, and the nodes that compute it. */
export interface Polynomial {
  readonly terms: readonly number[];
  readonly nodes: readonly NodeProto[];
}

/**
 * A constant of one f32 number that does not change the shape of `beside` when the two are added or multiplied.
 * (f16 is left alone: operators that are merged round once where several rounded.)
 */
export async function scalarBeside(
  graph: WorkGraph,
  name: string | undefined,
  beside: string | undefined,
): Promise<number | undefined> {
  const tensor = graph.constant(name);
  if (tensor?.info.dtype !== 'f32' || tensor.byteLength !== 4) return undefined;
  const rank = tensor.info.shape.length;
  if (rank > 0 && rank > (graph.fact(beside).shape?.length ?? 0)) return undefined;
  return (await graph.value(name))?.numbers[0];
}

/**
 * `value` as a polynomial in `x`, in whatever order exporters multiply, divide, add and take powers: so that a pattern
 * is told by what it computes. undefined if it is none of degree 3 or less.
 */
export async function polynomialOf(
  graph: WorkGraph,
  value: string | undefined,
  x: string,
  depth = 0,
): Promise<Polynomial | undefined> {
  if (value === x) return { terms: [0, 1], nodes: [] };
  const scalar = await scalarBeside(graph, value, x);
  if (scalar !== undefined) return { terms: [scalar], nodes: [] };
  const node = depth < DEEPEST ? graph.maker(value, 'Add', 'Sub', 'Mul', 'Div', 'Pow', 'Neg') : undefined;
  if (!node) return undefined;
  const a = await polynomialOf(graph, inputOf(node, 0), x, depth + 1);
  if (a && graph.op(node) === 'Neg') return { terms: scaled(a.terms, -1), nodes: [...a.nodes, node] };
  if (a && graph.op(node) === 'Pow') {
    // The exponent may be an integer.
    const exponent = graph.constant(inputOf(node, 1))?.info.shape.length === 0 ? inputOf(node, 1) : undefined;
    const terms = power(a.terms, (await graph.value(exponent))?.numbers[0]);
    return terms && { terms, nodes: [...a.nodes, node] };
  }
  const b = a && (await polynomialOf(graph, inputOf(node, 1), x, depth + 1));
  const terms = a && b && combined(graph.op(node), a.terms, b.terms);
  return terms && { terms, nodes: [...a.nodes, ...b.nodes, node] };
}

/** Values from which a polynomial may start: what the arithmetic behind a value takes, the farthest first. */
export function bases(graph: WorkGraph, value: string | undefined): readonly string[] {
  const found = new Set<string>();
  const visit = (name: string | undefined, depth: number): void => {
    if (name === undefined || found.has(name) || graph.constant(name)) return;
    found.add(name);
    const node = depth < DEEPEST ? graph.maker(name, 'Add', 'Sub', 'Mul', 'Div', 'Pow', 'Neg') : undefined;
    for (const input of node?.input ?? []) visit(input, depth + 1);
  };
  visit(value, 0);
  return [...found].reverse();
}

const scaled = (terms: readonly number[], by: number): number[] => terms.map((term) => term * by);

function combined(
  op: string | undefined,
  a: readonly number[],
  b: readonly number[],
): readonly number[] | undefined {
  const [constant = 0] = b;
  const length = Math.max(a.length, b.length);
  switch (op) {
    case 'Add':
      return Array.from({ length }, (_, i) => (a[i] ?? 0) + (b[i] ?? 0));
    case 'Sub':
      return Array.from({ length }, (_, i) => (a[i] ?? 0) - (b[i] ?? 0));
    case 'Mul':
      return product(a, b);
    case 'Div':
      return b.length === 1 && constant !== 0 ? scaled(a, 1 / constant) : undefined;
    default:
      return undefined;
  }
}

function product(a: readonly number[], b: readonly number[]): readonly number[] | undefined {
  if (a.length + b.length - 2 > HIGHEST) return undefined;
  const terms = new Array<number>(a.length + b.length - 1).fill(0);
  for (const [i, left] of a.entries())
    for (const [j, right] of b.entries()) terms[i + j] = (terms[i + j] ?? 0) + left * right;
  return terms;
}

function power(a: readonly number[], exponent: number | undefined): readonly number[] | undefined {
  if (exponent !== 1 && exponent !== 2 && exponent !== 3) return undefined;
  let terms: readonly number[] | undefined = a;
  for (let i = 1; i < exponent && terms; i++) terms = product(terms, a);
  return terms;
}

/** True if the terms are these to six digits: constants were rounded to f32, or written down in few digits. */
export function isPolynomial({ terms }: Polynomial, ...wanted: readonly number[]): boolean {
  const length = Math.max(terms.length, wanted.length);
  return Array.from({ length }, (_, i) => near(terms[i] ?? 0, wanted[i] ?? 0)).every(Boolean);
}

export const near = (value: number, wanted: number): boolean =>
  Math.abs(value - wanted) <= 2e-6 * Math.abs(wanted);

/** The end of a chain of products. */
export interface Product {
  /** The node that makes the whole product, and those in between. */
  readonly last: NodeProto;
  readonly nodes: readonly NodeProto[];
}

/**
 * Follows a value through products with numbers until it has been multiplied with `x` once: x·c·value. undefined if it
 * is wanted elsewhere before, or where the numbers never come to `coefficient`.
 */
export async function productWith(
  graph: WorkGraph,
  value: string | undefined,
  x: string,
  coefficient: number,
): Promise<Product | undefined> {
  const nodes: NodeProto[] = [];
  let [reached, times, name] = [1, 0, value];
  for (let step = 0; step < 4; step++) {
    const node = graph.soleTaker(name);
    if (!node || (graph.op(node) !== 'Mul' && graph.op(node) !== 'Div')) return undefined;
    const divides = graph.op(node) === 'Div';
    if (divides && inputOf(node, 0) !== name) return undefined;
    const other = inputOf(node, inputOf(node, 0) === name ? 1 : 0);
    const factor = await polynomialOf(graph, other, x);
    if (!factor) return undefined;
    const [c0 = 0, c1 = 0, ...more] = factor.terms;
    if (more.length > 0 || (c1 !== 0 && (c0 !== 0 || times > 0 || divides))) return undefined;
    times += c1 !== 0 ? 1 : 0;
    reached *= divides ? 1 / c0 : c1 || c0;
    nodes.push(...factor.nodes);
    if (times === 1 && near(reached, coefficient)) return { last: node, nodes };
    nodes.push(node);
    name = outputOf(node, 0);
  }
  return undefined;
}
