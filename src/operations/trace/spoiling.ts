import type { Model } from '../../core/model.js';
import { type Finding, finding } from '../../errors.js';
import { takenBy } from '../../graph/captures.js';
import type { MadeValue } from '../../graph/made-values.js';
import type { TracedValue } from './report.js';

/**
 * Values that are not finite and from which that reaches an output of the graph. Others are harmless: an infinity that
 * masks attention, the logarithm of a zero that is chosen away.
 */
export function spoiling(
  { graph }: Model,
  values: readonly MadeValue[],
  rows: readonly TracedValue[],
): ReadonlySet<string> {
  const odd = new Set(rows.flatMap(({ name, nonFinite }) => (nonFinite > 0 ? [name] : [])));
  const makers = new Map(values.map(({ name, node }) => [name, node]));
  const spoiled = new Set<string>();
  const waiting = graph?.outputs.flatMap(({ name }) => (odd.has(name) ? [name] : [])) ?? [];
  for (let name = waiting.pop(); name !== undefined; name = waiting.pop()) {
    if (spoiled.has(name)) continue;
    spoiled.add(name);
    const node = makers.get(name);
    for (const taken of node ? takenBy(node) : []) if (odd.has(taken)) waiting.push(taken);
  }
  return spoiled;
}

/** Values that are not finite in a graph whose outputs are. */
export function masked(rows: readonly TracedValue[]): Finding[] {
  const odd = rows.filter(({ nonFinite }) => nonFinite > 0);
  const [first] = odd;
  if (!first) return [];
  const more = odd.length > 1 ? ` (and ${odd.length - 1} more)` : '';
  const message = `${first.nonFinite} of its values${more} are not finite, but the outputs are: ${first.op} of node ${first.node}`;
  return [finding('info', 'NOT_FINITE_INSIDE', first.name, message)];
}
