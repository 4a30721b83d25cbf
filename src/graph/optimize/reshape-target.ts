import type { Dim } from './facts.js';

/**
 * What Reshape is told to get `to` out of a value of the shape `from`: sizes, 0 for what has the same name at the same
 * place, -1 for one that is open. Undefined if more are open, or one is empty (0 says something else to Reshape).
 */
export function reshapeTarget(
  to: readonly Dim[],
  from: readonly Dim[] | undefined,
): readonly number[] | undefined {
  if (to.some((dim) => dim === 0)) return undefined;
  const open = to.filter((dim) => typeof dim !== 'number').length;
  const target = to.map((dim, i) => {
    if (typeof dim === 'number') return dim;
    // One that is open needs no name.
    return open > 1 && dim !== undefined && from?.[i] === dim ? 0 : -1;
  });
  return target.filter((dim) => dim === -1).length > 1 ? undefined : target;
}
