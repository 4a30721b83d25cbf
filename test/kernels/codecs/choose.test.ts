import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DTYPES, type DType, dtypeFacts, tensorBytes } from '../../../src/core/dtype.js';
import { sha256Hex } from '../../../src/io/hashing.js';
import { inPlaceOf, shapeOf } from '../../../src/kernels/codecs/bench.js';
import { decodeChunk } from '../../../src/kernels/codecs/decode.js';
import { BASED, CODEC_NAMES } from '../../../src/kernels/codecs/numbers.js';
import { byteHistogram, entropyBits } from '../../../src/kernels/histogram.js';
import { splitPlanes } from '../../../src/kernels/reference/planes.js';
import { numbered, weights } from '../../support/checkpoint-model.js';
import { random } from '../samples.js';
import { codecs, decode, encode, roundTrip } from './chunks.js';
import { bench, otherBench } from './harness.js';
import { bytesAs, edges, gaussian, mostly, noise, stepped, withChanges } from './samples.js';

const MIB = 1 << 20;
const types = DTYPES.filter((dtype) => dtype !== 'str');

/** Chunks of a type: what a model may hold, and what nobody expects. */
function chunksOf(dtype: DType, count: number): Uint8Array[] {
  const length = tensorBytes(dtype, [count, 256]);
  return [
    noise(length, count),
    weights(Math.ceil(length / 4)).subarray(0, length),
    edges(Math.ceil(length / 4)).subarray(0, length),
    mostly(length, 50),
    new Uint8Array(length),
    new Uint8Array(length).fill(0x80),
    numbered(length),
    withChanges(new Uint8Array(length), shapeOf(dtype, length).width, 0.05),
  ];
}

describe.each(types)('chunks of %s', (dtype) => {
  it('come back and are never longer than raw, with a base and without', () => {
    for (const count of [1, 5]) {
      const chunks = chunksOf(dtype, count);
      const { width } = shapeOf(dtype, chunks[0]?.length ?? 0);
      for (const [i, raw] of chunks.entries()) {
        roundTrip(dtype, raw);
        roundTrip(dtype, raw, undefined, { level: 2 });
        const bases = [
          raw,
          withChanges(raw, width, 0.1),
          withChanges(raw, width, 1),
          chunks[(i + 1) % chunks.length],
        ];
        for (const base of bases) roundTrip(dtype, raw, base);
      }
    }
  });

  it('come back by every codec that takes them, and by it alone', () => {
    const [, raw = new Uint8Array()] = chunksOf(dtype, 3);
    const base = withChanges(raw, shapeOf(dtype, raw.length).width, 0.3);
    for (const { name, needsBase } of codecs.values()) {
      const found = roundTrip(dtype, raw, needsBase ? base : undefined, { level: 2, only: [name] });
      expect([name, 'raw']).toContain(found.name);
    }
  });
});

describe('any chunk', () => {
  it('of 0 to 70 elements comes back', () => {
    for (const dtype of ['f64', 'f32', 'bf16', 'f16', 'u8', 'i64', 'c64'] as const)
      for (let count = 0; count <= 70; count++) {
        const length = tensorBytes(dtype, [count]);
        for (const raw of [noise(length, count + 1), mostly(length, 9, count + 1), new Uint8Array(length)])
          for (const base of [undefined, raw, withChanges(raw, shapeOf(dtype, length).width, 0.2, count + 1)])
            roundTrip(dtype, raw, base);
      }
  });

  it('of any bytes comes back', () => {
    const bytes = fc.uint8Array({ maxLength: 400 });
    const property = fc.property(
      fc.constantFrom(...types),
      bytes,
      bytes,
      fc.nat(400),
      (dtype, a, b, equal) => {
        const unit = Math.max(1, Math.ceil(dtypeFacts(dtype).bits / 8));
        const length = Math.floor(Math.min(a.length, b.length) / unit) * unit;
        const raw = a.slice(0, length);
        const base = b.slice(0, length);
        raw.set(base.subarray(0, Math.min(equal, length)));
        roundTrip(dtype, raw, base);
        roundTrip(dtype, raw);
      },
    );
    fc.assert(property, { numRuns: 400, seed: 1 });
  });

  it('of 1 MiB comes back, at its worst too', () => {
    for (const dtype of ['f32', 'bf16', 'u8', 'f64'] as const) {
      const [raw, base] = [noise(MIB, 3), noise(MIB, 4)];
      expect(roundTrip(dtype, raw, base)).toMatchObject({ name: 'raw', share: 1 });
      expect(roundTrip(dtype, raw, withChanges(raw, shapeOf(dtype, MIB).width, 0.5)).share).toBeLessThan(0.8);
    }
  });

  it('is read from where the next one is put, on every bench of the thread, whatever was written before', () => {
    const base = weights(4096);
    for (let written = 0; written < 3; written++) {
      const next = withChanges(base, 4, 0.1, written + 1);
      const encoded = encode('f32', next, base);
      const place = inPlaceOf(otherBench);
      place.stored.bytes.set(encoded.bytes);
      place.base.bytes.set(base);
      const stored = encoded.bytes.length;
      expect(
        decodeChunk(place, codecs, { codec: encoded.codec, stored, length: base.length, dtype: 'f32' }),
      ).toBe(true);
      expect(Buffer.compare(place.raw.bytes.subarray(0, base.length), next)).toBe(0);
      expect(place.stored).toBe(bench.stored);
    }
  });

  it('has the same bytes on every machine and version of Node', async () => {
    const f32 = weights(MIB / 4);
    const chunks: readonly [DType, Uint8Array, Uint8Array?][] = [
      ['f32', f32],
      ['bf16', f32.filter((_, i) => i % 4 >= 2)],
      ['f64', f32],
      ['u8', numbered(100_000)],
      ['f32', withChanges(new Uint8Array(MIB), 4, 0.1)],
      ['f32', mostly(MIB, 3).map((byte, i) => (i % 4 === 0 ? byte : 0))],
      ['f32', stepped(f32, 4, 1000), f32],
      ['bf16', stepped(f32, 2, 3), f32],
      ['bf16', withChanges(f32, 2, 0.1), f32],
      ['i64', withChanges(f32, 8, 0.5), f32],
    ];
    const found = [];
    for (const [dtype, raw, base] of chunks) {
      const { name, bytes } = roundTrip(dtype, raw, base);
      found.push(`${dtype} ${name} ${bytes.length} ${(await sha256Hex([bytes])).slice(0, 16)}`);
    }
    expect(found).toMatchInlineSnapshot(`
      [
        "f32 planes-huffman 868230 23a2058b7bebd318",
        "bf16 planes-huffman 343932 54d584cee4fb224f",
        "f64 planes-huffman 869185 505bb5f6946a9848",
        "u8 zstd 936 d60eba16509f7770",
        "f32 sparse 42065 2820bfb550f3b3c6",
        "f32 palette 32798 8d8f3d3c53f1e54b",
        "f32 residual 351635 b5586598e0e9415f",
        "bf16 residual 165699 d89f70eb61daf6d3",
        "bf16 sparse-residual 88521 b1b603439829453c",
        "i64 xor-planes 90229 8744627352cecac0",
      ]
    `);
  });
});

describe('what is chosen', () => {
  const values = gaussian(MIB / 4);
  const f32 = bytesAs('f32', values);
  const bf16 = bytesAs('bf16', values);

  it('planes for weights: a sixth of f32 is saved, a third of bf16', () => {
    const wide = roundTrip('f32', f32);
    expect(wide.name).toBe('planes-huffman');
    expect(wide.share).toBeLessThan(0.836);
    const half = roundTrip('bf16', bf16);
    expect(half.name).toBe('planes-huffman');
    expect(half.share).toBeLessThan(0.67);
    // Close to what the counts of bytes allow.
    for (const [bytes, width, found] of [
      [f32, 4, wide],
      [bf16, 2, half],
    ] as const) {
      const planes = splitPlanes(bytes, width);
      const count = bytes.length / width;
      let bits = 0;
      for (let p = 0; p < width; p++)
        bits += count * entropyBits(byteHistogram(planes.subarray(p * count, (p + 1) * count)));
      expect(found.bytes.length).toBeLessThan(1.01 * (bits / 8));
    }
  });

  it('sparse for pruned weights', () => {
    const next = random(5);
    const pruned = bytesAs(
      'f32',
      values.map((value) => (next() < 0.9 ? 0 : value)),
    );
    const found = roundTrip('f32', pruned);
    expect(found.name).toBe('sparse');
    expect(found.share).toBeLessThan(0.15);
  });

  it('a palette for numbers of four bits in f32', () => {
    const next = random(6);
    const quantized = bytesAs(
      'f32',
      values.map(() => 0.013 * (Math.floor(next() * 16) - 7.5)),
    );
    const found = roundTrip('f32', quantized);
    expect(found.name).toBe('palette');
    expect(found.share).toBeLessThan(0.127);
  });

  it('zstd for bytes in patterns that are no floats', () => {
    const found = roundTrip(
      'u8',
      numbered(100_000).map((_, i) => (i * i) % 251),
    );
    expect(found.name).toBe('zstd');
    expect(found.share).toBeLessThan(0.05);
  });

  it.each(types)('a few bytes for a chunk of %s that is the same as the base', (dtype) => {
    const raw = noise(tensorBytes(dtype, [40, 256]));
    const found = roundTrip(dtype, raw, raw);
    expect(found.bytes.length).toBeLessThanOrEqual(48);
    expect(found.changed).toBe(0);
  });

  it('positions and differences where few elements changed', () => {
    for (const [dtype, base] of [
      ['f32', f32],
      ['bf16', bf16],
    ] as const) {
      const { width } = shapeOf(dtype, 0);
      const raw = withChanges(base, width, 0.01);
      const found = roundTrip(dtype, raw, base);
      expect(found.name).toBe('sparse-residual');
      expect(found.share).toBeLessThan(0.015);
      expect(found.changed).toBeGreaterThan(0.009 * (raw.length / width));
      expect(found.changed).toBeLessThan(0.011 * (raw.length / width));
    }
  });

  it('differences after a step of an optimizer', () => {
    const next = random(8);
    const moved = values.map((value) => value + 1e-5 * (next() - 0.5));
    const wide = roundTrip('f32', bytesAs('f32', moved), f32);
    expect(wide.name).toBe('residual');
    expect(wide.share).toBeLessThan(0.45);
    const further = values.map((value) => value * (1 + 0.01 * (next() - 0.5)));
    const half = roundTrip('bf16', bytesAs('bf16', further), bf16);
    expect(['residual', 'sparse-residual']).toContain(half.name);
    expect(half.share).toBeLessThan(0.15);
  });

  it('nothing that needs a base where there is none, and nothing that was not allowed', () => {
    for (const dtype of ['f32', 'u8', 'f64'] as const) {
      expect(BASED.has(encode(dtype, f32).codec)).toBe(false);
      expect(roundTrip(dtype, f32, f32, { level: 1, only: [] }).name).toBe('raw');
      expect(['raw', 'zstd']).toContain(roundTrip(dtype, f32, f32, { level: 1, only: ['zstd'] }).name);
    }
  });
});

describe('the registry', () => {
  it('has a codec for every number that has a name, and says which need a base', () => {
    expect([0, ...codecs.keys()]).toEqual([...CODEC_NAMES.keys()]);
    for (const { id, name, needsBase } of codecs.values()) {
      expect(CODEC_NAMES.get(id)).toBe(name);
      expect(BASED.has(id)).toBe(needsBase);
    }
  });

  it('has none for other numbers: such chunks are not decoded', () => {
    for (const codec of [6, 15, 19, 255, 2 ** 32 - 1])
      expect(decode('f32', { codec, bytes: new Uint8Array(100) }, 100)).toBe(undefined);
    expect(decode('f32', { codec: 0, bytes: new Uint8Array(99) }, 100)).toBe(undefined);
  });
});
