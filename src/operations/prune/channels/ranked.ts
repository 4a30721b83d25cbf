import type { Weighed } from './importance.js';

/** Units of a group in the order in which they stay. */
export interface Ranked extends Weighed {
  /** The most important ones first, those that have to stay before all others. */
  readonly order: readonly number[];
  /** So many have to stay. */
  readonly needed: number;
}

/** Of every axis one position has to stay: branches that are joined may consist of different units. */
export function ranked(weighed: Weighed): Ranked {
  const { group, importance } = weighed;
  const order = Array.from(importance.keys()).sort(
    (a, b) => (importance[b] ?? 0) - (importance[a] ?? 0) || a - b,
  );
  const needed = new Set(order.slice(0, 1));
  for (const { units } of [...group.weights, ...group.values]) {
    const own = new Set(units);
    const best = order.find((unit) => own.has(unit));
    if (best !== undefined && ![...needed].some((unit) => own.has(unit))) needed.add(best);
  }
  return {
    ...weighed,
    order: [...needed, ...order.filter((unit) => !needed.has(unit))],
    needed: needed.size,
  };
}
