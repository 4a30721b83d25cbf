import { elementCount } from '../../core/dtype.js';
import type { EditNode, GraphEdit } from '../edit.js';
import { intOf } from '../opset/attributes.js';

/** A constant of a node that multiplies, or is part of, what the node gives along its last axis. */
export interface Foldable {
  /** What the node calls the constant, and one of its outputs. */
  readonly input: string;
  readonly output: string;
  /** The initializer. */
  readonly name: string;
  readonly axis: number;
  /** Other nodes take it too: this one gets a copy. */
  readonly copy: boolean;
}

/**
 * The constants that have to be multiplied by factors above zero so that a value is multiplied by them along its last
 * axis, of that size. undefined where what makes the value does not allow it. `mayChange`: constants that may be touched.
 */
export function foldableScales(
  edit: GraphEdit,
  value: string,
  size: number,
  mayChange: (name: string) => boolean,
): readonly Foldable[] | undefined {
  const node = edit.producers().get(value);
  if (!node || (node.domain ?? '') !== '' || edit.outputNames.has(value) || edit.captured.has(value))
    return undefined;
  const [a = '', b = '', c = ''] = node.input;
  const along = (input: string, axis?: number): readonly Foldable[] | undefined =>
    constantAlong(edit, { input, output: value, size, axis, mayChange });
  const through = (from: string): readonly Foldable[] | undefined =>
    takenBy(edit, from, node) ? foldableScales(edit, from, size, mayChange) : undefined;
  switch (node.opType) {
    case 'LayerNormalization':
      return (intOf(node, 'axis') ?? -1n) === -1n ? both(along(b), c === '' ? [] : along(c)) : undefined;
    case 'MatMul':
      return edit.tensor(b)?.info.shape.length === 2 ? along(b, 1) : undefined;
    case 'Gemm':
      return both(along(b, (intOf(node, 'transB') ?? 0n) === 0n ? 1 : 0), c === '' ? [] : along(c));
    case 'Mul':
      return along(b) ?? along(a);
    case 'Add': {
      const right = along(b);
      return right ? both(right, through(a)) : both(along(a), through(b));
    }
    case 'Relu':
      return through(a);
    default:
      return undefined;
  }
}

const both = (
  x: readonly Foldable[] | undefined,
  y: readonly Foldable[] | undefined,
): readonly Foldable[] | undefined => (x && y ? [...x, ...y] : undefined);

/** A value that only this node takes. */
function takenBy(edit: GraphEdit, value: string, node: EditNode): boolean {
  const takers = edit.consumers().get(value) ?? [];
  return takers.length === 1 && takers[0] === node;
}

interface Wanted {
  readonly input: string;
  readonly output: string;
  readonly size: number;
  readonly axis: number | undefined;
  readonly mayChange: (name: string) => boolean;
}

/** An initializer with an element for each factor along an axis (the last one). Vectors may be copied, matrices not. */
function constantAlong(
  edit: GraphEdit,
  { input, output, size, axis, mayChange }: Wanted,
): readonly Foldable[] | undefined {
  const name = behindIdentities(edit, input);
  const tensor = edit.tensor(name);
  if (!tensor || !edit.isConstant(name) || !mayChange(name)) return undefined;
  const { dtype, shape } = tensor.info;
  const at = axis ?? shape.length - 1;
  if ((dtype !== 'f32' && dtype !== 'f16') || shape[at] !== size || size === 1) return undefined;
  const takers = edit.consumers().get(name) ?? [];
  const uses = takers.flatMap((taker) => taker.input.filter((one) => one === name)).length;
  const copy = name !== input || uses !== 1 || edit.captured.has(name) || edit.outputNames.has(name);
  return copy && elementCount(shape) !== size ? undefined : [{ input, output, name, axis: at, copy }];
}

/** Exporters make one initializer of those that are equal, and Identity nodes for the others. */
function behindIdentities(edit: GraphEdit, name: string): string {
  const producers = edit.producers();
  let found = name;
  for (let node = producers.get(found); node?.opType === 'Identity'; node = producers.get(found))
    found = node.input[0] ?? '';
  return found;
}
