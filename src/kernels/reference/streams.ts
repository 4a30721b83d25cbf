/** Bits are put into bytes from the lowest one up. */
export class BitWriter {
  #bytes = new Uint8Array(64);
  #bits = 0;

  /** The lowest `length` (up to 32) bits of `value`, its lowest bit first. */
  put(value: number, length: number): void {
    if (this.#bits + length > this.#bytes.length * 8) {
      const more = new Uint8Array(this.#bytes.length * 2);
      more.set(this.#bytes);
      this.#bytes = more;
    }
    for (let i = 0; i < length; i++, this.#bits++) {
      const at = this.#bits >>> 3;
      this.#bytes[at] = (this.#bytes[at] ?? 0) | (((value >>> i) & 1) << (this.#bits & 7));
    }
  }

  /** What was put so far; the last byte is filled up with zeros. */
  bytes(): Uint8Array {
    return this.#bytes.slice(0, Math.ceil(this.#bits / 8));
  }
}

/** Reads what `BitWriter` wrote; past the end come zeros. */
export class BitReader {
  readonly #bytes: Uint8Array;
  #bits = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  take(length: number): number {
    let value = 0;
    for (let i = 0; i < length; i++, this.#bits++)
      value |= (((this.#bytes[this.#bits >>> 3] ?? 0) >>> (this.#bits & 7)) & 1) << i;
    return value >>> 0;
  }

  /** Whether the bytes end with the bits taken so far (filled up to a byte). */
  isAtEnd(): boolean {
    return Math.ceil(this.#bits / 8) === this.#bytes.length;
  }
}

/** Where the four quarters of `n` elements start and end; the last ones may be shorter, or empty. */
export function quarters(n: number): readonly (readonly [from: number, end: number])[] {
  const quarter = Math.ceil(n / 4);
  return [0, 1, 2, 3].map((q) => [Math.min(n, q * quarter), Math.min(n, (q + 1) * quarter)]);
}

const u32 = (values: readonly number[]): Uint8Array => {
  const view = new DataView(new ArrayBuffer(values.length * 4));
  for (const [i, value] of values.entries()) view.setUint32(i * 4, value, true);
  return new Uint8Array(view.buffer);
};

export function joinBytes(parts: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/** Four streams: the lengths of the first three (u32 each), `between` (u32 each), the streams. */
export function joinStreams(streams: readonly BitWriter[], between: readonly number[] = []): Uint8Array {
  const parts = streams.map((stream) => stream.bytes());
  return joinBytes([u32(parts.slice(0, 3).map(({ length }) => length)), u32(between), ...parts]);
}

/** The inverse, with `count` numbers between; undefined if the bytes are too few. */
export function splitStreams(
  bytes: Uint8Array,
  count = 0,
): { readonly between: readonly number[]; readonly streams: readonly BitReader[] } | undefined {
  const head = 12 + count * 4;
  if (bytes.length < head) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, head);
  const number = (i: number): number => view.getUint32(i * 4, true);
  const streams: BitReader[] = [];
  let at = head;
  for (const length of [number(0), number(1), number(2), undefined]) {
    const end = length === undefined ? bytes.length : at + length;
    if (end > bytes.length) return undefined;
    streams.push(new BitReader(bytes.subarray(at, end)));
    at = end;
  }
  return { between: Array.from({ length: count }, (_, i) => number(3 + i)), streams };
}
