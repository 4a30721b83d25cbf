import { moves } from './half-operators.js';
import type { Site, Value } from './half-values.js';

const words = (text: string): ReadonlySet<string> => new Set(text.split(' '));

/** They divide by what comes in, or go to infinity with it: what keeps a value from zero must not get lost. */
const GUARDED = words('Sqrt Pow Reciprocal Div Log');
/** A sum of squares is still one behind them. */
const GUARDING = words('Add Sub Max Clip Sqrt Pow Reciprocal');
/** It is used up here. */
const GUARD_ENDS = words('Div Mul Log');
const GUARDS = words('Add Sub Max Clip');
const SUMS = words('ReduceMean ReduceSum');
const NORMS = words('ReduceL2 ReduceSumSquare');
/** The smallest normal f16: below, digits get lost. */
const SUBNORMAL = 2 ** -14;

/**
 * Nodes that stay in f32 for what their values are: takers of constants that do not fit, those that give or take what
 * was seen not to fit, and norms: squares pass the
 * largest f16 from 256 on, and what is added to them so that nothing is divided by zero is below the smallest one.
 */
export function keepSensitive(order: readonly Site[]): void {
  const wild = new Set<Value>();
  const guarded = new Set<Value>();
  const isWild = (value: Value | undefined): boolean =>
    value !== undefined &&
    (value.fit === 'large' || value.fit === 'tiny' || value.exceeds || wild.has(value));
  for (const site of order) {
    const { operator, inputs, outputs } = site;
    const mark = (set: Set<Value>): void => {
      for (const value of outputs) if (value) set.add(value);
    };
    for (const wire of site.wires) {
      const gives = wire.output !== undefined && outputs[wire.output]?.exceeds === true;
      const takes = wire.input !== undefined && isWild(inputs[wire.input]);
      if (!gives && !takes) continue;
      wire.half = false;
      for (const value of wire.entries) wild.add(value);
      // Sub-graphs come after their node: whoever makes the result in there stays in f32, too.
      if (gives)
        for (const { frame, index } of wire.exits) {
          const result = frame.find(frame.graph.output[index]?.name ?? '');
          if (result) result.exceeds = true;
        }
    }
    if (site.kind !== 'operator') continue;
    if (outputs.some((value) => value?.exceeds)) site.half = false;
    if (inputs.some(isWild)) {
      site.half = false;
      if (moves(operator, 'f16')) mark(wild);
    }
    const moved = moves(operator, 'f16');
    if (NORMS.has(operator)) mark(guarded);
    if (isSquare(site) && leadsTo(outputs[0], SUMS)) {
      site.half = false;
      mark(guarded);
    } else if (GUARDS.has(operator) && inputs.some(isGuard) && leadsTo(outputs[0], GUARDED)) {
      site.half = false;
      mark(guarded);
    } else if (inputs.some((value) => value && guarded.has(value))) {
      if (moved || SUMS.has(operator) || GUARDING.has(operator)) mark(guarded);
      else if (!GUARD_ENDS.has(operator)) continue;
      site.half = false;
    }
  }
}

/** A square: of one value with itself, or a power of two. */
function isSquare({ operator, inputs }: Site): boolean {
  const [a, b] = inputs;
  return operator === 'Pow' ? b?.scalar === 2 : operator === 'Mul' && a !== undefined && a === b;
}

function isGuard(value: Value | undefined): boolean {
  const { scalar } = value ?? {};
  return scalar !== undefined && scalar > 0 && scalar < SUBNORMAL;
}

/** Nodes that only hand elements on are looked through, so many in a row. */
const MOVES = 8;

const leadsTo = (value: Value | undefined, operators: ReadonlySet<string>, left = MOVES): boolean =>
  value?.uses.some(
    ({ site }) =>
      operators.has(site.operator) ||
      (left > 0 && moves(site.operator, 'f16') && leadsTo(site.outputs[0], operators, left - 1)),
  ) ?? false;
