import { spanBytes } from './pipeline.js';
import { BLOCK_ELEMENTS } from './tasks.js';

/** A stream cut into the blocks that statistics and comparisons are defined over; the last one may be shorter. */
export async function* blocksOf(
  chunks: AsyncIterable<Uint8Array>,
  bits: number,
  count: number,
): AsyncGenerator<{ readonly bytes: Uint8Array; readonly count: number }> {
  const block = new Uint8Array(spanBytes(bits, 0, BLOCK_ELEMENTS));
  let start = 0;
  let filled = 0;
  for await (const chunk of chunks) {
    for (let at = 0; at < chunk.length; ) {
      const end = Math.min(count, start + BLOCK_ELEMENTS);
      const size = spanBytes(bits, start, end);
      const part = chunk.subarray(at, at + size - filled);
      if (part.length === 0) throw new Error('a tensor streamed more bytes than it has');
      block.set(part, filled);
      filled += part.length;
      at += part.length;
      if (filled < size) continue;
      yield { bytes: block.subarray(0, size), count: end - start };
      start = end;
      filled = 0;
    }
  }
  if (start < count) throw new Error('a tensor streamed fewer bytes than it has');
}
