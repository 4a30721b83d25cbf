import { type ByteSource, checkRange } from './source.js';

/** Bytes already in memory. `read` gives views: the caller must not write into them. */
export function memorySource(bytes: Uint8Array, name = '(memory)'): ByteSource {
  const source = { name, size: bytes.byteLength };
  // A Buffer would give views where callers of `slice` expect copies.
  const plain = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return {
    ...source,
    async read(offset, length) {
      checkRange(source, offset, length);
      return plain.subarray(offset, offset + length);
    },
  };
}
