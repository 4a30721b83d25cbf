import type { WorkContext } from '../../core/format.js';
import type { TensorSource } from '../../core/tensor.js';
import { withPool } from '../pool.js';
import { isPrunedType, keyWidth, magnitudeOf, narrowed, ruleFor } from './keys.js';
import { magnitudesOf, piecesOf, rankedAs } from './pieces.js';
import type { Selected } from './select.js';

/** Every element whose absolute value is below a number, which need not be one of the tensor's type. */
export const selectBelow = (
  tensors: readonly TensorSource[],
  threshold: number,
  context: WorkContext,
): Promise<Selected[]> =>
  withPool(context, async (pool) => {
    const exact = magnitudeOf(threshold);
    const pieces = tensors.map((tensor) => {
      const width = keyWidth([tensor]);
      const magnitude = width === 8 ? exact : narrowed('f32', exact, 8).below;
      return piecesOf(rankedAs(tensor, width)).map((piece) => ({
        ...piece,
        width,
        magnitude,
        nth: undefined,
      }));
    });
    const counts = (await magnitudesOf(pieces.flat(), pool, context)).values();
    return tensors.map(({ info: { dtype, name } }, i) => {
      if (!isPrunedType(dtype)) throw new Error(`${name} is ${dtype}`);
      const own = (pieces[i] ?? []).map(() => counts.next().value);
      // Nothing is below zero, but zeros there may be.
      const zeros = own.reduce((sum, part) => sum + ((exact === 0n ? part?.equal : part?.below) ?? 0), 0);
      return { rule: ruleFor(dtype, exact, 8, 0), zeros };
    });
  });
