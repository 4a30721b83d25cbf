/** What the usual frameworks call the repeated parts of a model, with their number. */
const NUMBERED = /(?:^|[./_])(?:layers?|h|blocks?)[./_](\d{1,4})(?=[./_]|$)/;

/** The number of the block that a name speaks of: of the outermost one. */
export function blockNumber(name: string): number | undefined {
  const found = NUMBERED.exec(name);
  return found ? Number(found[1]) : undefined;
}

/** A name taken apart at the number of its block; undefined where it has none. */
export function blockParts(
  name: string,
): { readonly prefix: string; readonly number: number; readonly rest: string } | undefined {
  const found = NUMBERED.exec(name);
  const digits = found?.[1];
  if (!found || digits === undefined) return undefined;
  const end = found.index + found[0].length;
  return { prefix: name.slice(0, end - digits.length), number: Number(digits), rest: name.slice(end) };
}
