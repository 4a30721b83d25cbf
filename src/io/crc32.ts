import { createRequire } from 'node:module';
import { MlserError } from '../errors.js';

/** Reversed polynomial of CRC-32 (ISO 3309, as zip and gzip use it). */
const POLYNOMIAL = 0xedb88320;

const table = (() => {
  const out = new Uint32Array(256);
  for (let n = 0; n < 256; n++) {
    let c = n;
    for (let k = 0; k < 8; k++) c = c & 1 ? (c >>> 1) ^ POLYNOMIAL : c >>> 1;
    out[n] = c >>> 0;
  }
  return out;
})();

export type Crc32 = (bytes: Uint8Array, seed?: number) => number;
let fastest: Crc32 | undefined;

/** CRC-32 (ISO 3309), continuing from `seed`. Node has it natively from 20.15 on. */
export function crc32(bytes: Uint8Array, seed = 0): number {
  fastest ??= native() ?? crc32Plain;
  return fastest(bytes, seed);
}

/** node:zlib takes milliseconds to load, which whoever only looks at headers need not wait for. */
function native(): Crc32 | undefined {
  const zlib: { crc32?: Crc32 } = createRequire(import.meta.url)('node:zlib');
  return zlib.crc32;
}

export function crc32Plain(bytes: Uint8Array, seed = 0): number {
  let c = ~seed >>> 0;
  for (const byte of bytes) c = ((table[(c ^ byte) & 0xff] ?? 0) ^ (c >>> 8)) >>> 0;
  return ~c >>> 0;
}

/** a·b modulo the polynomial; bit 31 is x^0 (the reflected order of CRC-32). */
function multiply(a: number, b: number): number {
  let product = 0;
  for (let bit = 0x80000000; bit !== 0; bit >>>= 1) {
    if (a & bit) product ^= b;
    b = b & 1 ? (b >>> 1) ^ POLYNOMIAL : b >>> 1;
  }
  return product >>> 0;
}

/**
 * CRC-32 of A followed by B from the two CRCs and the length of B in bytes: crc(A)·x^(8·length) + crc(B).
 * Lets pieces be checked in parallel, and a header be put before data that was summed alone.
 */
export function crc32Combine(first: number, second: number, secondLength: number): number {
  if (secondLength !== lastShift.length) lastShift = { length: secondLength, shift: shiftBy(secondLength) };
  return (multiply(lastShift.shift, first) ^ second) >>> 0;
}

/** Pieces of one file mostly have one length: its power is kept. */
let lastShift = { length: 0, shift: 0x80000000 };

/** x^(8·length) modulo the polynomial. */
function shiftBy(length: number): number {
  let power = 0x00800000; // x^8
  let shift = 0x80000000; // x^0
  for (let n = length; n > 0; n = Math.floor(n / 2)) {
    if (n % 2 === 1) shift = multiply(shift, power);
    power = multiply(power, power);
  }
  return shift;
}

/** CRC-32 of every `length` bytes of a stream that arrives in chunks of any size; the last piece is the rest. */
export class PieceCrcs {
  readonly #length: number;
  readonly #sum: Crc32;
  readonly #crcs: number[] = [];
  #crc = 0;
  #filled = 0;

  /** `sum`: what sums bytes that lie where the caller has a faster way. */
  constructor(length: number, sum: Crc32 = crc32) {
    this.#length = length;
    this.#sum = sum;
  }

  update(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.byteLength; ) {
      const part = bytes.subarray(at, at + this.#length - this.#filled);
      this.#crc = this.#sum(part, this.#crc);
      this.#filled += part.byteLength;
      at += part.byteLength;
      if (this.#filled === this.#length) this.#close();
    }
  }

  finish(): readonly number[] {
    if (this.#filled > 0) this.#close();
    return this.#crcs;
  }

  #close(): void {
    this.#crcs.push(this.#crc);
    this.#crc = 0;
    this.#filled = 0;
  }
}

/** What the bytes of a range must sum up to: `crc32(bytes, seed) === expect`. The seed is the CRC of what lies before. */
export interface Crc32Check {
  readonly seed: number;
  readonly expect: number;
}

export const crcHex = (crc: number): string => crc.toString(16).padStart(8, '0');

/** E_INTEGRITY: `what` (a tensor, a member) of `file` does not have the sum that the file records. */
export const crcMismatch = (what: string, file: string, expect: number, found: number): MlserError =>
  new MlserError(
    'E_INTEGRITY',
    `${file}: the bytes of ${what} do not match their CRC-32 (recorded ${crcHex(expect)}, found ${crcHex(found)})`,
    {
      details: { file, part: what, recorded: crcHex(expect), found: crcHex(found) },
      hint: 'the file was damaged after it was written: download or copy it again',
    },
  );

/** Passes chunks through and throws E_INTEGRITY at the end if their sum is wrong. */
export async function* crcChecked(
  chunks: AsyncIterable<Uint8Array>,
  check: Crc32Check,
  what: string,
  file: string,
): AsyncGenerator<Uint8Array> {
  let crc = check.seed;
  for await (const chunk of chunks) {
    crc = crc32(chunk, crc);
    yield chunk;
  }
  if (crc !== check.expect) throw crcMismatch(what, file, check.expect, crc);
}
