import { editsBetween } from '../core/edit-distance.js';

/** Names longer than this are compared by their ends, which tell values of exported graphs apart. */
const COMPARED = 96;

/** The few of many names that look most like the one that was typed, best first. */
export function nearestNames(wanted: string, names: Iterable<string>, most = 3): readonly string[] {
  const target = plain(wanted);
  const scored: { readonly name: string; readonly score: number }[] = [];
  for (const name of names) {
    if (name === '') continue;
    const other = plain(name);
    const inside = target !== '' && (other.includes(target) || target.includes(other));
    const length = Math.max(other.length, target.length);
    const score = inside ? Math.abs(other.length - target.length) / 4 : editsBetween(target, other);
    if (inside || score <= length / 2) scored.push({ name, score });
  }
  // Sorting is stable: of equally near names the first of the graph comes first.
  return scored
    .sort((a, b) => a.score - b.score)
    .slice(0, most)
    .map(({ name }) => name);
}

const plain = (name: string): string => name.toLowerCase().slice(-COMPARED);
