import * as zlib from 'node:zlib';

const table = (() => {
  const out = new Uint32Array(256);
  for (let n = 0; n < 256; n++) {
    let c = n;
    for (let k = 0; k < 8; k++) c = c & 1 ? (c >>> 1) ^ 0xedb88320 : c >>> 1;
    out[n] = c >>> 0;
  }
  return out;
})();

/** CRC-32 (ISO 3309), continuing from `seed`. Node has it natively from 20.15 on. */
export function crc32(bytes: Uint8Array, seed = 0): number {
  const native = (zlib as { crc32?: (data: Uint8Array, value?: number) => number }).crc32;
  return native ? native(bytes, seed) : crc32Plain(bytes, seed);
}

export function crc32Plain(bytes: Uint8Array, seed = 0): number {
  let c = ~seed >>> 0;
  for (const byte of bytes) c = ((table[(c ^ byte) & 0xff] ?? 0) ^ (c >>> 8)) >>> 0;
  return ~c >>> 0;
}
