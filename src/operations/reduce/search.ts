/** Whether what is left of a list still fails. Nothing is never asked for. */
export type StillFails<T> = (kept: readonly T[]) => Promise<boolean>;

/** The shortest beginning that fails, by bisection: right where a beginning that fails goes on failing when it grows. */
export async function shortestPrefix<T>(items: readonly T[], fails: StillFails<T>): Promise<readonly T[]> {
  let [passing, failing] = [0, items.length];
  while (failing - passing > 1) {
    const middle = Math.floor((passing + failing) / 2);
    if (await fails(items.slice(0, middle))) failing = middle;
    else passing = middle;
  }
  return items.slice(0, failing);
}

/** The shortest end that fails, in the same way. */
export async function shortestSuffix<T>(items: readonly T[], fails: StillFails<T>): Promise<readonly T[]> {
  let [failing, passing] = [0, items.length];
  while (passing - failing > 1) {
    const middle = Math.floor((passing + failing) / 2);
    if (await fails(items.slice(middle))) failing = middle;
    else passing = middle;
  }
  return items.slice(failing);
}

/**
 * Delta debugging (Zeller and Hildebrandt, Simplifying and Isolating Failure-Inducing Input, 2002), by complements:
 * pieces are left out as long as the rest fails, smaller and smaller ones. In the end no single item can be left out.
 */
export async function oneMinimal<T>(items: readonly T[], fails: StillFails<T>): Promise<readonly T[]> {
  let kept = items;
  for (let size = Math.ceil(kept.length / 2); size >= 1 && kept.length > 1; ) {
    let removed = false;
    for (let end = kept.length; end > 0 && kept.length > 1; end -= size) {
      const start = Math.max(0, end - size);
      const rest = [...kept.slice(0, start), ...kept.slice(end)];
      if (rest.length === 0 || !(await fails(rest))) continue;
      kept = rest;
      removed = true;
    }
    // Another pass with single items: what was needed before may not be any more.
    if (size > 1) size = Math.ceil(Math.min(size, kept.length) / 2);
    else if (!removed) break;
  }
  return kept;
}
