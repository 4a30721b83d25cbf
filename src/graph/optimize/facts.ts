import type { OnnxValueInfo } from '../../core/graph.js';

/** A dimension: its size, the name of an open one, or undefined where nothing is known of it. */
export type Dim = number | string | undefined;

/** What is known of a value. */
export interface Fact {
  /** Element type; undefined where it is not known, or where the value is no tensor. */
  readonly dtype?: string | undefined;
  readonly shape?: readonly Dim[] | undefined;
}

/** As a graph or a session declares it. Types that are not tensors' are left out. */
export function factOf({ dtype, shape }: Pick<OnnxValueInfo, 'dtype' | 'shape'>): Fact {
  const tensor = dtype !== 'unknown' && !/[ (]/.test(dtype);
  return {
    ...(tensor ? { dtype } : {}),
    ...(shape && tensor ? { shape: shape.map((dim) => dim ?? undefined) } : {}),
  };
}

/** Two descriptions of the same value: a size tells more than a name, a name more than nothing. */
export function joined(a: Fact, b: Fact): Fact {
  const shape =
    a.shape && b.shape && a.shape.length === b.shape.length
      ? a.shape.map((dim, i) => better(dim, b.shape?.[i]))
      : (a.shape ?? b.shape);
  return { dtype: a.dtype ?? b.dtype, shape };
}

function better(a: Dim, b: Dim): Dim {
  if (typeof a === 'number') return a;
  if (typeof b === 'number') return b;
  return a ?? b;
}

/** True if every size is a number. */
export const isStatic = (shape: Fact['shape']): shape is readonly number[] =>
  shape?.every((dim) => typeof dim === 'number') ?? false;

/** True if the shapes are surely the same: equal numbers, or equal names. */
export const sameShape = (a: Fact['shape'], b: Fact['shape']): boolean =>
  a !== undefined &&
  b !== undefined &&
  a.length === b.length &&
  a.every((dim, i) => dim !== undefined && dim === b[i]);
