import { describe, expect, it } from 'vitest';
import type { DType } from '../../../src/core/dtype.js';
import { shapeOf } from '../../../src/kernels/codecs/bench.js';
import { encodeLossy } from '../../../src/kernels/codecs/lossy.js';
import { mutations, prefixes } from '../../support/mutate.js';
import { codecs, decode, encode } from './chunks.js';
import { bench, fences } from './harness.js';
import { bytesAs, gaussian, noise, withChanges } from './samples.js';

/** Stored bytes that are none of the codec: refused, or decoded to something, within the bench and in bounded time. */

const COUNT = 1500;
const base = bytesAs('f32', gaussian(COUNT));
const few = withChanges(base, 4, 0.2);

/** What each codec writes for a chunk that it takes. */
function written(id: number): Uint8Array {
  const name = codecs.get(id)?.name ?? '';
  const method = name === 'bf16-delta' || name === 'int8-delta' ? name : undefined;
  if (method) {
    bench.base.bytes.set(base);
    const moved = gaussian(COUNT, 2);
    bench.raw.bytes.set(
      bytesAs(
        'f32',
        gaussian(COUNT).map((value, i) => value + 0.01 * (moved[i] ?? 0)),
      ),
    );
    const encoded = encodeLossy(bench, 'f32', few.length, method, codecs);
    expect(encoded.codec).toBe(id);
    return encoded.bytes;
  }
  const zeros = withChanges(new Uint8Array(few.length), 4, 0.2);
  const repeated = few.map((_, i) => few[i % 64] ?? 0);
  for (const raw of [few, zeros, repeated]) {
    const encoded = encode('f32', raw, base, { level: 2, only: [name] });
    if (encoded.codec === id) return encoded.bytes;
  }
  throw new Error(`${name} takes none of the chunks`);
}

const types: readonly DType[] = ['f32', 'bf16', 'f16', 'f64', 'u8', 'q8_0'];

describe.each([...codecs.values()].map(({ id, name }) => [name, id] as const))('%s', (_, id) => {
  const good = written(id);
  const bad: Uint8Array[] = [
    ...prefixes(good, 120),
    ...mutations(good, 250, `codec ${id}`),
    ...Array.from({ length: 60 }, (_, seed) => noise(seed * 9, seed + 1)),
    ...Array.from({ length: 60 }, (_, seed) => {
      const copy = good.slice();
      copy.set(noise(12, seed + 1), seed % 40);
      return copy;
    }),
  ];

  it('never crashes, never writes outside its areas, and refuses most of what is none', () => {
    const around = fences();
    const started = performance.now();
    let refused = 0;
    for (const bytes of bad)
      for (const dtype of types)
        for (const length of [few.length, shapeOf(dtype, 0).width]) {
          const found = decode(dtype, { codec: id, bytes }, length, base);
          if (found) expect(found.length).toBe(length);
          else refused++;
        }
    around.check();
    expect(refused).toBeGreaterThan(bad.length * types.length);
    expect(performance.now() - started).toBeLessThan(30_000);
  });

  it('of a chunk as large as any is bounded too', () => {
    const around = fences();
    const large = noise(1 << 20, 9);
    const started = performance.now();
    for (const bytes of [...mutations(good, 12, `large ${id}`), good, large])
      for (const dtype of ['f32', 'bf16', 'u8', 'f64'] as const)
        decode(dtype, { codec: id, bytes }, 4 << 20, base);
    around.check();
    expect(performance.now() - started).toBeLessThan(30_000);
  });

  it('cut off, continued or of another length is refused', () => {
    const encoded = { codec: id, bytes: good.slice() };
    expect(decode('f32', encoded, few.length, base)?.length).toBe(few.length);
    expect(decode('f32', { codec: id, bytes: good.slice(0, -1) }, few.length, base)).toBe(undefined);
    if (id !== 1)
      expect(decode('f32', { codec: id, bytes: new Uint8Array([...good, 0]) }, few.length, base)).toBe(
        undefined,
      );
    expect(decode('f32', { codec: id, bytes: new Uint8Array() }, few.length, base)).toBe(undefined);
  });
});
