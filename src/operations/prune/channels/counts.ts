import type { Cut } from '../../../graph/channels/cut.js';
import type { ChannelGroup } from '../../../graph/channels/groups.js';
import type { Ranked } from './ranked.js';

/** Beyond this many channels only multiples of 8 are looked at: others save nothing worth finding. */
const FEW = 64;
const MULTIPLE = 8;

/** Numbers of units that may stay, the largest first. */
export function countsBelow(
  { group, needed }: Ranked,
  now: number,
  multipleOf: number | undefined,
): readonly number[] {
  const counts: number[] = [];
  const multiple = multipleOf ?? (channelsOf(group) > FEW ? MULTIPLE : 1);
  for (let left = now - 1; left >= needed; left--) if (isMultiple(group, left, multiple)) counts.push(left);
  return counts;
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
