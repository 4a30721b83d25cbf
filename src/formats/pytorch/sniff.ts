import type { SniffScore } from '../../core/format.js';
import { sniffShardIndex } from '../shard-index.js';
import { isIndexName } from '../sharding.js';

export const EXTENSIONS: readonly string[] = ['.pt', '.pth', '.bin', '.ckpt', '.th'];
/** What shards of an index may be called. */
export const SHARD_EXTENSIONS: readonly string[] = ['.bin', '.pt', '.pth'];

/** LEGACY_MAGIC as LONG1 writes it. */
const MAGIC = Uint8Array.of(0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19);
const MAGIC_TEXT = '119547037146038801333356L';

const latin1 = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');

export const startsZip = (head: Uint8Array): boolean => latin1(head.subarray(0, 4)) === 'PK\x03\x04';

/** torch of 2016 wrote tar archives with a member of this name first. */
export const looksLikeTar = (head: Uint8Array): boolean =>
  head.byteLength >= 512 && /^(sys_info|pickle|tensors|storages)\0/.test(latin1(head.subarray(0, 100)));

/** The name in the first local header. */
function firstEntry(head: Uint8Array): string {
  if (head.byteLength < 30) return '';
  const length = (head[26] ?? 0) | ((head[27] ?? 0) << 8);
  return new TextDecoder().decode(head.subarray(30, 30 + length));
}

const TORCH_ENTRY =
  /^[^/]*\/(data\.pkl|constants\.pkl|version|byteorder|\.format_version|\.storage_alignment|\.data\/serialization_id|data\/\d+|code\/.*)$/;

/** Zip archives by their first entry, old files by their magic number, other pickles by their first byte and name. */
export function sniff(head: Uint8Array, name: string): SniffScore {
  const lower = name.toLowerCase();
  const named = [...EXTENSIONS, '.pkl'].some((extension) => lower.endsWith(extension));
  if (isIndexName(name)) return SHARD_EXTENSIONS.includes(sniffShardIndex(head, name) ?? '') ? 3 : 0;
  if (startsZip(head)) {
    const first = firstEntry(head);
    if (TORCH_ENTRY.test(first)) return 3;
    if (first.endsWith('.npy')) return 0;
    return latin1(head).includes('data.pkl') ? 2 : named ? 2 : 0;
  }
  const start = latin1(head.subarray(0, 40));
  if (start.includes(latin1(MAGIC)) || start.includes(MAGIC_TEXT)) return 3;
  if (looksLikeTar(head)) return 2;
  const pickle = head[0] === 0x80 && (head[1] ?? 9) <= 5;
  if (pickle) return named ? 2 : 1;
  return 0;
}
