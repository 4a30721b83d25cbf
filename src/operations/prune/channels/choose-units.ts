import type { Cut } from '../../../graph/channels/cut.js';
import type { PruneScope } from '../names.js';
import { countsBelow } from './counts.js';
import type { Ranked } from './ranked.js';

export interface UnitChoice {
  readonly sparsity: number;
  readonly scope: PruneScope;
  /** So many channels, or a multiple of it, stay; undefined: of 8, as runtimes like it, unless that misses the share. */
  readonly multipleOf?: number | undefined;
}

/**
 * Multiples that are tried where none is asked for, the coarsest first: the runtime computes with blocks of 8 or 16 channels,
 * and others take longer than what they save (src/README.md). But what goes has to be about the share that was asked for.
 */
const MULTIPLES = [8, 4, 2, 1];
/** Of all units. */
const NEAR = 0.05;

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
export function chosenUnits(groups: readonly Ranked[], choice: UnitChoice): readonly Cut[] {
  const { sparsity, multipleOf } = choice;
  if (multipleOf !== undefined) return chosenBy(groups, { ...choice, multipleOf });
  const total = groups.reduce((sum, { group }) => sum + group.units, 0);
  const tried = MULTIPLES.map((multiple) => {
    const cuts = chosenBy(groups, { ...choice, multipleOf: multiple });
    const gone = cuts.reduce((sum, { group, kept }) => sum + group.units - kept.size, 0);
    return { cuts, missed: Math.abs(gone - sparsity * total) };
  });
  const near = tried.find(({ missed }) => missed <= NEAR * total) ?? tried.at(-1);
  return near?.cuts ?? [];
}

function chosenBy(groups: readonly Ranked[], choice: UnitChoice & { readonly multipleOf: number }): Cut[] {
  const { sparsity, scope, multipleOf } = choice;
  const steps = groups.map((group, at) => stepsOf(group, at, multipleOf));
  const counts = groups.map(() => 0);
  const total = groups.reduce((sum, { group }) => sum + group.units, 0);
  if (scope === 'global') take(steps.flat(), Math.round(sparsity * total), counts);
  else
    for (const [at, own] of steps.entries())
      take(own, Math.round(sparsity * (groups[at]?.group.units ?? 0)), counts);
  return groups.map(({ group, order }, at) => ({
    group,
    kept: new Set(order.slice(0, group.units - (counts[at] ?? 0))),
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

/** The least important units first. Steps get dearer, so that they are taken in order. */
function stepsOf(ranked: Ranked, at: number, multiple: number): readonly Step[] {
  const { group, importance, order } = ranked;
  const total = importance.reduce((sum, x) => sum + x, 0) || 1;
  const steps: Step[] = [];
  let last = group.units;
  for (const left of countsBelow(ranked, group.units, multiple)) {
    const share = order.slice(left, last).reduce((sum, unit) => sum + (importance[unit] ?? 0), 0) / total;
    steps.push({ at, units: last - left, cost: share / (last - left) });
    last = left;
  }
  return steps;
}
