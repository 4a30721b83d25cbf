const MODULUS = 65521;
/** Bytes after which the sums may pass 32 bits. */
const RUN = 5552;

/** Adler-32 (RFC 1950). */
export class Adler32 {
  #a = 1;
  #b = 0;

  update(bytes: Uint8Array): void {
    let [a, b] = [this.#a, this.#b];
    for (let at = 0; at < bytes.length; ) {
      const end = Math.min(bytes.length, at + RUN);
      for (; at < end; at++) {
        a += bytes[at] ?? 0;
        b += a;
      }
      a %= MODULUS;
      b %= MODULUS;
    }
    this.#a = a;
    this.#b = b;
  }

  hex(): string {
    return (this.#b * 65536 + this.#a).toString(16).padStart(8, '0');
  }
}
