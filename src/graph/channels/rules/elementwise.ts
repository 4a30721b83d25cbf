import type { LinkEnd } from '../positions.js';
import { inputAt, linked, type Outcome, outputAt, type Rule, type Surroundings, stop } from '../rule.js';

/** One input, one output, element by element. */
export const unary: Rule = ({ node, axis }) =>
  linked({ value: inputAt(node, 0) ?? '', axis }, { value: outputAt(node), axis });

/** Inputs are stretched to the shape of the output, which is aligned at the last axis. */
export const stretching: Rule = ({ node, side, value, axis }, around) => {
  const own = around.shape(value);
  const out = around.shape(outputAt(node));
  if (!own || !out) return stop('its shape is not known');
  const place = side === 'output' ? axis : axis + out.length - own.length;
  return stretchedTo(node.input, outputAt(node), place, around);
};

/** Links an axis of a stretched output with those of the inputs that are not stretched along it. */
export function stretchedTo(
  inputs: readonly string[],
  output: string,
  axis: number,
  around: Surroundings,
): Outcome {
  const out = around.shape(output);
  if (!out) return stop('its shape is not known');
  return linked(...inputs.map((name) => stretchedEnd(name, axis, out, around)), { value: output, axis });
}

/** The axis of an input that becomes an axis of the output; undefined where it is one value for all positions. */
export function stretchedEnd(
  name: string | undefined,
  axis: number,
  out: readonly number[],
  around: Surroundings,
): LinkEnd | undefined {
  const shape = around.shape(name);
  if (name === undefined || name === '' || !shape) return undefined;
  const own = axis - out.length + shape.length;
  return own >= 0 && shape[own] === out[axis] ? { value: name, axis: own } : undefined;
}
