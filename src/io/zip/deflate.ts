import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import * as zlib from 'node:zlib';
import { crc32 } from '../crc32.js';
import { CHUNK_BYTES } from '../source.js';

/** Deflates chunks as they are pulled; `sum` tells CRC-32 and size of the raw bytes once `output` has ended. */
export function deflated(chunks: AsyncIterable<Uint8Array>): {
  output: AsyncIterable<Uint8Array>;
  sum: { readonly crc: number; readonly size: number };
} {
  const sum = { crc: 0, size: 0 };
  const measured = async function* (): AsyncGenerator<Uint8Array> {
    for await (const chunk of chunks) {
      sum.crc = crc32(chunk, sum.crc);
      sum.size += chunk.byteLength;
      yield chunk;
    }
  };
  const deflate = zlib.createDeflateRaw({ level: 6, chunkSize: CHUNK_BYTES });
  // Errors of the source and of zlib come out of the iteration of `deflate`.
  pipeline(Readable.from(measured(), { objectMode: true }), deflate).catch(() => {});
  return { output: deflate, sum };
}
