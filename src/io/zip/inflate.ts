import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import * as zlib from 'node:zlib';
import { CHUNK_BYTES } from '../source.js';

/** Raw deflate streams (RFC 1951), by node:zlib: its errors come through as they are. */

/** Not a Buffer, whose `slice` makes no copy. */
const plain = ({ buffer, byteOffset, byteLength }: Buffer): Uint8Array =>
  new Uint8Array(buffer, byteOffset, byteLength);

/** All of a small stream. Throws ERR_BUFFER_TOO_LARGE where more than `most` bytes would come out. */
export const inflateAll = (packed: Uint8Array, most: number): Uint8Array =>
  plain(zlib.inflateRawSync(packed, { maxOutputLength: most }));

/** What the first bytes of a stream give. */
export const inflateStart = (packed: Uint8Array): Uint8Array =>
  plain(zlib.inflateRawSync(packed, { finishFlush: zlib.constants.Z_SYNC_FLUSH }));

/** A stream of any length, in chunks of at most CHUNK_BYTES. Errors of the source come through too. */
export async function* inflateStream(packed: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const inflate = zlib.createInflateRaw({ chunkSize: CHUNK_BYTES });
  // The chunks are pulled below; a failure of the source or of the inflater arrives there too.
  pipeline(Readable.from(packed), inflate).catch(() => {});
  for await (const chunk of inflate) yield plain(chunk as Buffer);
}
