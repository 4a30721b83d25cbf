import { isDType } from '../../../core/dtype.js';
import type { AdaptContext } from '../adapter.js';

const FLOATS: ReadonlySet<string> = new Set(['f16', 'bf16', 'f32', 'f64']);

/** A float constant of the type of a value; undefined if that is not known, or not a float. */
export function floatLike(
  context: AdaptContext,
  name: string | undefined,
  values: readonly number[],
  hint: string,
  shape: readonly number[] = [],
): string | undefined {
  const type = context.type(name);
  if (type === undefined || !FLOATS.has(type) || !isDType(type)) return undefined;
  return context.make(type, shape, values, hint);
}

/** The only number of a constant that has one; undefined otherwise. */
export async function numberIn(context: AdaptContext, name: string | undefined): Promise<number | undefined> {
  const value = await context.constant(name);
  return value?.numbers.length === 1 ? value.numbers[0] : undefined;
}

/** The only integer of a constant that has one. */
export async function integerIn(
  context: AdaptContext,
  name: string | undefined,
): Promise<bigint | undefined> {
  const value = await context.constant(name);
  return value?.integers.length === 1 ? value.integers[0] : undefined;
}

/** A number survives as a FLOAT attribute. */
export const fitsFloat = (value: number): boolean =>
  Object.is(Math.fround(value), value) || Number.isNaN(value);
