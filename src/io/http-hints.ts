import type { SourceRange } from './source.js';

/** Ranges nearer to each other than this are one request: as much comes in the time of a round trip. */
const GAP_BYTES = 64 * 1024;
const LARGEST_BYTES = 512 * 1024;
const AT_ONCE = 8;

interface Piece {
  readonly start: number;
  end: number;
  bytes?: Promise<Uint8Array>;
}

/**
 * Small ranges that were announced (the headers of the next members of an archive), fetched several at once and kept
 * until the next announcement.
 */
export class HintedRanges {
  readonly #fetch: (start: number, length: number) => Promise<Uint8Array>;
  #pieces: readonly Piece[] = [];

  constructor(fetch: (start: number, length: number) => Promise<Uint8Array>) {
    this.#fetch = fetch;
  }

  announce(ranges: readonly SourceRange[]): void {
    const pieces: Piece[] = [];
    for (const { offset, length } of ranges.toSorted((a, b) => a.offset - b.offset)) {
      const end = offset + length;
      const last = pieces.at(-1);
      if (last && offset - last.end <= GAP_BYTES && end - last.start <= LARGEST_BYTES)
        last.end = Math.max(last.end, end);
      else pieces.push({ start: offset, end });
    }
    this.#pieces = pieces;
    const running: Promise<unknown>[] = [];
    pieces.forEach((piece, index) => {
      // Each waits for the one that is AT_ONCE before it.
      const turn = running[index - AT_ONCE] ?? Promise.resolve();
      piece.bytes = turn.then(() => this.#fetch(piece.start, piece.end - piece.start));
      running.push(piece.bytes.catch(() => {}));
    });
  }

  /** The bytes, if they were announced and could be fetched. */
  async read(offset: number, length: number): Promise<Uint8Array | undefined> {
    const piece = this.#pieces.find(({ start, end }) => start <= offset && offset + length <= end);
    const bytes = await piece?.bytes?.catch(() => undefined); // whoever needs them asks again, and hears why
    return (
      piece && bytes && new Uint8Array(bytes.subarray(offset - piece.start, offset - piece.start + length))
    );
  }
}
