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
    const score = inside ? Math.abs(other.length - target.length) / 4 : distance(target, other);
    if (inside || score <= length / 2) scored.push({ name, score });
  }
  // Sorting is stable: of equally near names the first of the graph comes first.
  return scored
    .sort((a, b) => a.score - b.score)
    .slice(0, most)
    .map(({ name }) => name);
}

const plain = (name: string): string => name.toLowerCase().slice(-COMPARED);

/** Characters to insert, drop or replace (Wagner and Fischer 1974), one row at a time. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
