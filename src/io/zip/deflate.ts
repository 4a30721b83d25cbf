import { Deflate } from 'fflate';
import { crc32 } from '../crc32.js';

/**
 * Deflates chunks as they are pulled; `sum` tells CRC-32 and size of the raw bytes once `output` has ended. By fflate: what
 * Node's zlib writes depends on its version and on the processor, and the same model is to be the same bytes anywhere.
 */
export function deflated(chunks: AsyncIterable<Uint8Array>): {
  output: AsyncIterable<Uint8Array>;
  sum: { readonly crc: number; readonly size: number };
} {
  const sum = { crc: 0, size: 0 };
  const pieces: Uint8Array[] = [];
  const deflate = new Deflate({ level: 6 }, (piece) => pieces.push(piece));
  const output = async function* (): AsyncGenerator<Uint8Array> {
    for await (const chunk of chunks) {
      sum.crc = crc32(chunk, sum.crc);
      sum.size += chunk.byteLength;
      deflate.push(chunk);
      yield* pieces.splice(0);
    }
    deflate.push(new Uint8Array(), true);
    yield* pieces;
  };
  return { output: output(), sum };
}
