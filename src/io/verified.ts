import { crc32, crcMismatch } from './crc32.js';
import { type ByteSource, readChunks } from './source.js';

const verified = new WeakMap<ByteSource, Promise<void>>();

async function verify(source: ByteSource, expect: number): Promise<void> {
  let crc = 0;
  for await (const chunk of readChunks(source, 0, source.size)) crc = crc32(chunk, crc);
  if (crc !== expect) throw crcMismatch('all of it', source.name, expect, crc);
}

/**
 * A source whose recorded CRC-32 is checked (E_INTEGRITY) before the first read is answered, by one pass over all of
 * it, once however often it is wrapped: for consumers that read parts, or in no order, and so can't sum as they go.
 * It says no more where its bytes lie, so that nobody reads past the check. Itself if it records none.
 */
export function verifiedSource(source: ByteSource): ByteSource {
  const { name, size } = source;
  if (source.crc32 === undefined) return source;
  const expect: number = source.crc32;
  return {
    name,
    size,
    derived: true,
    async read(offset, length) {
      let check = verified.get(source);
      if (check === undefined) {
        check = verify(source, expect);
        verified.set(source, check);
      }
      await check;
      return source.read(offset, length);
    },
  };
}
