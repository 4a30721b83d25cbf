import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { NO_PROGRESS, type WorkContext } from '../../src/core/format.js';
import type { SharedWork } from '../../src/core/shared-work.js';
import { rangeTensor, type TensorSource } from '../../src/core/tensor.js';
import { createDiskSink, type DiskSource, openDisk } from '../../src/io/disk.js';
import type { ByteSink } from '../../src/io/sink.js';
import { castTensor } from '../../src/kernels/cast.js';
import { compareTensors } from '../../src/kernels/compare.js';
import { Meeting } from '../../src/kernels/meeting.js';
import { mergedBatches } from '../../src/kernels/merge-tasks.js';
import type { CopyTask, Task } from '../../src/kernels/tasks.js';
import { transfer } from '../../src/kernels/transfer.js';
import { bytesOf, floats } from './samples.js';

/** Larger than a range of a comparison, and than what is held of a file. */
const COUNT = 9_000_001;
let folder: string;
let source: DiskSource;
let tensor: TensorSource;
beforeAll(() => {
  folder = fs.mkdtempSync(path.join(tmpdir(), 'mlser-meeting-'));
  fs.writeFileSync(path.join(folder, 'source'), bytesOf(floats('weights', COUNT)));
  source = openDisk(path.join(folder, 'source'));
  tensor = rangeTensor({ name: 'w', dtype: 'f32', shape: [COUNT] }, source, 0);
});
afterAll(() => {
  source.close();
  fs.rmSync(folder, { recursive: true, force: true });
});

const context = (threads: number, more: Partial<WorkContext> = {}): WorkContext => ({
  ...{ threads, maxMemory: 1e9, progress: NO_PROGRESS, ...more },
});

let files = 0;
/** Writes a tensor into a file of its own, whose bytes come back. */
async function written(what: TensorSource, work: WorkContext): Promise<Buffer> {
  const file = path.join(folder, `out${files++}`);
  const sink = createDiskSink(file, 'out');
  try {
    await transfer([{ tensor: what, sink, offset: 0, crc32: true }], work);
  } finally {
    sink.close();
  }
  return fs.readFileSync(file);
}

/** A file that nobody can write. */
const nowhere = (): ByteSink => ({
  ...{ name: 'nowhere', path: path.join(folder, 'none/there'), size: 0 },
  ...{ extendTo() {}, async writeAt() {}, async append() {} },
});

describe('side by side', () => {
  it.each([1, 2])('each gets what it would get alone, with %i threads', async (threads) => {
    const work = context(threads);
    const meeting = new Meeting(work);
    const half = castTensor(tensor, 'f16');
    const [plain, rounded, first, second] = await Promise.all([
      meeting.join((shared) => written(tensor, { ...work, shared })),
      meeting.join((shared) => written(half, { ...work, shared })),
      meeting.join((shared) => compareTensors([{ a: tensor, b: half }], { ...work, shared })),
      meeting.join((shared) => compareTensors([{ a: tensor, b: tensor }], { ...work, shared })),
    ]);
    expect(plain.equals(fs.readFileSync(source.path))).toBe(true);
    expect(rounded.equals(await written(half, work))).toBe(true);
    expect(first).toEqual(await compareTensors([{ a: tensor, b: half }], work));
    expect(second[0]?.equal).toBe(true);
  });

  it.each([1, 2])('who fails fails alone, with %i threads', async (threads) => {
    const work = context(threads);
    const meeting = new Meeting(work);
    const [good, bad, late] = await Promise.allSettled([
      meeting.join((shared) => written(tensor, { ...work, shared })),
      meeting.join((shared) => transfer([{ tensor, sink: nowhere(), offset: 0 }], { ...work, shared })),
      meeting.join(async (shared) => {
        await pause(20);
        return written(castTensor(tensor, 'bf16'), { ...work, shared });
      }),
    ]);
    expect(good.status === 'fulfilled' && good.value.equals(fs.readFileSync(source.path))).toBe(true);
    expect(bad).toMatchObject({ status: 'rejected', reason: { code: 'E_NOT_FOUND' } });
    expect(late.status === 'fulfilled' && late.value.length).toBe(COUNT * 2);
  });

  it('all stop when they are told to', async () => {
    const controller = new AbortController();
    const work = context(2, {
      signal: controller.signal,
      progress: { stage() {}, advance: () => controller.abort() },
    });
    const meeting = new Meeting(work);
    const ended = await Promise.allSettled([
      meeting.join((shared) => written(tensor, { ...work, shared })),
      meeting.join((shared) => written(castTensor(tensor, 'f64'), { ...work, shared })),
    ]);
    for (const one of ended)
      expect(one).toMatchObject({ status: 'rejected', reason: { code: 'E_INTERRUPTED' } });
  });

  it('what is done alone is done while nobody else does anything, and in the order of stages', async () => {
    const work = context(1);
    const meeting = new Meeting(work);
    const log: string[] = [];
    const alone = (shared: SharedWork, name: string): Promise<void> =>
      shared.alone(async () => {
        log.push(`${name} begins`);
        await pause(5);
        // The pool is there for who is alone.
        await written(tensor, { ...work, shared });
        log.push(`${name} ends`);
      });
    await Promise.all([
      meeting.join(async (shared) => {
        await shared.stage('check');
        await alone(shared, 'last');
      }),
      meeting.join(async (shared) => {
        await alone(shared, 'first');
        await written(tensor, { ...work, shared });
        log.push('written');
      }),
      meeting.join((shared) => alone(shared, 'second')),
    ]);
    expect(log).toEqual([
      'first begins',
      'first ends',
      'second begins',
      'second ends',
      'written',
      'last begins',
      'last ends',
    ]);
  });

  it('what two want is made once; who waits for it holds nobody up', async () => {
    const work = context(1);
    const meeting = new Meeting(work);
    let made = 0;
    const make = (shared: SharedWork): Promise<Buffer> =>
      shared.once('key', () => {
        made++;
        return written(tensor, { ...work, shared });
      });
    const both = await Promise.all([1, 2].map(() => meeting.join(make)));
    expect(made).toBe(1);
    expect(both[0]).toBe(both[1]);
  });
});

describe('tasks', () => {
  const copy = (start: number, end: number, to: string): CopyTask => ({
    kind: 'copy',
    program: { tensor: 'w', path: 'source', offset: 100, ops: [], inBits: 32, count: COUNT },
    ...{ start, end, path: to, offset: 0, crc32: false, sha256: false, crcEvery: undefined },
  });
  const MIB = 1 << 18;

  it('over the same range come into one batch, with a window', () => {
    const tasks: Task[] = [copy(0, 8 * MIB, 'a'), copy(16 * MIB, 24 * MIB, 'a'), copy(0, 8 * MIB, 'b')];
    const { batches, order } = mergedBatches(tasks);
    expect(batches.map(({ tasks: own }) => own.map((task) => (task as CopyTask).path))).toEqual([
      ['a', 'b'],
      ['a'],
    ]);
    expect(batches[0]?.window).toEqual({ path: 'source', from: 100, to: 100 + (8 << 20) });
    expect(batches[1]?.window).toBeUndefined();
    expect(order).toEqual([0, 2, 1]);
  });

  it('that are larger than the window read for themselves, but comparisons go abreast', () => {
    const compare = (other: string): Task => {
      const { program } = copy(0, 32 * MIB, 'a');
      return {
        kind: 'compare',
        ...{
          program,
          other: { ...program, path: other },
          types: ['f32', 'f32'],
          sums: false,
          figures: undefined,
        },
        ...{ start: 0, end: 32 * MIB },
      };
    };
    const tasks = [copy(0, 32 * MIB, 'a'), copy(0, 32 * MIB, 'b')];
    expect(mergedBatches(tasks).batches.map(({ window }) => window)).toEqual([undefined, undefined]);
    const { batches } = mergedBatches([compare('a'), compare('b')]);
    expect(batches).toHaveLength(1);
    expect(batches[0]).toMatchObject({ abreast: true, window: { from: 100, to: 100 + (32 << 20) } });
  });
});
