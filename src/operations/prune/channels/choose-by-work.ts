import type { Cut } from '../../../graph/channels/cut.js';
import type { RuntimeWork } from '../../../graph/channels/runtime-work.js';
import { channelsOf, countsBelow } from './counts.js';
import type { Ranked } from './ranked.js';

/** Channels that come back at a time: a few more than were asked for may be gone. */
const GIVEN_BACK = 8;

export interface WorkChoice {
  /** Share of the units that is to go, and of the work if that is not too dear. */
  readonly sparsity: number;
  /** So many channels, or a multiple of it, stay; undefined: any number. */
  readonly multipleOf?: number;
  readonly work: RuntimeWork;
  /** By group and number of units that stay: what it costs, as a share of the variance of what is computed. */
  readonly losses: readonly Float64Array[];
  /** What a share of the work may cost, in the same measure. */
  readonly price: number;
}

interface Step {
  readonly at: number;
  /** Units that stay after it. */
  readonly left: number;
  readonly gone: number;
  /** What one of its units costs, or what a share of the work does. */
  readonly cost: number;
}

/**
 * The units that stay, chosen for what the runtime saves: step by step the one whose units cost least, less what the work
 * that goes with them is worth. Once enough units are gone, further steps go on for the work alone, until it has shrunk
 * in proportion or each would cost more than it is worth. What is then gone beyond what was asked for comes back where
 * that does not need the work.
 */
export function chosenByWork(groups: readonly Ranked[], choice: WorkChoice): readonly Cut[] {
  const { sparsity, work, losses, price } = choice;
  const kept = groups.map(({ group }) => group.units);
  const whole = work.total(kept);
  const most = (1 - sparsity) * whole;
  const costOf = (at: number, left: number): { readonly loss: number; readonly less: number } => ({
    loss: (losses[at]?.[left] ?? 0) - (losses[at]?.[kept[at] ?? 0] ?? 0),
    less: work.saved(kept, at, left) / whole,
  });
  let wanted = Math.round(sparsity * kept.reduce((sum, count) => sum + count, 0));
  while (wanted > 0) {
    const needed = Math.max(0, (work.total(kept) - most) / whole);
    const step = best(groups, kept, choice, wanted, (at, left, gone) => {
      const { loss, less } = costOf(at, left);
      return (loss - price * Math.min(less, needed)) / gone;
    });
    if (!step) break;
    kept[step.at] = step.left;
    wanted -= step.gone;
  }
  while (work.total(kept) > most) {
    const step = best(groups, kept, choice, Number.POSITIVE_INFINITY, (at, left) => {
      const { loss, less } = costOf(at, left);
      return less > 0 ? loss / less : Number.POSITIVE_INFINITY;
    });
    if (!step || step.cost > price) break;
    kept[step.at] = step.left;
    wanted -= step.gone;
  }
  giveBack(groups, choice, kept, { spare: -wanted, most: Math.max(most, work.total(kept)) });
  return groups.map(({ group, order }, at) => ({ group, kept: new Set(order.slice(0, kept[at])) }));
}

/** The step with the least cost; of equal ones the one that takes most. */
function best(
  groups: readonly Ranked[],
  kept: readonly number[],
  { multipleOf }: WorkChoice,
  wanted: number,
  costOf: (at: number, left: number, gone: number) => number,
): Step | undefined {
  let found: Step | undefined;
  for (const [at, ranked] of groups.entries()) {
    const now = kept[at] ?? 0;
    for (const [i, left] of countsBelow(ranked, now, multipleOf).entries()) {
      const gone = now - left;
      // Not more than are wanted; where the smallest step is more, the nearer number.
      if (gone > wanted && (i > 0 || gone / 2 >= wanted)) break;
      const cost = costOf(at, left, gone);
      if (!found || cost < found.cost || (cost === found.cost && gone > found.gone))
        found = { at, left, gone, cost };
    }
  }
  return found;
}

/** Units beyond those that were asked for come back a few channels at a time, those first that matter most. */
function giveBack(
  groups: readonly Ranked[],
  { multipleOf, work, losses }: WorkChoice,
  kept: number[],
  { spare, most }: { readonly spare: number; readonly most: number },
): void {
  let left = spare;
  for (;;) {
    let found: { readonly at: number; readonly units: number; readonly loss: number } | undefined;
    const total = work.total(kept);
    for (const [at, { group }] of groups.entries()) {
      const now = kept[at] ?? 0;
      const step = Math.ceil((multipleOf ?? GIVEN_BACK) / (channelsOf(group) / group.units));
      const units = Math.min(group.units, now + step);
      if (units === now || units - now > left || total - work.saved(kept, at, units) > most) continue;
      const loss = (losses[at]?.[now] ?? 0) - (losses[at]?.[units] ?? 0);
      if (!found || loss > found.loss) found = { at, units, loss };
    }
    if (!found) return;
    left -= found.units - (kept[found.at] ?? 0);
    kept[found.at] = found.units;
  }
}
