import type { WorkContext } from '../../../core/format.js';
import { MlserError } from '../../../errors.js';
import { viewAs } from '../../../kernels/views.js';
import type { DialectOptions } from './dialect.js';
import { type Pair, type Piece, piecesOf, sameBytes } from './pairs.js';

/** Elements of `width` bytes whose bits changed; stops counting at `enough`. */
export async function changedOf(
  pair: Pair,
  width: number,
  context: WorkContext,
  enough = Number.POSITIVE_INFINITY,
): Promise<number> {
  let count = 0;
  for await (const piece of piecesOf(pair, context)) {
    if (!sameBytes(piece.old, piece.new)) eachChanged(piece, width, () => count++);
    context.progress.advance(piece.new.length);
    if (count >= enough) break;
  }
  return count;
}

/** Calls with the index, in the piece, of each element of `width` bytes whose bits changed. */
export function eachChanged(piece: Piece, width: number, found: (index: number) => void): void {
  const type = width % 4 === 0 ? Uint32Array : width % 2 === 0 ? Uint16Array : Uint8Array;
  const step = width / type.BYTES_PER_ELEMENT;
  const count = piece.new.length / type.BYTES_PER_ELEMENT;
  const [a, b] = [
    viewAs<Uint32Array | Uint16Array | Uint8Array>(type, piece.old, count),
    viewAs<Uint32Array | Uint16Array | Uint8Array>(type, piece.new, count),
  ];
  for (let i = 0; i < count; i++) {
    if (a[i] === b[i]) continue;
    const index = Math.floor(i / step);
    found(index);
    i = (index + 1) * step - 1; // on to the next element
  }
}

/** The two numbers of a delta, six digits each. */
export function versionsOf({ version, baseVersion = 0 }: DialectOptions): {
  readonly version: string;
  readonly baseVersion: string;
} {
  const next = version ?? baseVersion + 1;
  for (const number of [next, baseVersion])
    if (!Number.isSafeInteger(number) || number < 0) throw wrong(next, baseVersion);
  if (next <= baseVersion) throw wrong(next, baseVersion);
  const text = (number: number): string => String(number).padStart(6, '0');
  return { version: text(next), baseVersion: text(baseVersion) };
}

const wrong = (version: number, baseVersion: number): MlserError =>
  new MlserError('E_USAGE', `a delta from version ${baseVersion} to version ${version} is not possible`, {
    details: { version, baseVersion },
    hint: 'versions are whole numbers that rise',
  });
