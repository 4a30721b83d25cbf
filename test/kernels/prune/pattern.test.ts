import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { dtypeFacts } from '../../../src/core/dtype.js';
import { memoryTensor, rangeTensor, readTensor } from '../../../src/core/tensor.js';
import { openDisk } from '../../../src/io/disk.js';
import { encodeElements } from '../../../src/kernels/elements.js';
import { programOf } from '../../../src/kernels/program.js';
import { patterned } from '../../../src/kernels/prune/pattern.js';
import { statTensors } from '../../../src/kernels/statistics.js';
import { hashTensors } from '../../../src/kernels/transfer.js';
import { testContext } from '../../support/context.js';
import { floatsOf, maskOf, SHAPES, torchMasks, weight } from './fixtures.js';

const folder = mkdtempSync(path.join(tmpdir(), 'mlser-pattern-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('masks of torch.ao.pruning', () => {
  const known = torchMasks.filter(({ key }) => /\dof\d$/.test(key));
  it.each(known)('$key', async ({ key, mask }) => {
    const [name = '', words = ''] = key.split('.');
    const [keep = 0, of = 0] = words.split('of').map(Number);
    const before = weight(name);
    const after = patterned(before, { length: SHAPES[name]!.at(-1)!, stride: 1 }, { keep, of });
    const own = await maskOf(before, after);
    if (name === 'linear') {
      expect(own).toEqual([...mask]);
      return;
    }
    // Equal magnitudes: any choice that is as large is as good.
    const sizes = [...(await floatsOf(before))].map(Math.abs);
    for (let at = 0; at < sizes.length; at += of) {
      const kept = (choice: ArrayLike<number>): number[] =>
        sizes.slice(at, at + of).filter((value, i) => choice[at + i] && value !== 0);
      expect(kept(own).sort(ascending)).toEqual(kept(mask).sort(ascending));
    }
  });
});

const ascending = (a: number, b: number): number => a - b;

const cases = fc.record({
  dtype: fc.constantFrom('f64' as const, 'f32' as const, 'f16' as const, 'bf16' as const),
  outer: fc.integer({ min: 1, max: 4 }),
  length: fc.integer({ min: 1, max: 20 }),
  stride: fc.integer({ min: 1, max: 5 }),
  of: fc.integer({ min: 2, max: 9 }),
  keep: fc.nat(8),
  seed: fc.array(fc.integer({ min: -6, max: 6 }), { minLength: 7, maxLength: 40 }),
});

describe('n of m neighbours', () => {
  it('are the largest of every group, as a plain sort finds them, along any axis', async () => {
    await fc.assert(
      fc.asyncProperty(cases, async ({ dtype, outer, length, stride, of, keep, seed }) => {
        fc.pre(keep < of);
        const count = outer * length * stride;
        const numbers = Float64Array.from({ length: count }, (_, i) => seed[(i * 7) % seed.length]!);
        const width = dtypeFacts(dtype).bits / 8;
        const bytes = new Uint8Array(count * width);
        encodeElements(dtype, numbers, count, bytes);
        const expected = bytes.slice();
        for (let o = 0; o < outer; o++)
          for (let s = 0; s < stride; s++)
            for (let from = 0; from < length; from += of) {
              const group = Array.from(
                { length: Math.min(of, length - from) },
                (_, i) => (o * length + from + i) * stride + s,
              );
              const order = [...group].sort((a, b) => Math.abs(numbers[a]!) - Math.abs(numbers[b]!) || a - b);
              for (const at of order.slice(0, Math.max(0, group.length - keep)))
                expected.fill(0, at * width, (at + 1) * width);
            }
        const source = memoryTensor({ name: 't', dtype, shape: [outer, length, stride] }, bytes);
        const after = patterned(source, { length, stride }, { keep, of });
        expect(Buffer.compare(await readTensor(after), expected)).toBe(0);
        const [start, end] = [Math.floor(bytes.length / 3), Math.ceil((bytes.length * 2) / 3)];
        const parts: Uint8Array[] = [];
        for await (const part of after.stream({ start, end })) parts.push(part);
        expect(Buffer.compare(Buffer.concat(parts), expected.subarray(start, end))).toBe(0);
      }),
      { numRuns: 200 },
    );
  });

  it.each([
    { shape: [3, 1 << 18], dtype: 'f32' as const, axis: { length: 1 << 18, stride: 1 }, pooled: true },
    { shape: [1023, 777], dtype: 'f32' as const, axis: { length: 1023, stride: 777 }, pooled: true },
    { shape: [40, 130, 151], dtype: 'f32' as const, axis: { length: 130, stride: 151 }, pooled: true },
    { shape: [300, 2709], dtype: 'f32' as const, axis: { length: 2709, stride: 1 }, pooled: true },
    { shape: [41, 9001], dtype: 'f16' as const, axis: { length: 41, stride: 9001 }, pooled: true },
    // Whole groups of these are too large for a block.
    { shape: [9, 90001], dtype: 'f32' as const, axis: { length: 9, stride: 90001 }, pooled: false },
    { shape: [300, 999], dtype: 'f64' as const, axis: { length: 300, stride: 999 }, pooled: false },
  ])('are the same by workers and as a stream: $dtype $shape', async ({ shape, dtype, axis, pooled }) => {
    const count = shape.reduce((all, size) => all * size, 1);
    const bytes = new Uint8Array((count * dtypeFacts(dtype).bits) / 8);
    encodeElements(
      dtype,
      Float64Array.from({ length: count }, (_, i) => Math.sin(i * i)),
      count,
      bytes,
    );
    const file = path.join(folder, 'w.bin');
    writeFileSync(file, bytes);
    const source = openDisk(file);
    try {
      const info = { name: 'w', dtype, shape };
      const inFile = patterned(rangeTensor(info, source, 0), axis, { keep: 2, of: 4 });
      expect(programOf(inFile) !== undefined).toBe(pooled);
      const inMemory = patterned(memoryTensor(info, bytes), axis, { keep: 2, of: 4 });
      const expected = createHash('sha256')
        .update(await readTensor(inMemory))
        .digest('hex');
      for (const threads of [1, 2])
        expect(await hashTensors([inFile, inMemory], testContext(threads))).toEqual([expected, expected]);
      const [a, b] = await statTensors([inFile, inMemory], testContext(2));
      expect(a).toEqual(b);
    } finally {
      source.close();
    }
  });
});
