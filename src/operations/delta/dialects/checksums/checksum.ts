import { MlserError } from '../../../../errors.js';
import { Adler32 } from './adler32.js';
import { Blake3 } from './blake3.js';
import { Xxh3 } from './xxh3.js';

/** A running checksum, written as lower-case hexadecimal digits. */
export interface Checksum {
  update(bytes: Uint8Array): void;
  hex(): string;
}

interface Algorithm {
  /** Length of the text. */
  readonly digits: number;
  start(): Checksum;
}

/** The algorithms that slime may choose from, by the names that it writes. The first one is its default. */
const ALGORITHMS: ReadonlyMap<string, Algorithm> = new Map([
  ['xxh3-128', { digits: 32, start: () => new Xxh3() }],
  ['blake3', { digits: 64, start: () => new Blake3() }],
  ['adler32', { digits: 8, start: () => new Adler32() }],
]);
export const DEFAULT_CHECKSUM = 'xxh3-128';

/** @throws E_UNSUPPORTED naming those that are known. */
export function checksumNamed(name: string): Algorithm {
  const found = ALGORITHMS.get(name);
  if (found) return found;
  throw new MlserError('E_UNSUPPORTED', `no checksum is known as ${JSON.stringify(name.slice(0, 40))}`, {
    details: { checksum: name.slice(0, 40) },
    hint: `known are ${[...ALGORITHMS.keys()].join(', ')}`,
  });
}

export const isDigest = (text: string, { digits }: Algorithm): boolean =>
  text.length === digits && /^[0-9a-f]+$/.test(text);
