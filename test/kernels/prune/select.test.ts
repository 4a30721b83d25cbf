import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { type DType, dtypeFacts } from '../../../src/core/dtype.js';
import { memoryTensor, rangeTensor, readTensor, type TensorSource } from '../../../src/core/tensor.js';
import { openDisk } from '../../../src/io/disk.js';
import { encodeElements } from '../../../src/kernels/elements.js';
import { isPrunedType, magnitudeOf, widthOf } from '../../../src/kernels/prune/keys.js';
import { selectSmallest } from '../../../src/kernels/prune/select.js';
import { below } from '../../../src/kernels/prune/threshold.js';
import { zeroed } from '../../../src/kernels/prune/zero.js';
import { countZeros } from '../../../src/kernels/prune/zeros.js';
import { magnitudeAt } from '../../../src/kernels/reference/prune.js';
import { roundedCount } from '../../../src/operations/prune/methods.js';
import { testContext } from '../../support/context.js';
import { distance, maskOf, torchMasks, weight } from './fixtures.js';

const context = testContext(1);
const folder = mkdtempSync(path.join(tmpdir(), 'mlser-select-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const prune = async (tensors: readonly TensorSource[], count: number): Promise<TensorSource[]> => {
  const [selected = []] = await selectSmallest([{ tensors, count }], context);
  return tensors.map((tensor, i) => zeroed(tensor, selected[i]!.rule));
};

const ascending = (a: number, b: number): number => a - b;

const total = (tensors: readonly TensorSource[]): number =>
  tensors.reduce((sum, { info }) => sum + info.shape.reduce((a, b) => a * b, 1), 0);

describe('masks of torch.nn.utils.prune', () => {
  const single = torchMasks.filter(({ method }) => method === 'l1_unstructured');
  it('there are some', () => expect(single.length).toBeGreaterThan(20));
  it.each(single)('$key', async ({ key, mask, zeros, amount = 0, l2_error }) => {
    const [name = ''] = key.split('.');
    const before = weight(name);
    const n = total([before]);
    const count = Number.isInteger(amount) ? amount : roundedCount(amount, n);
    expect(count).toBe(zeros);
    const [after] = await prune([before], count);
    expect(await distance(before, after!)).toBeCloseTo(l2_error, 6);
    const own = await maskOf(before, after!);
    if (name === 'linear' || name === 'conv' || name === 'bias') {
      expect(own).toEqual([...mask]);
      return;
    }
    // Equal magnitudes: any choice that is as large is as good; ours is the first ones.
    const magnitudes = [...new Float32Array((await readTensor(before)).buffer)].map(Math.abs);
    const kept = [...mask].flatMap((one, i) => (one ? [magnitudes[i]!] : []));
    expect(own.flatMap((one, i) => (one ? [magnitudes[i]!] : [])).sort(ascending)).toEqual(
      kept.filter((value) => value !== 0).sort(ascending),
    );
  });

  it('once more, over what was left', async () => {
    const twice = torchMasks.find(({ method }) => method.startsWith('l1_unstructured twice'));
    const [name = ''] = twice!.key.split('.');
    const before = weight(name);
    const n = total([before]);
    const [once] = await prune([before], roundedCount(0.4, n));
    // Zeros are the smallest, so that they go first.
    const [after] = await prune([once!], twice!.zeros);
    expect(await maskOf(before, after!)).toEqual([...twice!.mask]);
    expect(await distance(before, after!)).toBeCloseTo(twice!.l2_error, 6);
  });

  it.each([0.4, 0.8])('global %s', async (amount) => {
    const before = ['linear', 'conv', 'bias'].map(weight);
    const after = await prune(before, roundedCount(amount, total(before)));
    for (const [i, tensor] of before.entries()) {
      const torch = torchMasks.find(({ key }) => key === `global.${amount}.${tensor.info.name}`);
      expect(await maskOf(tensor, after[i]!)).toEqual([...torch!.mask]);
    }
  });
});

describe('counts', () => {
  it('are rounded as Python rounds', () => {
    expect([0.5, 1.5, 2.5].map((n) => roundedCount(0.5, 2 * n))).toEqual([0, 2, 2]);
    expect([0.1, 0.25, 0.3].map((share) => roundedCount(share, 10))).toEqual([1, 2, 3]);
  });
});

/** What a plain sort would do: everything in the order of magnitude, then of place; the first `count` are zero. */
function sorted(tensors: readonly { readonly dtype: DType; readonly bytes: Uint8Array }[], count: number) {
  const all = tensors.flatMap(({ dtype, bytes }, tensor) => {
    if (!isPrunedType(dtype)) throw new Error(dtype);
    const width = widthOf(dtype);
    const values = new Float64Array(bytes.length / width);
    decode(dtype, bytes, values);
    return [...values].map((value, at) => ({
      tensor,
      at,
      key: Number.isNaN(value) ? Infinity : Math.abs(value),
    }));
  });
  all.sort((a, b) => a.key - b.key || a.tensor - b.tensor || a.at - b.at);
  const expected = tensors.map(({ bytes }) => bytes.slice());
  for (const { tensor, at } of all.slice(0, count)) {
    const { dtype } = tensors[tensor]!;
    const width = dtypeFacts(dtype).bits / 8;
    expected[tensor]!.fill(0, at * width, (at + 1) * width);
  }
  // Zeros are positive.
  for (const { tensor, at, key } of all) {
    const width = dtypeFacts(tensors[tensor]!.dtype).bits / 8;
    if (key === 0) expected[tensor]!.fill(0, at * width, (at + 1) * width);
  }
  return expected;
}

function decode(dtype: DType, bytes: Uint8Array, out: Float64Array): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  for (let i = 0; i < out.length; i++)
    out[i] =
      dtype === 'f64'
        ? view.getFloat64(i * 8, true)
        : dtype === 'f32'
          ? view.getFloat32(i * 4, true)
          : dtype === 'bf16'
            ? bfloat(view.getUint16(i * 2, true))
            : half(view.getUint16(i * 2, true));
}

const bfloat = (code: number): number => new Float32Array(new Uint32Array([code << 16]).buffer)[0]!;
function half(code: number): number {
  const sign = code & 0x8000 ? -1 : 1;
  const [exponent, rest] = [(code >> 10) & 31, code & 0x3ff];
  if (exponent === 31) return rest ? NaN : sign * Infinity;
  return exponent === 0 ? sign * rest * 2 ** -24 : sign * (1 + rest / 1024) * 2 ** (exponent - 15);
}

const values = fc.oneof(
  fc.constantFrom(0, -0, 1, -1, 0.5, -0.5, 2 ** -24, 65504, 1e-40, 5e-324, Infinity, -Infinity),
  fc.double({ noNaN: true, min: -2, max: 2 }),
);
const tensor = fc
  .record({
    dtype: fc.constantFrom('f64' as const, 'f32' as const, 'f16' as const, 'bf16' as const),
    values: fc.array(values, { minLength: 1, maxLength: 60 }),
  })
  .map(({ dtype, values: numbers }) => {
    const bytes = new Uint8Array((numbers.length * dtypeFacts(dtype).bits) / 8);
    encodeElements(dtype, Float64Array.from(numbers), numbers.length, bytes);
    return { dtype, bytes, count: numbers.length };
  });

describe('the smallest elements', () => {
  it('are those that a plain sort finds, in tensors of mixed types, ties in order', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(tensor, { minLength: 1, maxLength: 4 }),
        fc.nat(1000),
        async (made, share) => {
          const all = made.reduce((sum, { count }) => sum + count, 0);
          const count = Math.floor((all * share) / 1000);
          const sources = made.map(({ dtype, bytes, count: n }, i) =>
            memoryTensor({ name: `t${i}`, dtype, shape: [n] }, bytes),
          );
          const expected = sorted(made, count);
          const [selected = []] = await selectSmallest([{ tensors: sources, count }], context);
          for (const [i, source] of sources.entries()) {
            const found = await readTensor(zeroed(source, selected[i]!.rule));
            expect(Buffer.compare(found, expected[i]!), `tensor ${i}`).toBe(0);
            const { dtype } = made[i]!;
            const width = widthOf(dtype);
            const zeros = Array.from({ length: made[i]!.count }, (_, at) => magnitudeAt(found, at, width));
            expect(selected[i]!.zeros).toBe(zeros.filter((magnitude) => magnitude === 0n).length);
          }
        },
      ),
      { numRuns: 300 },
    );
  });

  it('below a number are those whose value is', async () => {
    await fc.assert(
      fc.asyncProperty(tensor, values.map(Math.abs), async ({ dtype, bytes, count }, threshold) => {
        const source = memoryTensor({ name: 't', dtype, shape: [count] }, bytes);
        const pruned = zeroed(source, below(source, threshold));
        const found = await readTensor(pruned);
        const numbers = new Float64Array(count);
        decode(dtype, bytes, numbers);
        const gone = [...numbers].map((value) => Math.abs(value) < threshold);
        const expected = bytes.slice();
        const width = widthOf(dtype);
        for (const [i, one] of gone.entries())
          if (one || numbers[i] === 0) expected.fill(0, i * width, (i + 1) * width);
        expect(Buffer.compare(found, expected)).toBe(0);
        const zeros = gone.filter((one, i) => one || numbers[i] === 0).length;
        expect(await countZeros([pruned], context)).toEqual([zeros]);
      }),
    );
  });

  it('in files, in several ranges and threads, are the same as in memory', async () => {
    // Three ranges of bf16 with few different values: ties everywhere.
    const count = (1 << 24) + 4097;
    const bytes = new Uint8Array(count * 2);
    const codes = new Uint16Array(bytes.buffer);
    for (let i = 0; i < count; i++) codes[i] = 0x3c00 + ((i * 2654435761) >>> 27);
    const file = path.join(folder, 'big.bin');
    writeFileSync(file, bytes);
    const source = openDisk(file);
    try {
      const info = { name: 'big', dtype: 'bf16' as const, shape: [count] };
      const wanted = Math.floor(count * 0.7);
      const pooled = rangeTensor(info, source, 0);
      const [inFile] = await selectSmallest([{ tensors: [pooled], count: wanted }], testContext(2));
      const [inMemory] = await selectSmallest(
        [{ tensors: [memoryTensor(info, bytes)], count: wanted }],
        context,
      );
      expect(inFile).toEqual(inMemory);
      const { rule, zeros } = inFile![0]!;
      expect(zeros).toBe(wanted);
      let below = 0;
      let before = 0;
      for (let i = 0; i < count; i++) {
        if (BigInt(codes[i]!) < rule.below) below++;
        else if (BigInt(codes[i]!) === rule.below && i < rule.tiesBefore) before++;
      }
      expect(below + before).toBe(wanted);
      expect(BigInt(codes[rule.tiesBefore - 1]!)).toBe(rule.below);
    } finally {
      source.close();
    }
  });

  it('leave NaN to the end, as torch does', async () => {
    const numbers = Float32Array.from([NaN, 3, Infinity, 1]);
    const source = memoryTensor({ name: 't', dtype: 'f32', shape: [4] }, new Uint8Array(numbers.buffer));
    const [three] = await prune([source], 3);
    expect([...new Float32Array((await readTensor(three!)).buffer)]).toEqual([NaN, 0, 0, 0]);
    const [four] = await prune([source], 4);
    expect([...new Float32Array((await readTensor(four!)).buffer)]).toEqual([0, 0, 0, 0]);
  });

  it('a part of the bytes is the same part of all of them', async () => {
    const before = weight('ties');
    const [after] = await prune([before], 100);
    const whole = await readTensor(after!);
    for (const [start, end] of [
      [0, 3],
      [5, 6],
      [401, 1003],
      [1020, 1024],
      [7, 7],
    ] as const) {
      const parts: Uint8Array[] = [];
      for await (const part of after!.stream({ start, end })) parts.push(part);
      expect(Buffer.concat(parts)).toEqual(Buffer.from(whole.subarray(start, end)));
    }
  });
});

it('the magnitude of a double is its bits', () => {
  expect(magnitudeOf(1)).toBe(0x3ff0000000000000n);
});

describe('large rankings', () => {
  const count = (1 << 23) + 40_000;
  const block = 1 << 17;

  /** Tensors in a file, and what a sort of all magnitudes says about the smallest of them. */
  async function check(values: Float32Array, wanted: number): Promise<void> {
    const file = path.join(folder, 'large.bin');
    writeFileSync(file, new Uint8Array(values.buffer));
    const source = openDisk(file);
    try {
      const cut = 3 * block + 64;
      const tensors = [
        rangeTensor({ name: 'a', dtype: 'f32', shape: [cut] }, source, 0),
        rangeTensor({ name: 'b', dtype: 'f32', shape: [count - cut] }, source, cut * 4),
      ];
      const magnitudes = new Uint32Array(values.buffer).map((bits) => bits & 0x7fffffff);
      const limit = magnitudes.slice().sort()[wanted - 1]!;
      const ties = wanted - magnitudes.reduce((sum, magnitude) => sum + (magnitude < limit ? 1 : 0), 0);
      for (const threads of [1, 2]) {
        const [found] = await selectSmallest([{ tensors, count: wanted }], testContext(threads));
        const after = new Uint8Array(count * 4);
        for (const [i, tensor] of tensors.entries())
          after.set(await readTensor(zeroed(tensor, found![i]!.rule)), i === 0 ? 0 : cut * 4);
        const kept = new Uint32Array(after.buffer);
        let left = ties;
        const wrong = magnitudes.findIndex((magnitude, i) => {
          const goes = magnitude < limit || (magnitude === limit && left-- > 0);
          return (kept[i] === 0) !== (goes || magnitude === 0);
        });
        expect(wrong).toBe(-1);
        expect(found!.reduce((sum, { zeros }) => sum + zeros, 0)).toBe(wanted);
      }
    } finally {
      source.close();
    }
  }

  /** Not quite normal, with a few thousand values of each kind. */
  function drawn(random: (i: number) => number): Float32Array {
    let state = 7;
    const next = (): number => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      return state / 4294967296;
    };
    return Float32Array.from({ length: count }, (_, i) => (next() + next() - 1) * random(i) + 1e-9);
  }

  it('are found in one read around what a sample says', async () => {
    await check(
      drawn(() => 0.1),
      count >> 1,
    );
  }, 60_000);

  it('are found where the sample is far off, with ties', async () => {
    // All that a sample sees is large.
    const values = drawn((i) => (i % block < 2048 ? 1000 : 0.1));
    for (let i = 5000; i < count; i += 3) if (i % block > 4096) values[i] = 0.0125;
    await check(values, count >> 1);
  }, 60_000);
});
