import type { NodeProto } from '../../../formats/onnx/schema.js';
import { inputOf, numberOf } from '../../opset/attributes.js';
import type { WorkGraph } from '../work-graph.js';

/** A size that a Reshape asks for: a number (0 and −1 as ONNX means them), the size of an axis, or undefined. */
export type Piece = number | { readonly of: string; readonly axis: number } | undefined;

const DEEPEST = 8;

/** The sizes that a Reshape asks for, one by one; undefined where not even their number is known. */
export async function piecesOf(graph: WorkGraph, reshape: NodeProto): Promise<readonly Piece[] | undefined> {
  const pieces = await sizesIn(graph, inputOf(reshape, 1));
  // What is 0 by itself was asked for, unless it stands for the size before.
  return numberOf(reshape, 'allowzero') === 1 && pieces?.includes(0) ? undefined : pieces;
}

async function sizesIn(graph: WorkGraph, name: string | undefined): Promise<readonly Piece[] | undefined> {
  const constant = await graph.value(name);
  if (constant) return constant.shape.length === 1 ? constant.integers.map(Number) : undefined;
  const concat = graph.maker(name, 'Concat');
  if (!concat) return undefined;
  const pieces: Piece[] = [];
  for (const input of concat.input) {
    const inner = await graph.value(input);
    if (inner) pieces.push(...inner.integers.map(Number));
    else if (graph.fact(input).shape?.[0] === 1) pieces.push(await axisIn(graph, input));
    else return undefined;
  }
  return pieces;
}

/** The axis whose size a list of one number holds: Shape, then Gather and Unsqueeze in either order, or Slice. */
async function axisIn(graph: WorkGraph, name: string): Promise<Piece> {
  const outer = graph.maker(name, 'Unsqueeze', 'Gather', 'Slice', 'Reshape', 'Shape');
  const gather = ['Unsqueeze', 'Reshape'].includes(graph.op(outer) ?? '')
    ? graph.maker(outer?.input[0], 'Gather')
    : outer;
  if (!gather) return undefined;
  if (graph.op(gather) === 'Shape') return shapeSlice(graph, gather);
  const shape = graph.maker(inputOf(gather, 0), 'Shape');
  const of = shape && inputOf(shape, 0);
  const index = (await graph.value(inputOf(gather, 1)))?.numbers;
  if (!shape || of === undefined || index?.length !== 1 || shape.attribute.length > 0) return undefined;
  if (graph.op(gather) === 'Slice' && (await graph.value(inputOf(gather, 4)))?.numbers[0] === -1)
    return undefined;
  const [at = 0] = index;
  const axis = at < 0 ? at + (graph.fact(of).shape?.length ?? Number.NaN) : at;
  return Number.isInteger(axis) ? { of, axis } : undefined;
}

function shapeSlice(graph: WorkGraph, shape: NodeProto): Piece {
  const of = inputOf(shape, 0);
  const start = numberOf(shape, 'start') ?? 0;
  return of !== undefined && start >= 0 && graph.fact(of).shape ? { of, axis: start } : undefined;
}

/**
 * Values that surely have the same first two axes as this one: those it is made of by products with constant matrices,
 * biases, factors, normalizations over the last axis.
 */
export function sameRows(graph: WorkGraph, value: string): ReadonlySet<string> {
  const found = new Set([value]);
  for (let at: string | undefined = value, i = 0; at !== undefined && i < DEEPEST; i++) {
    const node: NodeProto | undefined = graph.maker(
      at,
      'MatMul',
      'Add',
      'Sub',
      'Mul',
      'Div',
      'LayerNormalization',
    );
    at = node && rowsFrom(graph, node);
    if (at !== undefined && graph.fact(at).shape?.length === 3) found.add(at);
    else break;
  }
  return found;
}

function rowsFrom(graph: WorkGraph, node: NodeProto): string | undefined {
  const [a, b] = [inputOf(node, 0), inputOf(node, 1)];
  const axes = (name: string | undefined): number => graph.constant(name)?.info.shape.length ?? 9;
  if (graph.op(node) === 'LayerNormalization') return a;
  if (graph.op(node) === 'MatMul') return axes(b) === 2 ? a : undefined;
  return axes(b) <= 1 ? a : axes(a) <= 1 ? b : undefined;
}
