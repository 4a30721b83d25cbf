import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { memoryTensor, rangeTensor, type TensorSource } from '../../src/core/tensor.js';
import { openDisk } from '../../src/io/disk.js';
import { castTensor } from '../../src/kernels/cast.js';
import { compareTensors } from '../../src/kernels/compare.js';
import { halfLosses } from '../../src/kernels/quantize/half-pool.js';
import { testContext } from '../support/context.js';

const folder = fs.mkdtempSync(path.join(tmpdir(), 'mlser-half-'));
afterAll(() => fs.rmSync(folder, { recursive: true, force: true }));
const context = testContext(1);

let files = 0;
/** A tensor in a file, some bytes behind its begin. */
function stored(values: Float32Array): { tensor: TensorSource; close(): void } {
  const file = path.join(folder, `${files++}.bin`);
  fs.writeFileSync(file, Buffer.concat([Buffer.alloc(12), Buffer.from(values.buffer)]));
  const source = openDisk(file);
  const info = { name: 'x', dtype: 'f32', shape: [values.length] } as const;
  return { tensor: rangeTensor(info, source, 12), close: () => source.close() };
}

/** Every exponent that fits, every kind of last bits: ties among them, subnormals of f16 and of f32, both zeros. */
const everything = (exponents: number): Float32Array => {
  const words: number[] = [0, 0x80000000];
  for (let exponent = 0; exponent < exponents; exponent++)
    for (const fraction of [0, 1, 0xfff, 0x1000, 0x1001, 0x2fff, 0x3000, 0x8000, 0x18000, 0x7fffff])
      words.push((exponent << 23) | fraction, (((exponent << 23) | fraction) >>> 0) | 0x80000000);
  return new Float32Array(Uint32Array.from(words).buffer);
};

const cases: readonly (readonly [string, 'f16' | 'bf16', Float32Array])[] = [
  ['every kind of number that f16 holds', 'f16', everything(127 + 15)],
  [
    'every kind of number with squares in f32',
    'bf16',
    everything(127 + 60).map((x) => (Math.abs(x) < 1e-15 ? 0 : x)),
  ],
  ['numbers like weights', 'f16', Float32Array.from({ length: 70_001 }, (_, i) => Math.sin(i * i) / 8)],
  ['numbers like weights', 'bf16', Float32Array.from({ length: 5_000_003 }, (_, i) => Math.sin(i * i))],
  ['only zeros', 'f16', new Float32Array(9)],
];

describe('what rounding to 16 bits would do', () => {
  it.each(cases)('%s (%s) is what comparing with the cast says', async (_, half, values) => {
    const { tensor, close } = stored(values);
    const loss = (await halfLosses([tensor], half, context)).get(tensor);
    const [plain] = await compareTensors([{ a: tensor, b: castTensor(tensor, half) }], context);
    close();
    expect(loss?.finite).toBe(true);
    expect(loss?.maxAbs).toBe(plain?.maxAbs);
    expect(loss?.maxRel).toBeCloseTo(plain?.maxRel ?? Number.NaN, 6);
    // Sums of f32 that are soon put away: a few digits less than sums of doubles.
    for (const key of ['rmse', 'sqnrDb', 'cosine'] as const) {
      const [found, expected] = [loss?.[key], plain?.[key]];
      if (expected == null || !Number.isFinite(expected)) continue;
      expect(Math.abs((found ?? Number.NaN) - expected), key).toBeLessThanOrEqual(
        1e-5 * Math.max(Math.abs(expected), 1e-30),
      );
    }
  });
  it.each([65_520, -65_520, 1e9, Number.POSITIVE_INFINITY, Number.NaN])(
    '%d has no place in f16',
    async (x) => {
      const { tensor, close } = stored(Float32Array.from([1, x, 2]));
      expect((await halfLosses([tensor], 'f16', context)).get(tensor)?.finite).toBe(false);
      close();
    },
  );
  it.each([65_519.996, -65_504])('%d has one', async (x) => {
    const { tensor, close } = stored(Float32Array.from([1, x, 2]));
    expect((await halfLosses([tensor], 'f16', context)).get(tensor)?.finite).toBe(true);
    close();
  });
  it('numbers that all become zero are told', async () => {
    const { tensor, close } = stored(Float32Array.from([2 ** -26, -(2 ** -25), 0]));
    expect((await halfLosses([tensor], 'f16', context)).get(tensor)).toMatchObject({ vanished: true });
    close();
  });
  it.each([1e25, 1e-30])('squares beyond f32 are left to doubles: %d', async (x) => {
    const { tensor, close } = stored(Float32Array.from([x * 1.001, x]));
    expect((await halfLosses([tensor], 'bf16', context)).size).toBe(0);
    close();
  });
  it('what does not lie in a file as f32 is left', async () => {
    const info = { name: 'x', dtype: 'f32', shape: [2] } as const;
    const tensor = memoryTensor(info, new Uint8Array(8));
    expect((await halfLosses([tensor, castTensor(tensor, 'f16')], 'f16', context)).size).toBe(0);
  });
});
