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

/**
 * The units that stay: of every group the same share goes, or of all together those that matter least for their group. At
 * least one stays; of equals the first do.
 */
export function chosenUnits(groups: readonly Weighed[], choice: UnitChoice): readonly Cut[] {
  const counts =
    choice.scope === 'tensor' ? sharesOf(groups, choice.sparsity) : together(groups, choice.sparsity);
  return groups.map(({ group, importance }, i) => {
    const order = Array.from(importance.keys()).sort(
      (a, b) => (importance[b] ?? 0) - (importance[a] ?? 0) || a - b,
    );
    return {
      group,
      kept: new Set(order.slice(0, rounded(group, group.units - (counts[i] ?? 0), choice.multipleOf))),
    };
  });
}

const sharesOf = (groups: readonly Weighed[], sparsity: number): readonly number[] =>
  groups.map(({ group: { units } }) => Math.min(units - 1, Math.round(sparsity * units)));

function together(groups: readonly Weighed[], sparsity: number): readonly number[] {
  const all = groups.flatMap(({ importance, group }, at) => {
    const total = importance.reduce((sum, x) => sum + x, 0) || 1;
    const ranked = [...importance].sort((a, b) => a - b);
    // The last one of a group stays.
    return ranked.slice(0, group.units - 1).map((x) => ({ at, share: x / total }));
  });
  const wanted = Math.round(sparsity * groups.reduce((sum, { group }) => sum + group.units, 0));
  const counts = groups.map(() => 0);
  for (const { at } of all.sort((a, b) => a.share - b.share || a.at - b.at).slice(0, wanted))
    counts[at] = (counts[at] ?? 0) + 1;
  return counts;
}

/** Units to keep so that channels are a multiple, the next one up; all of them where there is none below. */
function rounded({ units, ...group }: ChannelGroup, kept: number, multiple: number): number {
  if (multiple === 1) return kept;
  const each = channelsOf({ units, ...group }) / units;
  for (let n = kept; n < units; n++) if (Number.isInteger(each) && (n * each) % multiple === 0) return n;
  return units;
}

/** Channels that the weight which gives the group its name makes. */
export function channelsOf({ values, node }: Pick<ChannelGroup, 'values' | 'node' | 'units'>): number {
  return values.find(({ value }) => value === node.output[0])?.units.length ?? 0;
}
