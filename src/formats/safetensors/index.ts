import type { FormatDescriptor, SniffScore } from '../../core/format.js';
import { LIMITS } from '../../core/limits.js';
import { sniffShardIndex } from '../shard-index.js';
import { isIndexName } from '../sharding.js';
import { SAFETENSORS_DTYPES } from './dtypes.js';

/** safetensors 0.8, single files and sharded folders with an index. */
export const safetensors: FormatDescriptor = {
  id: 'safetensors',
  title: 'safetensors',
  extensions: ['.safetensors'],
  dtypes: SAFETENSORS_DTYPES,
  keeps: { metadata: true, aliases: false, training: false, graph: false },
  sniff,
  reader: async () => (await import('./reader.js')).reader,
  writer: async () => (await import('./writer.js')).writer,
};

/** There is no magic number: a small header length and the { of the header are the sign. */
function sniff(head: Uint8Array, name: string, size: number): SniffScore {
  if (isIndexName(name)) return sniffShardIndex(head, name) === '.safetensors' ? 3 : 0;
  const named = name.toLowerCase().endsWith('.safetensors');
  if (head.byteLength >= 9 && head[8] === 0x7b) {
    const length = new DataView(head.buffer, head.byteOffset, 8).getBigUint64(0, true);
    const next = head[9];
    const object = length > 1n && (next === 0x22 || next === 0x7d || isSpace(next));
    if (object && length <= BigInt(LIMITS.SAFETENSORS_HEADER_BYTES))
      return BigInt(size - 8) >= length ? 3 : 2; // 2: cut off, which the reader explains
  }
  return named ? 1 : 0;
}

const isSpace = (byte: number | undefined): boolean =>
  byte === 0x20 || byte === 0x09 || byte === 0x0a || byte === 0x0d;
