import type { Cut } from '../../../graph/channels/cut.js';
import type { ChannelGroup } from '../../../graph/channels/groups.js';
import type { PruneScope } from '../names.js';
import type { Weighed } from './importance.js';

export interface UnitChoice {
  readonly sparsity: number;
  readonly scope: PruneScope;
  /** So many channels, or a multiple of it, stay. */
  readonly multipleOf: number;
}

/** Units of a group that go together, so that what is left is a multiple. */
interface Step {
  /** Place of the group. */
  readonly at: number;
  readonly units: number;
  /** Mean share that one of them has in its group. */
  readonly cost: number;
}

/**
 * The units that stay: those that matter least for their group go, of all groups together or the same share of each. At
 * least one stays, of equals the first do.
 */
export function chosenUnits(groups: readonly Weighed[], choice: UnitChoice): readonly Cut[] {
  const { sparsity, scope, multipleOf } = choice;
  const ranked = groups.map(rankedUnits);
  const steps = groups.map((group, at) => stepsOf(group, ranked[at] ?? NONE, at, multipleOf));
  const counts = groups.map(() => 0);
  const total = groups.reduce((sum, { group }) => sum + group.units, 0);
  if (scope === 'global') take(steps.flat(), Math.round(sparsity * total), counts);
  else
    for (const [at, own] of steps.entries())
      take(own, Math.round(sparsity * (groups[at]?.group.units ?? 0)), counts);
  return groups.map(({ group }, at) => ({
    group,
    kept: new Set(ranked[at]?.order.slice(0, group.units - (counts[at] ?? 0))),
  }));
}

/** The cheapest steps until as many units go as were wanted, or as near as steps get. */
function take(steps: readonly Step[], wanted: number, counts: number[]): void {
  let gone = 0;
  const closed = new Set<number>();
  for (const { at, units } of [...steps].sort((a, b) => a.cost - b.cost || a.at - b.at)) {
    if (gone + units / 2 >= wanted || closed.has(at)) closed.add(at);
    else {
      gone += units;
      counts[at] = (counts[at] ?? 0) + units;
    }
  }
}

interface Ranked {
  /** The most important ones first, those that have to stay before all others. */
  readonly order: readonly number[];
  readonly needed: number;
}
const NONE: Ranked = { order: [], needed: 0 };

/** Of every axis one position has to stay: branches that are joined may consist of different units. */
function rankedUnits({ group, importance }: Weighed): Ranked {
  const order = Array.from(importance.keys()).sort(
    (a, b) => (importance[b] ?? 0) - (importance[a] ?? 0) || a - b,
  );
  const needed = new Set(order.slice(0, 1));
  for (const { units } of [...group.weights, ...group.values]) {
    const own = new Set(units);
    const best = order.find((unit) => own.has(unit));
    if (best !== undefined && ![...needed].some((unit) => own.has(unit))) needed.add(best);
  }
  return { order: [...needed, ...order.filter((unit) => !needed.has(unit))], needed: needed.size };
}

/** The least important units first. Steps get dearer, so that they are taken in order. */
function stepsOf(
  { group, importance }: Weighed,
  { order, needed }: Ranked,
  at: number,
  multiple: number,
): readonly Step[] {
  const total = importance.reduce((sum, x) => sum + x, 0) || 1;
  const steps: Step[] = [];
  let last = group.units;
  for (let left = group.units - 1; left >= needed; left--) {
    if (!isMultiple(group, left, multiple)) continue;
    const share = order.slice(left, last).reduce((sum, unit) => sum + (importance[unit] ?? 0), 0) / total;
    steps.push({ at, units: last - left, cost: share / (last - left) });
    last = left;
  }
  return steps;
}

/** Where units are not all of the same number of channels, there is nothing to be a multiple. */
function isMultiple(group: ChannelGroup, units: number, multiple: number): boolean {
  const each = channelsOf(group) / group.units;
  return !Number.isInteger(each) || (units * each) % multiple === 0;
}

/** Channels that the weight which gives the group its name makes. */
export function channelsOf({ values, node }: Pick<ChannelGroup, 'values' | 'node'>): number {
  return values.find(({ value }) => value === node.output[0])?.units.length ?? 0;
}

/** … and how many of them stay. */
export function channelsLeft({ group: { values, node }, kept }: Cut): number {
  const units = values.find(({ value }) => value === node.output[0])?.units ?? new Int32Array();
  return units.reduce((count, unit) => count + (kept.has(unit) ? 1 : 0), 0);
}
