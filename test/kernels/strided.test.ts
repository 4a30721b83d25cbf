import { describe, expect, it } from 'vitest';
import type { DType } from '../../src/core/dtype.js';
import { readTensor, type TensorSource } from '../../src/core/tensor.js';
import { crc32 } from '../../src/io/crc32.js';
import { memorySource } from '../../src/io/memory.js';
import { type ByteSource, sliceSource } from '../../src/io/source.js';
import { stridedTensor } from '../../src/kernels/strided.js';

/** Distinct bytes everywhere, so that a misplaced element shows. */
function pattern(length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let x = 1;
  for (let i = 0; i < length; i++) {
    x = (Math.imul(x, 1103515245) + 12345) & 0x7fffffff;
    bytes[i] = x >> 16;
  }
  return bytes;
}

/** The definition of a strided view, element by element. */
function reference(
  bytes: Uint8Array,
  shape: number[],
  strides: number[],
  at: number,
  width: number,
): Uint8Array {
  const count = shape.reduce((a, b) => a * b, 1);
  const out = new Uint8Array(count * width);
  for (let i = 0; i < count; i++) {
    let rest = i;
    let offset = 0;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      offset += (rest % shape[axis]!) * strides[axis]!;
      rest = Math.floor(rest / shape[axis]!);
    }
    out.set(bytes.subarray(at + offset * width, at + (offset + 1) * width), i * width);
  }
  return out;
}

function counting(bytes: Uint8Array): ByteSource & { reads: number; largest: number; total: number } {
  const source = memorySource(bytes);
  return {
    name: 'storage',
    size: bytes.byteLength,
    reads: 0,
    largest: 0,
    total: 0,
    async read(offset, length) {
      this.reads++;
      this.largest = Math.max(this.largest, length);
      this.total += length;
      return source.read(offset, length);
    },
  };
}

const collect = async (tensor: TensorSource, start: number, end: number): Promise<Uint8Array> => {
  const parts: Uint8Array[] = [];
  for await (const chunk of tensor.stream({ start, end })) parts.push(chunk);
  return Buffer.concat(parts);
};

const same = (a: Uint8Array, b: Uint8Array): void => expect(Buffer.compare(a, b)).toBe(0);

describe('stridedTensor', () => {
  const layouts: [string, number[], number[]][] = [
    ['transpose', [70, 33], [1, 70]],
    ['rows of a wider matrix', [9, 5], [16, 1]],
    ['every third', [40], [3]],
    ['three dimensions reversed', [5, 6, 7], [1, 5, 30]],
    ['channels last', [4, 3, 5, 6], [90, 1, 18, 3]],
    ['expanded', [3, 4, 5], [5, 0, 1]],
    ['expanded scalar', [1000], [0]],
    ['sliding window', [8, 4], [1, 1]],
    ['free strides of size 1', [1, 6, 1], [-7, 1, 99]],
    ['contiguous', [6, 7], [7, 1]],
    ['scalar', [], []],
    ['empty', [0, 5], [5, 1]],
    ['apart', [3, 2, 4], [9000, 30, 7000]],
  ];
  const types: [DType, number][] = [
    ['i8', 1],
    ['f16', 2],
    ['f32', 4],
    ['f64', 8],
    ['c128', 16],
  ];
  it.each(layouts)('gathers: %s', async (_, shape, strides) => {
    for (const [dtype, width] of types) {
      const at = 3 * width;
      const storage = memorySource(pattern(at + 60_000 * width));
      const bytes = await storage.read(0, storage.size);
      const tensor = stridedTensor({ name: 't', dtype, shape }, storage, { byteOffset: at, strides });
      const want = reference(bytes, shape, strides, at, width);
      expect(tensor.byteLength).toBe(want.byteLength);
      same(await readTensor(tensor), want);
      const n = want.byteLength / width;
      for (const [a, b] of [
        [0, Math.ceil(n / 3)],
        [Math.floor(n / 3), n],
        [Math.floor(n / 2), Math.floor(n / 2) + 1],
      ] as const)
        if (b <= n) same(await collect(tensor, a * width, b * width), want.subarray(a * width, b * width));
    }
  });

  it('transposes a matrix larger than a window in few reads and bounded pieces', async () => {
    const [rows, columns] = [3000, 2100];
    const bytes = pattern(rows * columns * 4);
    const storage = counting(bytes);
    const tensor = stridedTensor({ name: 't', dtype: 'f32', shape: [columns, rows] }, storage, {
      byteOffset: 0,
      strides: [1, columns],
    });
    same(await readTensor(tensor), reference(bytes, [columns, rows], [1, columns], 0, 4));
    expect(storage.reads).toBeLessThan(40);
    expect(storage.largest).toBeLessThanOrEqual(4 * 1024 * 1024);
    expect(storage.total).toBeLessThan(3 * bytes.byteLength);
  });

  it('swaps halves of complex numbers, negates and conjugates', async () => {
    const values = Buffer.alloc(32);
    for (const value of [1, 2, 3, 4]) values.writeFloatBE(value, (value - 1) * 4);
    const view = { byteOffset: 0, strides: [1] };
    const read = async (extra: object): Promise<number[]> => {
      const tensor = stridedTensor(
        { name: 't', dtype: 'c64', shape: [2] },
        memorySource(values),
        view,
        extra,
      );
      return [...new Float32Array((await readTensor(tensor)).buffer)];
    };
    expect(await read({ swap: true })).toEqual([1, 2, 3, 4]);
    expect(await read({ swap: true, conjugate: true })).toEqual([1, -2, 3, -4]);
    expect(await read({ swap: true, negate: true })).toEqual([-1, -2, -3, -4]);
    expect(await read({ swap: true, negate: true, conjugate: true })).toEqual([-1, 2, -3, 4]);
    expect(values.readFloatBE(0)).toBe(1); // the storage was not touched
    const ints = new Uint8Array(new Int32Array([1, -2, 0, -2147483648]).buffer);
    const negative = stridedTensor({ name: 't', dtype: 'i32', shape: [4] }, memorySource(ints), view, {
      negate: true,
    });
    expect([...new Int32Array((await readTensor(negative)).buffer)]).toEqual([-1, 2, 0, -2147483648]);
  });

  it('points at contiguous views in a file, through windows, with a byte swap as a recipe', () => {
    const file: ByteSource = { ...memorySource(pattern(100), 'a.pt'), path: '/m/a.pt' };
    const storage = sliceSource(sliceSource(file, 10, 80), 10, 60);
    const info = { name: 't', dtype: 'f32' as const, shape: [2, 5] };
    const view = { byteOffset: 8, strides: [5, 1] };
    const plain = stridedTensor(info, storage, view, { role: 'parameter' });
    expect(plain.location).toEqual({ file: 'a.pt', offset: 28 });
    expect(plain.recipe).toEqual({ path: '/m/a.pt', offset: 28, length: 40, ops: [] });
    expect(plain.role).toBe('parameter');
    const swapped = stridedTensor(info, storage, view, { swap: true });
    expect(swapped.location).toBeUndefined();
    expect(swapped.recipe?.ops).toEqual([{ op: 'byteswap', width: 4 }]);
    expect(stridedTensor(info, storage, view, { negate: true }).recipe).toBeUndefined();
    expect(stridedTensor(info, storage, { byteOffset: 0, strides: [1, 2] }).recipe).toBeUndefined();
  });

  it('checks the CRC-32 that a storage carries, whole or in part', async () => {
    const bytes = pattern(4000);
    const good: ByteSource = { ...memorySource(bytes), crc32: crc32(bytes) };
    const bad: ByteSource = { ...memorySource(bytes), crc32: crc32(bytes) ^ 1 };
    for (const [shape, strides] of [
      [[1000], [1]],
      [[10], [1]],
      [
        [40, 25],
        [1, 40],
      ],
    ] as const) {
      const info = { name: 't', dtype: 'f32' as const, shape };
      const view = { byteOffset: 0, strides };
      await readTensor(stridedTensor(info, good, view));
      await expect(readTensor(stridedTensor(info, bad, view))).rejects.toMatchObject({ code: 'E_INTEGRITY' });
    }
  });

  it('refuses views outside the storage and expansions past the limit before reading', () => {
    const storage = memorySource(pattern(100));
    const make =
      (shape: number[], strides: number[], byteOffset = 0) =>
      () =>
        stridedTensor({ name: 't', dtype: 'f32', shape }, storage, { byteOffset, strides });
    expect(make([5, 6], [6, 1])).toThrow(/needs bytes 0 to 120/);
    expect(make([5], [1], 84)).toThrow(/of its storage/);
    expect(make([5], [1], -4)).toThrow(/of its storage/);
    expect(make([2], [2 ** 52])).toThrow(/of its storage/);
    expect(make([3, 3], [-1, 1])).toThrow(/stride -1/);
    expect(make([3], [1, 1])).toThrow(/1 dimensions but 2 strides/);
    expect(make([2 ** 20, 2 ** 20], [0, 0])).toThrow(/VIEW_EXPANSION_BYTES/);
    expect(make([2 ** 40, 0], [1, 1])).not.toThrow();
    const nibbles = { name: 't', dtype: 'i4' as const, shape: [2, 3] };
    expect(() => stridedTensor(nibbles, storage, { byteOffset: 0, strides: [1, 2] })).toThrow(
      /strided view of i4/,
    );
    expect(stridedTensor(nibbles, storage, { byteOffset: 0, strides: [3, 1] }).byteLength).toBe(3);
  });
});
