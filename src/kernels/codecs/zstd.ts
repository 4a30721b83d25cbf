import type { Codec } from './codec.js';

/** Level: the match finder finds nothing in weights, so the fastest one that codes literals is the best. */
const LEVEL = 1;

export interface Zstd {
  compress(bytes: Uint8Array): Uint8Array;
  /** undefined unless the bytes are a frame of exactly `length` bytes. */
  decompress(bytes: Uint8Array, length: number): Uint8Array | undefined;
}

/** In Node from 22.15 on; its types are newer than ours. */
interface NativeZstd {
  zstdDecompressSync?: (bytes: Uint8Array, options: { maxOutputLength: number }) => Uint8Array;
}

let loaded: Promise<Zstd> | undefined;

/**
 * zstd. Always compressed by the same WebAssembly build, so that the bytes do not depend on the version of Node;
 * decompressed natively where Node can.
 */
export function loadZstd(): Promise<Zstd> {
  loaded ??= load();
  return loaded;
}

async function load(): Promise<Zstd> {
  const { default: wasm } = await import('@foxglove/wasm-zstd');
  await wasm.isLoaded;
  const zlib = (await import('node:zlib')) as NativeZstd;
  const native = zlib.zstdDecompressSync;
  return {
    compress: (bytes) => wasm.compress(bytes, LEVEL),
    decompress(bytes, length) {
      try {
        const out = native
          ? native(bytes, { maxOutputLength: Math.max(1, length) })
          : wasm.decompress(bytes, length);
        return out.byteLength === length ? out : undefined;
      } catch {
        return undefined; // not a frame, or one of more bytes
      }
    },
  };
}

/** The chunk as one zstd frame (RFC 8878). */
export const zstdCodec = (zstd: Zstd): Codec => ({
  id: 1,
  name: 'zstd',
  needsBase: false,
  encode({ raw, stored }, { length }, limit) {
    const packed = zstd.compress(raw.bytes.subarray(0, length));
    if (packed.byteLength >= limit) return undefined;
    stored.bytes.set(packed);
    return packed.byteLength;
  },
  decode({ raw, stored }, { length: bytes }, length) {
    const unpacked = zstd.decompress(stored.bytes.slice(0, length), bytes);
    if (!unpacked) return false;
    raw.bytes.set(unpacked);
    return true;
  },
});
