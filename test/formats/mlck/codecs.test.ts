import * as zlib from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { DTYPES, type DType, tensorBytes } from '../../../src/core/dtype.js';
import { encodeChunk } from '../../../src/formats/mlck/codecs/choose.js';
import { loadCodec, loadCodecs } from '../../../src/formats/mlck/codecs/index.js';
import { planeWidth } from '../../../src/formats/mlck/codecs/planes.js';
import { loadZstd } from '../../../src/formats/mlck/codecs/zstd.js';
import { sha256Hex } from '../../../src/io/hashing.js';
import { numbered, weights } from '../../support/checkpoint-model.js';

const zeros = new Uint8Array(1 << 20);
/** Neither bytes nor planes of it compress. */
const noise = Uint8Array.from(
  { length: 4096 },
  ((state) => () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state >>> 24;
  })(7),
);

const bf16 = (bytes: Uint8Array): Uint8Array => bytes.filter((_, i) => i % 4 >= 2);

describe('codecs', () => {
  it('every codec gives back what it was given, for every type', async () => {
    for (const codec of await loadCodecs())
      for (const dtype of DTYPES) {
        if (dtype === 'str') continue;
        const bytes = numbered(tensorBytes(dtype, [4, 256]), 1);
        const stored = codec.encode(bytes, dtype);
        if (stored) {
          expect(stored.byteLength).toBeLessThan(bytes.byteLength);
          expect(Buffer.compare(codec.decode(stored, bytes.byteLength, dtype) ?? zeros, bytes), dtype).toBe(
            0,
          );
        } else expect(planeWidth(dtype) === undefined || codec.name === 'planes').toBe(true);
      }
  });

  it('weights go into planes and lose a share of their bytes: 16 % of f32, 30 % of bf16', async () => {
    const codecs = await loadCodecs();
    const f32 = weights(1 << 18);
    const packed = encodeChunk(f32, 'f32', codecs);
    expect(packed.codec).toBe(2);
    expect(packed.bytes.byteLength / f32.byteLength).toBeLessThan(0.86);
    const half = bf16(f32);
    const packedHalf = encodeChunk(half, 'bf16', codecs);
    expect(packedHalf.codec).toBe(2);
    expect(packedHalf.bytes.byteLength / half.byteLength).toBeLessThan(0.71);
  });

  it('never stores more than raw', async () => {
    const codecs = await loadCodecs();
    expect(encodeChunk(noise, 'f32', codecs)).toEqual({ codec: 0, bytes: noise });
    expect(encodeChunk(noise.subarray(0, 1), 'u8', codecs).codec).toBe(0);
    expect(encodeChunk(zeros, 'u8', codecs)).toMatchObject({ codec: 1 });
    expect(encodeChunk(zeros, 'u8', codecs).bytes.byteLength).toBeLessThan(200);
  });

  it('writes the same bytes on every version of Node', async () => {
    const codecs = await loadCodecs();
    const hashes = await Promise.all(
      (['f32', 'u8', 'f64', 'bf16'] as const).map(async (dtype) => {
        const { bytes } = encodeChunk(dtype === 'u8' ? numbered(100_000) : weights(1 << 16), dtype, codecs);
        return (await sha256Hex([bytes])).slice(0, 16);
      }),
    );
    expect(hashes).toMatchInlineSnapshot(`
      [
        "7cf118a96fea67dc",
        "d60eba16509f7770",
        "c35f0c02ce40417b",
        "3d40f14c133fe30f",
      ]
    `);
  });

  it('refuses stored bytes that are none of the codec, or of another length', async () => {
    for (const codec of await loadCodecs()) {
      const raw = weights(1000);
      const stored = codec.encode(raw, 'f32') ?? new Uint8Array();
      const no = (bytes: Uint8Array, length: number, dtype: DType = 'f32') =>
        expect(codec.decode(bytes, length, dtype)).toBe(undefined);
      no(stored, 3996);
      no(stored, 4004);
      no(stored.subarray(0, -1), 4000);
      no(new Uint8Array(), 4000);
      no(noise, 4000);
      if (codec.name === 'planes') {
        no(stored, 4000, 'u8');
        no(Buffer.concat([stored, stored]), 4000);
        const longer = Uint8Array.from(stored);
        longer[4] = 0x7f; // a plane of 2 GB
        no(longer, 4000);
        const method = Uint8Array.from(stored);
        method[0] = 9;
        no(method, 4000);
      }
    }
  });

  it('numbers without a codec have none', () => {
    for (const id of [0, 3, 255, 2 ** 32 - 1]) expect(loadCodec(id)).toBe(undefined);
  });
});

describe('zstd', () => {
  it('does not unfold a frame beyond the length that is asked for', async () => {
    const zstd = await loadZstd();
    const bomb = zstd.compress(new Uint8Array(64 << 20));
    expect(bomb.byteLength).toBeLessThan(10_000);
    const before = process.memoryUsage().rss;
    expect(zstd.decompress(bomb, 1 << 20)).toBe(undefined);
    expect(process.memoryUsage().rss - before).toBeLessThan(64 << 20);
  });

  it('is standard: Node reads it where Node can', async (context) => {
    const native = (zlib as { zstdDecompressSync?: (bytes: Uint8Array) => Uint8Array }).zstdDecompressSync;
    if (!native) context.skip('this version of Node has no zstd');
    const zstd = await loadZstd();
    expect(Buffer.compare(native!(zstd.compress(numbered(5000))), numbered(5000))).toBe(0);
  });
});
