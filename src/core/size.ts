import { MlserError } from '../errors.js';

/** Bytes of a unit, by its lower-case spelling. A bare letter is binary, as in dd, qemu and `--max-memory` elsewhere. */
const UNITS = new Map<string, number>([
  ['', 1],
  ['b', 1],
  ...['k', 'm', 'g', 't'].flatMap((letter, index): [string, number][] => [
    [letter, 1024 ** (index + 1)],
    [`${letter}ib`, 1024 ** (index + 1)],
    [`${letter}b`, 1000 ** (index + 1)],
  ]),
]);

/**
 * A size in bytes: `5GB` is decimal (5 × 10⁹), `4GiB` and the bare letter `512M` are binary (512 × 2²⁰),
 * a plain number is bytes. Fractions are allowed (`1.5GB`). E_USAGE for anything else.
 */
export function parseSize(text: string): number {
  const match = /^\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*$/.exec(text);
  const unit = UNITS.get((match?.[2] ?? '?').toLowerCase());
  const bytes = unit === undefined ? Number.NaN : Math.round(Number(match?.[1]) * unit);
  if (!Number.isSafeInteger(bytes) || bytes <= 0)
    throw new MlserError('E_USAGE', `${JSON.stringify(text)} is not a size`, {
      details: { value: text },
      hint: 'write a size like 512M, 5GB (decimal) or 4GiB (binary)',
    });
  return bytes;
}

/** How large a file may become: bytes, or a share of what it is made from. */
export type TargetSize = number | { readonly shareOfInput: number };

/** The same, or `60%`. */
export function parseTargetSize(text: string): TargetSize {
  const [, hundredths] = /^\s*(\d+(?:\.\d+)?)\s*%\s*$/.exec(text) ?? [];
  if (hundredths === undefined) return parseSize(text);
  const shareOfInput = Number(hundredths) / 100;
  if (shareOfInput > 0 && shareOfInput <= 1) return { shareOfInput };
  throw new MlserError('E_USAGE', `${JSON.stringify(text)} is no share of the input`, {
    details: { value: text },
    hint: 'write more than 0% and at most 100%',
  });
}

export const targetBytes = (size: TargetSize, inputBytes: number): number =>
  typeof size === 'number' ? size : Math.floor(size.shareOfInput * inputBytes);
