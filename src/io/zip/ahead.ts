import type { ByteSource } from '../source.js';
import type { ZipMember } from './directory.js';
import { guessedBytes } from './local.js';

const FIRST = 4;
const MOST = 64;

/**
 * Announces the local headers of the next members while they are read in order, 4, 8, … 64 of them: over http each
 * is a round trip, and members of some size do not come in the blocks of their neighbours.
 */
export class HeadersAhead {
  readonly #source: ByteSource;
  /** In the order in which they lie in the archive. */
  readonly #members: readonly ZipMember[];
  readonly #places: ReadonlyMap<ZipMember, number>;
  #last = -1;
  #announced = 0;
  #count = FIRST;

  constructor(source: ByteSource, members: readonly ZipMember[]) {
    this.#source = source;
    this.#members = members;
    this.#places = new Map(members.map((member, index) => [member, index]));
  }

  /** The header of `member`, with `headBytes` of its data, is about to be read. */
  reading(member: ZipMember, headBytes: number): void {
    const place = this.#places.get(member) ?? 0;
    // In order, a few passed over: other members than tensors lie between them.
    const inOrder = place > this.#last && place <= this.#last + 3;
    this.#last = place;
    if (!inOrder) this.#count = FIRST;
    if (inOrder && place < this.#announced) return;
    const next = inOrder ? this.#members.slice(place, place + this.#count) : [];
    this.#announced = place + next.length;
    this.#count = Math.min(MOST, this.#count * 2);
    this.#source.willRead?.(
      next.map((one) => ({ offset: one.localHeaderOffset, length: guessedBytes(one, headBytes) })),
    );
  }
}
