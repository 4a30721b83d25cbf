/** Four digits: more say nothing. */
const short = (value: number): number => Number(value.toPrecision(4));

/** The same, rounded up: an output passes with the tolerance that it is told to need. */
function enough(value: number): number {
  const near = short(value);
  if (!(near < value)) return near;
  return short(near + 10 ** (Math.floor(Math.log10(near)) - 3));
}

/** By how much an output differs, and what would have let it pass. */
export const differenceText = (maxAbs: number, needed: number, tolerance: number): string =>
  `differs by up to ${short(maxAbs)}: ${toleranceText(needed, tolerance)}`;

export const toleranceText = (needed: number, tolerance: number): string =>
  `tolerance ${enough(needed)} would have passed, ${tolerance} was allowed`;
