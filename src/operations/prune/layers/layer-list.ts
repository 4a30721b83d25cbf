import { MlserError } from '../../../errors.js';

/** Numbers of blocks that a list may name. */
const MOST = 10_000;

/** `20,21` or `3,5-7`. @throws E_USAGE */
export function parseLayers(text: string): readonly number[] {
  const numbers = text.split(',').flatMap((part) => {
    const found = /^\s*(\d{1,4})(?:-(\d{1,4}))?\s*$/.exec(part);
    const first = Number(found?.[1]);
    const last = Number(found?.[2] ?? found?.[1]);
    if (!found || last < first) throw badList(text);
    return Array.from({ length: last - first + 1 }, (_, i) => first + i);
  });
  if (numbers.length > MOST) throw badList(text);
  return [...new Set(numbers)].sort((a, b) => a - b);
}

const badList = (text: string): MlserError =>
  new MlserError('E_USAGE', `${JSON.stringify(text)} is no list of blocks`, {
    hint: 'give their numbers: --layers 20,21 or --layers 3,5-7',
  });

/** @throws E_USAGE for a block that is not there, or if none would be left. */
export function checkLayers(wanted: readonly number[], known: readonly number[], input: string): void {
  const strange = wanted.filter((number) => !known.includes(number));
  const range = `${known[0] ?? 0} to ${known.at(-1) ?? 0}`;
  if (strange.length > 0)
    throw new MlserError('E_USAGE', `there is no block ${strange.join(', ')}`, {
      details: { input, layers: strange },
      hint: `its ${known.length} blocks are numbered ${range}`,
    });
  if (wanted.length === known.length)
    throw new MlserError('E_USAGE', 'all blocks would go', {
      details: { input },
      hint: 'leave one of them at least',
    });
}
