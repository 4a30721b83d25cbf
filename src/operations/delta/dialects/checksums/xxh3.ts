import { finishXxh3, read64, SECRET, shortXxh3 } from './xxh3-short.js';

/** XXH3 with 128 bits and seed 0 (xxHash 0.8): bytes of any number in pieces of any size. */

const STRIPE = 64;
/** Stripes between two scramblings. */
const STRIPES = 16;
/** Inputs up to this length have formulas of their own. */
const SHORT = 240;
const PRIME32_1 = 0x9e3779b1;
const SECRET_WORDS = new Uint32Array(SECRET.length / 4 + 8);
for (let i = 0; i < SECRET.length / 4; i++)
  SECRET_WORDS[i] = new DataView(SECRET.buffer).getUint32(i * 4, true);
/** The secret of the last stripe begins at no multiple of 4. */
const LAST_WORDS = new Uint32Array(16);
for (let i = 0; i < 16; i++)
  LAST_WORDS[i] = new DataView(SECRET.buffer).getUint32(SECRET.length - STRIPE - 7 + i * 4, true);

const START = [
  0xc2b2ae3d, 0, 0x85ebca87, 0x9e3779b1, 0x27d4eb4f, 0xc2b2ae3d, 0x9e3779f9, 0x165667b1, 0xc2b2ae63,
  0x85ebca77, 0x85ebca77, 0, 0x165667c5, 0x27d4eb2f, 0x9e3779b1, 0,
];

export class Xxh3 {
  /** Eight sums of 64 bits, the low half of each first. */
  readonly #sums = Uint32Array.from(START);
  readonly #head = new Uint8Array(SHORT);
  readonly #open = new Uint8Array(STRIPE);
  readonly #before = new Uint8Array(STRIPE);
  #filled = 0;
  #length = 0;
  #stripes = 0;

  update(bytes: Uint8Array): void {
    if (this.#length < SHORT) this.#head.set(bytes.subarray(0, SHORT - this.#length), this.#length);
    this.#length += bytes.length;
    let at = 0;
    // A stripe counts once it is known that more follows.
    while (this.#filled + bytes.length - at > STRIPE) {
      if (this.#filled === 0) {
        this.#stripe(bytes, at);
        at += STRIPE;
        if (bytes.length - at <= STRIPE) this.#before.set(bytes.subarray(at - STRIPE, at));
        continue;
      }
      const part = bytes.subarray(at, at + STRIPE - this.#filled);
      this.#open.set(part, this.#filled);
      at += part.length;
      this.#stripe(this.#open, 0);
      this.#before.set(this.#open);
      this.#filled = 0;
    }
    this.#open.set(bytes.subarray(at), this.#filled);
    this.#filled += bytes.length - at;
  }

  #stripe(bytes: Uint8Array, at: number): void {
    const view = new DataView(bytes.buffer, bytes.byteOffset + at, STRIPE);
    add(this.#sums, view, SECRET_WORDS, (this.#stripes % STRIPES) * 2);
    this.#stripes++;
    if (this.#stripes % STRIPES === 0) scramble(this.#sums);
  }

  hex(): string {
    if (this.#length <= SHORT) return shortXxh3(this.#head.subarray(0, this.#length));
    const last = new Uint8Array(STRIPE);
    last.set(this.#before.subarray(this.#filled));
    last.set(this.#open.subarray(0, this.#filled), STRIPE - this.#filled);
    const sums = Uint32Array.from(this.#sums);
    add(sums, new DataView(last.buffer), LAST_WORDS, 0);
    const bytes = new Uint8Array(sums.buffer);
    return finishXxh3(
      Array.from({ length: 8 }, (_, i) => read64(bytes, i * 8)),
      BigInt(this.#length),
    );
  }
}

/** One stripe into the sums: lane by lane, in halves of 32 bits. */
function add(sums: Uint32Array, stripe: DataView, secret: Uint32Array, from: number): void {
  for (let i = 0; i < 16; i += 2) {
    const low = stripe.getUint32(i * 4, true);
    const high = stripe.getUint32(i * 4 + 4, true);
    const a = (low ^ (secret[from + i] ?? 0)) >>> 0;
    const b = (high ^ (secret[from + i + 1] ?? 0)) >>> 0;
    // a × b: the low half by imul, the high half in pieces of 16 bits.
    const al = a & 0xffff;
    const bl = b & 0xffff;
    const ah = a >>> 16;
    const bh = b >>> 16;
    const middle = ah * bl + ((al * bl) >>> 16);
    const other = al * bh + (middle & 0xffff);
    const productHigh = ah * bh + (middle >>> 16) + (other >>> 16);
    const ownLow = (sums[i] ?? 0) + (Math.imul(a, b) >>> 0);
    sums[i] = ownLow;
    sums[i + 1] = (sums[i + 1] ?? 0) + productHigh + (ownLow > 0xffffffff ? 1 : 0);
    const j = i ^ 2; // the neighbour takes the bytes as they are
    const nextLow = (sums[j] ?? 0) + low;
    sums[j] = nextLow;
    sums[j + 1] = (sums[j + 1] ?? 0) + high + (nextLow > 0xffffffff ? 1 : 0);
  }
}

function scramble(sums: Uint32Array): void {
  const from = SECRET.length / 4 - 16;
  for (let i = 0; i < 16; i += 2) {
    const high = sums[i + 1] ?? 0;
    const a = ((sums[i] ?? 0) ^ (high >>> 15) ^ (SECRET_WORDS[from + i] ?? 0)) >>> 0; // x ^ x >> 47
    const b = (high ^ (SECRET_WORDS[from + i + 1] ?? 0)) >>> 0;
    const product = BigInt(a) * BigInt(PRIME32_1);
    sums[i] = Number(product & 0xffffffffn);
    sums[i + 1] = Number(product >> 32n) + (Math.imul(b, PRIME32_1) >>> 0);
  }
}
