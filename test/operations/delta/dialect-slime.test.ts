import { readdirSync, readFileSync, writeFileSync } from 'node:fs';

import path from 'node:path';
import { describe, expect, it } from 'vitest';

import { LIMITS } from '../../../src/core/limits.js';

import { memoryTensor } from '../../../src/core/tensor.js';
import { layOut } from '../../../src/formats/safetensors/layout.js';
import { stageOutput } from '../../../src/io/staged.js';
import { loadZstd } from '../../../src/kernels/codecs/zstd.js';

import { pack, refuseLarge } from '../../../src/operations/delta/dialects/zstd.js';

import {
  applied,
  contentOf,
  context,
  type Form,
  failure,
  get,
  modelOf,
  newFolder,
  write,
} from '../../support/dialects.js';

describe('slime deltas', () => {
  const SHARD = 'model-00000-of-00001.safetensors';
  const INDEX = 'model.safetensors.index.json';
  const small: readonly Form[] = [['w', 'bf16', [8]]];
  const from = modelOf(small);

  /** A delta of one tensor with this content, as it stands. */
  async function folderOf(
    content: Uint8Array,
    metadata: Readonly<Record<string, unknown>> = {},
    digest = '0'.repeat(8),
    packed?: Uint8Array,
  ): Promise<string> {
    const folder = newFolder();
    const blob = packed ?? (await pack(content));
    const tensor = memoryTensor({ name: 'w', dtype: 'u8', shape: [blob.length] }, blob);
    const { header } = layOut([tensor], new Map(digest === '' ? [] : [['w', digest]]));
    writeFileSync(path.join(folder, SHARD), Buffer.concat([header, blob]));
    const index = {
      metadata: {
        version: '000001',
        base_version: '000000',
        delta_encoding: 'overwrite',
        compression_format: 'zstd',
        checksum_format: 'adler32',
        ...metadata,
      },
      weight_map: { w: SHARD },
    };
    writeFileSync(path.join(folder, INDEX), JSON.stringify(index));
    return folder;
  }
  const overwrite = (count: number, positions: readonly number[], values: readonly number[]): Uint8Array =>
    Buffer.concat([Buffer.from(Uint32Array.of(count, ...positions).buffer), Uint8Array.from(values)]);
  const outcome = (folder: string): Promise<string> => failure(applied(from, folder, contentOf));

  it('have the published index', async () => {
    const to = modelOf(small, (_, bytes) => bytes.fill(3));
    for (const [id, encoding] of [
      ['slime-xor', 'xor'],
      ['slime-overwrite', 'overwrite'],
    ] as const) {
      const { folder } = await write(get(id), from, to, { baseVersion: 41, checksum: 'blake3' });
      expect(readdirSync(folder).sort()).toEqual([SHARD, INDEX]);
      expect(JSON.parse(readFileSync(path.join(folder, INDEX), 'utf8'))).toEqual({
        metadata: {
          version: '000042',
          base_version: '000041',
          delta_encoding: encoding,
          compression_format: 'zstd',
          checksum_format: 'blake3',
        },
        weight_map: { w: SHARD },
      });
      await applied(from, folder, async (result) =>
        expect(await contentOf(result)).toBe(await contentOf(to)),
      );
    }
    const { folder } = await write(get('slime-xor'), from, from);
    expect(readdirSync(folder)).toEqual([INDEX]);
  });

  it('name the tensor whose checksum is wrong', async () => {
    for (const id of ['slime-xor', 'slime-overwrite']) {
      const to = modelOf(small, (_, bytes) => bytes.fill(3));
      const { folder } = await write(get(id), from, to, { checksum: 'xxh3-128' });
      const file = path.join(folder, SHARD);
      const text = readFileSync(file, 'latin1');
      const digest = /"w":"([0-9a-f]{32})"/.exec(text)?.[1] ?? '';
      const tampered = digest.replace(/.$/, (last) => (last === '0' ? '1' : '0'));
      writeFileSync(file, text.replace(digest, tampered), 'latin1');
      expect(await outcome(folder)).toBe('E_INTEGRITY w');
    }
  });

  it('are read where positions are right', async () => {
    const folder = await folderOf(overwrite(0, [], []));
    expect(await outcome(folder)).toBe('E_INTEGRITY w'); // the checksum is not
  });

  it.each([
    ['twice', overwrite(2, [3, 3], [1, 2]), 'E_MALFORMED w'],
    ['out of order', overwrite(2, [4, 3], [1, 2]), 'E_MALFORMED w'],
    ['out of the tensor', overwrite(1, [16], [1]), 'E_MALFORMED w'],
    ['far out of the tensor', overwrite(1, [0xffffffff], [1]), 'E_MALFORMED w'],
    ['too few for their count', overwrite(0xffffffff, [3], [1]), 'E_MALFORMED w'],
    ['too many for their count', overwrite(0, [3], [1]), 'E_MALFORMED w'],
    ['without all their values', overwrite(2, [3, 4], [1]), 'E_BASE_MISMATCH w'],
    [
      'more than there are bytes',
      overwrite(17, [...Array(17).keys()], Array(17).fill(1)),
      'E_BASE_MISMATCH w',
    ],
    ['cut off', Uint8Array.of(1, 0), 'E_BASE_MISMATCH w'],
  ])('refuse positions %s', async (_, content, expected) => {
    expect(await outcome(await folderOf(content))).toBe(expected);
  });

  it.each([
    [{ compression_format: 'lz4' }, 'E_UNSUPPORTED'],
    [{ checksum_format: 'md5' }, 'E_UNSUPPORTED'],
    [{ checksum_format: 'blake3' }, 'E_MALFORMED w'], // a digest of another length
    [{ base_version: 'first' }, 'E_MALFORMED'],
    [{ base_version: '000001' }, 'E_MALFORMED'],
    [{ version: undefined }, 'E_MALFORMED'],
    [{ compression_format: 7 }, 'E_MALFORMED'],
  ])('refuse an index that says %j', async (metadata, expected) => {
    expect(await outcome(await folderOf(overwrite(0, [], []), metadata))).toBe(expected);
  });

  it('refuse a tensor without checksum, and what is no zstd frame', async () => {
    const content = overwrite(0, [], []);
    expect(await outcome(await folderOf(content, {}, ''))).toBe('E_MALFORMED w');
    const packed = await pack(content);
    for (const broken of [new Uint8Array(), Uint8Array.of(1, 2, 3, 4, 5, 6, 7), packed.subarray(0, -1)])
      expect(await outcome(await folderOf(content, {}, undefined, broken))).toBe('E_MALFORMED w');
    // A frame that claims to be of petabytes asks for nothing.
    const huge = Buffer.alloc(20);
    huge.set([0x28, 0xb5, 0x2f, 0xfd, 0xe0]);
    huge.writeBigUInt64LE(1n << 50n, 5);
    expect(await outcome(await folderOf(content, {}, undefined, huge))).toBe('E_BASE_MISMATCH w');
  });

  it('refuse a tensor that would pass our memory', () => {
    const limit = LIMITS.DELTA_ZSTD_BYTES;
    expect(() => refuseLarge('w', limit)).toThrow(/DELTA_ZSTD_BYTES/);
    expect(() => refuseLarge('w', limit / 2 - (1 << 24))).not.toThrow();
  });

  it('pack into one frame, which says its length', async () => {
    const packed = await pack(new Uint8Array(300_000));
    expect((await loadZstd()).decompress(packed, 300_000)?.length).toBe(300_000);
    expect(packed[4]! >> 6).toBeGreaterThan(0);
  });

  it('are folders with a name of their own', async () => {
    const files = stageOutput(path.join(newFolder(), 'my.safetensors'), { force: false });
    expect(await failure(get('slime-xor').write(from, from, files, context))).toBe('E_USAGE');
    await files.abort();
  });
});
