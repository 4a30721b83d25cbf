import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { DType } from '../../src/core/dtype.js';
import type { Progress, WorkContext } from '../../src/core/format.js';
import { memoryTensor, rangeTensor, type TensorSource } from '../../src/core/tensor.js';
import { isMlserError } from '../../src/errors.js';
import { crc32 } from '../../src/io/crc32.js';
import { createDiskSink, type DiskSink, type DiskSource, openDisk } from '../../src/io/disk.js';
import type { ByteSink } from '../../src/io/sink.js';
import { castTensor } from '../../src/kernels/cast.js';
import { compareTensors } from '../../src/kernels/compare.js';
import { statTensors } from '../../src/kernels/statistics.js';
import { hashTensors, transfer } from '../../src/kernels/transfer.js';
import { bytesOf, floats } from './samples.js';

class Counter implements Progress {
  bytes = 0;
  onAdvance: () => void = () => {};
  stage(): void {}
  advance(bytes: number): void {
    this.bytes += bytes;
    this.onAdvance();
  }
}

const context = (threads: number, extra: Partial<WorkContext> = {}): WorkContext & { progress: Counter } => ({
  ...{ threads, maxMemory: 1e9, ...extra },
  progress: new Counter(),
});

/** More than the pool does on the main thread, in an odd number of elements. */
const LARGE = 18_000_001;
const PREFIX = 12;

let folder: string;
let source: DiskSource;
let bytes: Uint8Array;
let opened = 0;

beforeAll(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'mlser-transfer-'));
  bytes = new Uint8Array(PREFIX + LARGE * 4 + 1000);
  const pattern = bytesOf(floats('weights', 1_000_003));
  for (let at = PREFIX; at < bytes.length; at += pattern.length)
    bytes.set(pattern.subarray(0, bytes.length - at), at);
  fs.writeFileSync(path.join(folder, 'source.bin'), bytes);
  source = openDisk(path.join(folder, 'source.bin'));
});

afterAll(() => {
  source.close();
  fs.rmSync(folder, { recursive: true, force: true });
});

const sinkOf = (): DiskSink => createDiskSink(path.join(folder, `out${opened++}`), 'out');
const large = (dtype: DType = 'f32', count = LARGE): TensorSource =>
  rangeTensor({ name: 'large', dtype, shape: [count] }, source, PREFIX);
const small = (name: string, offset: number, count: number): TensorSource =>
  rangeTensor({ name, dtype: 'f32', shape: [count] }, source, PREFIX + offset * 4);
/** The same without a recipe: has to be streamed. */
const withoutRecipe = ({ recipe: _recipe, ...tensor }: TensorSource): TensorSource => tensor;

async function streamed(tensor: TensorSource): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const chunk of tensor.stream()) parts.push(chunk);
  return Buffer.concat(parts);
}
const sha = (data: Uint8Array): string => createHash('sha256').update(data).digest('hex');

describe('transfer', () => {
  it('writes the same bytes, sums and hashes by any number of threads', async () => {
    const tensors = [
      castTensor(large(), 'bf16'),
      large(),
      withoutRecipe(castTensor(small('streamed', 5, 70_001), 'f16')),
      small('s', 100, 33),
      memoryTensor({ name: 'memory', dtype: 'u8', shape: [5] }, Uint8Array.of(1, 2, 3, 4, 5)),
      small('empty', 0, 0),
      castTensor(small('fp4', 3, 1001), 'f4_e2m1'),
    ];
    const expected = await Promise.all(tensors.map(streamed));
    const results = [];
    for (const threads of [1, 2, 3]) {
      const sink = sinkOf();
      const work = context(threads);
      let offset = 64;
      const placements = tensors.map((tensor, i) => {
        const placement = { tensor, sink, offset, crc32: true, sha256: i !== 1, crcEvery: 1 << 20 };
        offset += tensor.byteLength + 7;
        return placement;
      });
      const placed = await transfer(placements, work);
      expect(sink.size).toBe(offset - 7);
      expect(work.progress.bytes).toBe(tensors.reduce((sum, tensor) => sum + tensor.byteLength, 0));
      const written = fs.readFileSync(sink.path);
      sink.close();
      fs.rmSync(sink.path);
      placements.forEach((placement, i) => {
        const part = written.subarray(placement.offset, placement.offset + placement.tensor.byteLength);
        expect(Buffer.compare(part, expected[i]!)).toBe(0);
        expect(placed[i]?.crc32).toBe(crc32(part));
        expect(placed[i]?.sha256).toBe(i === 1 ? undefined : sha(part));
        const pieces = Array.from({ length: Math.ceil(part.length / (1 << 20)) }, (_, k) =>
          crc32(part.subarray(k << 20, (k + 1) << 20)),
        );
        expect(placed[i]?.crcs).toEqual(pieces);
      });
      results.push(placed);
    }
    expect(results[1]).toEqual(results[0]);
    expect(results[2]).toEqual(results[0]);
  });

  it('gives pieces that do not divide a block, and byte order', async () => {
    const count = 500_000;
    const base = small('big-endian', 0, count);
    const swapped: TensorSource = {
      ...base,
      recipe: {
        ...base.recipe!,
        ops: [
          { op: 'byteswap', width: 4 },
          { op: 'cast', from: 'f32', to: 'f64' },
        ],
      },
      info: { name: 'big-endian', dtype: 'f64', shape: [count] },
      byteLength: count * 8,
    };
    const expected = Buffer.from(bytes.slice(PREFIX, PREFIX + count * 4)).swap32();
    const doubles = Float64Array.from(new Float32Array(expected.buffer, expected.byteOffset, count));
    const sink = sinkOf();
    const [placed] = await transfer([{ tensor: swapped, sink, offset: 0, crcEvery: 1001 }], context(1));
    const written = fs.readFileSync(sink.path);
    expect(Buffer.compare(written, bytesOf(doubles))).toBe(0);
    expect(placed?.crcs?.length).toBe(Math.ceil((count * 8) / 1001));
    expect(placed?.crcs?.[1]).toBe(crc32(written.subarray(1001, 2002)));
    sink.close();
  });

  it('streams into sinks that are no files', async () => {
    const written: [number, number][] = [];
    const sink: ByteSink = {
      ...{ name: 'memory', size: 0 },
      async writeAt(offset, part) {
        written.push([offset, part.length]);
      },
      async append() {},
      extendTo() {},
    };
    await transfer([{ tensor: small('s', 0, 10), sink, offset: 3 }], context(2));
    expect(written).toEqual([[3, 40]]);
  });

  it.each([1, 2])('tells a file that ends too soon, by %i threads', async (threads) => {
    const tensor = large();
    const short = { ...tensor, recipe: { ...tensor.recipe!, offset: PREFIX + 5000 } };
    const sink = sinkOf();
    const failed = transfer([{ tensor: short, sink, offset: 0 }], context(threads));
    const error: unknown = await failed.catch((thrown: unknown) => thrown);
    expect(isMlserError(error)).toBe(true);
    expect(error).toMatchObject({
      code: 'E_TRUNCATED',
      details: { file: 'source.bin', tensor: 'large' },
      hint: expect.stringContaining('shortened'),
    });
    sink.close();
  });

  it.each([1, 2])('tells a missing file, by %i threads', async (threads) => {
    const tensor = large();
    const gone = { ...tensor, recipe: { ...tensor.recipe!, path: path.join(folder, 'gone') } };
    const sink = sinkOf();
    const failed = transfer([{ tensor: gone, sink, offset: 0 }], context(threads));
    await expect(failed).rejects.toMatchObject({
      code: 'E_NOT_FOUND',
      details: { file: 'gone', tensor: 'large' },
    });
    sink.close();
  });

  it.each([1, 2])('checks the sum that a container records, by %i threads', async (threads) => {
    const tensor = large();
    const expect32 = crc32(bytes.subarray(PREFIX, PREFIX + LARGE * 4), 77);
    const checked = (expected: number): TensorSource => ({
      ...castTensor(
        { ...tensor, recipe: { ...tensor.recipe!, crc32: { seed: 77, expect: expected } } },
        'bf16',
      ),
    });
    const wrong = { code: 'E_INTEGRITY', details: { file: 'source.bin' } };
    for (const [expected, good] of [
      [expect32, true],
      [expect32 ^ 1, false],
    ] as const) {
      const sink = sinkOf();
      const jobs = [
        () => transfer([{ tensor: checked(expected), sink, offset: 0 }], context(threads)),
        () => hashTensors([checked(expected)], context(threads)),
        () => compareTensors([{ a: checked(expected), b: checked(expect32) }], context(threads)),
      ];
      for (const job of jobs)
        await (good ? expect(job()).resolves.toBeDefined() : expect(job()).rejects.toMatchObject(wrong));
      sink.close();
    }
  });

  it.each([1, 2])('stops when it is told to, and writes nothing after, by %i threads', async (threads) => {
    const controller = new AbortController();
    const work = context(threads, { signal: controller.signal });
    work.progress.onAdvance = () => controller.abort();
    const sink = sinkOf();
    const tensors = [castTensor(large(), 'f64'), large(), large('u8', LARGE * 4), large('i32')];
    let offset = 0;
    const placements = tensors.map((tensor) => {
      const placement = { tensor, sink, offset, sha256: true };
      offset += tensor.byteLength;
      return placement;
    });
    await expect(transfer(placements, work)).rejects.toMatchObject({ code: 'E_INTERRUPTED' });
    const { size, mtimeMs } = fs.statSync(sink.path);
    expect(work.progress.bytes).toBeLessThan(offset);
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(fs.statSync(sink.path)).toMatchObject({ size, mtimeMs });
    sink.close();
    fs.rmSync(sink.path);
  });

  it('a failing stream stops the workers', async () => {
    const broken: TensorSource = {
      ...memoryTensor({ name: 'broken', dtype: 'u8', shape: [5] }, new Uint8Array(5)),
      stream() {
        return (async function* () {
          yield new Uint8Array(1);
          throw new TypeError('broken on purpose');
        })();
      },
    };
    const sink = sinkOf();
    const placements = [
      { tensor: large(), sink, offset: 0 },
      { tensor: broken, sink, offset: LARGE * 4 },
    ];
    await expect(transfer(placements, context(2))).rejects.toThrow('broken on purpose');
    sink.close();
  });
});

describe('figures do not depend on the number of threads', () => {
  it('hashes', async () => {
    const tensors = [
      small('s', 0, 10),
      large(),
      castTensor(large(), 'f16'),
      withoutRecipe(small('t', 9, 500_000)),
    ];
    const one = await hashTensors(tensors, context(1));
    const work = context(3);
    expect(await hashTensors(tensors, work)).toEqual(one);
    expect(one).toEqual(await Promise.all(tensors.map(async (tensor) => sha(await streamed(tensor)))));
    expect(work.progress.bytes).toBe(tensors.reduce((sum, tensor) => sum + tensor.byteLength, 0));
  });

  it('statistics, read by recipe or streamed', async () => {
    const tensors = [large(), castTensor(large(), 'bf16'), small('s', 1, 1), large('i32')];
    const options = { detail: true };
    const one = await statTensors(tensors, context(1), options);
    expect(await statTensors(tensors, context(2), options)).toEqual(one);
    expect(await statTensors(tensors.map(withoutRecipe), context(2), options)).toEqual(one);
    expect(one[0]).toMatchObject({ count: LARGE, nan: 0, inf: 0 });
  });

  it('differences, read by recipe or streamed', async () => {
    const changed = new Uint8Array(bytes);
    changed[PREFIX + 40_000_000] = changed[PREFIX + 40_000_000]! ^ 1;
    fs.writeFileSync(path.join(folder, 'changed.bin'), changed);
    const other = openDisk(path.join(folder, 'changed.bin'));
    const pairs = [
      { a: large(), b: rangeTensor({ name: 'large', dtype: 'f32', shape: [LARGE] }, other, PREFIX) },
      { a: large(), b: castTensor(large(), 'bf16') },
      {
        a: large('c64', LARGE >> 1),
        b: rangeTensor({ name: 'c', dtype: 'c64', shape: [LARGE >> 1] }, other, PREFIX),
      },
      {
        a: large('q8_0', 3200),
        b: rangeTensor({ name: 'q', dtype: 'q8_0', shape: [3200] }, other, PREFIX + 4),
      },
    ];
    const one = await compareTensors(pairs, context(1));
    expect(await compareTensors(pairs, context(2))).toEqual(one);
    const plain = pairs.map(({ a, b }) => ({ a: withoutRecipe(a), b: withoutRecipe(b) }));
    expect(await compareTensors(plain, context(2))).toEqual(one);
    expect(one.map(({ changed }) => changed > 0)).toEqual([true, true, true, true]);
    expect(one[0]?.changed).toBe(1);
    other.close();
  });
});
