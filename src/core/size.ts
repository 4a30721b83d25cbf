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
