/** BLAKE3 (specification of 2021-11-02), 256 bits, without a key. */

const IV = Uint32Array.of(
  0x6a09e667,
  0xbb67ae85,
  0x3c6ef372,
  0xa54ff53a,
  0x510e527f,
  0x9b05688c,
  0x1f83d9ab,
  0x5be0cd19,
);
const PERMUTATION = [2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8];
/** Which word of the block each round takes when. */
const SCHEDULE = schedule();
/** The four words that each of the eight mixings of a round works on: columns, then diagonals. */
const LANES = [0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15].concat([
  0, 5, 10, 15, 1, 6, 11, 12, 2, 7, 8, 13, 3, 4, 9, 14,
]);
const CHUNK_START = 1;
const CHUNK_END = 2;
const PARENT = 4;
const ROOT = 8;
const BLOCK = 64;
const CHUNK = 1024;

function schedule(): Uint8Array {
  const all: number[] = [];
  let order = PERMUTATION.map((_, i) => i);
  for (let round = 0; round < 7; round++) {
    all.push(...order);
    order = PERMUTATION.map((from) => order[from] ?? 0);
  }
  return Uint8Array.from(all);
}

const state = new Uint32Array(16);

/** The compression function; the first eight words of its result. */
function compress(
  cv: Uint32Array,
  words: Uint32Array,
  counter: number,
  size: number,
  flags: number,
): Uint32Array {
  const s = state;
  s.set(cv);
  s.set(IV.subarray(0, 4), 8);
  s[12] = counter >>> 0;
  s[13] = Math.floor(counter / 2 ** 32);
  s[14] = size;
  s[15] = flags;
  for (let at = 0; at < SCHEDULE.length; at += 2) {
    const lane = (at * 2) & 31;
    const [i, j, k, l] = [LANES[lane] ?? 0, LANES[lane + 1] ?? 0, LANES[lane + 2] ?? 0, LANES[lane + 3] ?? 0];
    let a = s[i] ?? 0;
    let b = s[j] ?? 0;
    let c = s[k] ?? 0;
    let d = s[l] ?? 0;
    a = (a + b + (words[SCHEDULE[at] ?? 0] ?? 0)) | 0;
    d ^= a;
    d = (d >>> 16) | (d << 16);
    c = (c + d) | 0;
    b ^= c;
    b = (b >>> 12) | (b << 20);
    a = (a + b + (words[SCHEDULE[at + 1] ?? 0] ?? 0)) | 0;
    d ^= a;
    d = (d >>> 8) | (d << 24);
    c = (c + d) | 0;
    b ^= c;
    b = (b >>> 7) | (b << 25);
    s[i] = a;
    s[j] = b;
    s[k] = c;
    s[l] = d;
  }
  const out = new Uint32Array(8);
  for (let i = 0; i < 8; i++) out[i] = (s[i] ?? 0) ^ (s[i + 8] ?? 0);
  return out;
}

const joined = (left: Uint32Array, right: Uint32Array): Uint32Array => {
  const words = new Uint32Array(16);
  words.set(left);
  words.set(right, 8);
  return words;
};

export class Blake3 {
  readonly #block = new Uint8Array(BLOCK);
  readonly #words = new Uint32Array(16);
  #filled = 0;
  #cv: Uint32Array = IV;
  #blocks = 0;
  /** Whole chunks so far. */
  #chunks = 0;
  /** Values of whole subtrees, the largest first. */
  readonly #stack: Uint32Array[] = [];

  update(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; ) {
      // A full block is worked on once it is known that it is not the last one.
      if (this.#filled === BLOCK) this.#next();
      const part = bytes.subarray(at, at + BLOCK - this.#filled);
      this.#block.set(part, this.#filled);
      this.#filled += part.length;
      at += part.length;
    }
  }

  #next(): void {
    const last = this.#blocks === CHUNK / BLOCK - 1;
    this.#cv = compress(this.#cv, this.#load(), this.#chunks, BLOCK, this.#flags(last));
    this.#filled = 0;
    this.#blocks++;
    if (!last) return;
    this.#chunks++;
    let value: Uint32Array = this.#cv;
    // One subtree is merged for each zero bit that the number of chunks ends with.
    for (let count = this.#chunks; count % 2 === 0; count /= 2)
      value = compress(IV, joined(this.#stack.pop() ?? IV, value), 0, BLOCK, PARENT);
    this.#stack.push(value);
    this.#cv = IV;
    this.#blocks = 0;
  }

  #flags = (last: boolean): number => (this.#blocks === 0 ? CHUNK_START : 0) | (last ? CHUNK_END : 0);

  #load(): Uint32Array {
    const view = new DataView(this.#block.buffer);
    this.#block.fill(0, this.#filled);
    for (let i = 0; i < 16; i++) this.#words[i] = view.getUint32(i * 4, true);
    return this.#words;
  }

  hex(): string {
    const flags = this.#flags(true);
    const root = this.#stack.length === 0 ? ROOT : 0;
    let value = compress(this.#cv, this.#load(), this.#chunks, this.#filled, flags | root);
    for (let i = this.#stack.length - 1; i >= 0; i--)
      value = compress(IV, joined(this.#stack[i] ?? IV, value), 0, BLOCK, PARENT | (i === 0 ? ROOT : 0));
    const out = Buffer.alloc(32);
    for (const [i, word] of value.entries()) out.writeUInt32LE(word, i * 4);
    return out.toString('hex');
  }
}
