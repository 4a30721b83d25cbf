import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { WorkContext } from '../../src/core/format.js';
import { rangeTensor, type TensorSource } from '../../src/core/tensor.js';
import { createDiskSink, type DiskSource, openDisk } from '../../src/io/disk.js';
import { hashTensors } from '../../src/kernels/hash.js';
import { isApart, mergedBatches } from '../../src/kernels/merge-tasks.js';
import type { Passenger } from '../../src/kernels/passengers.js';
import { programOf } from '../../src/kernels/program.js';
import { countZeros } from '../../src/kernels/prune/zeros.js';
import { WaitingRoom } from '../../src/kernels/ride-along.js';
import type { CopyTask, Task } from '../../src/kernels/tasks.js';
import { transfer } from '../../src/kernels/transfer.js';
import { testContext } from '../support/context.js';
import { countReads } from '../support/count-reads.js';
import { ownFolder } from '../support/folders.js';

const at = ownFolder('ride');
const MIB = 1 << 20;

/** Bytes of which every fifth f32 or so is zero. */
const values = (bytes: number): Uint8Array => {
  const words = new Uint32Array(Math.ceil(bytes / 4));
  for (let i = 0; i < words.length; i++) words[i] = i % 5 === 0 ? 0 : 0x3f000000 + ((i * 2654435761) >>> 10);
  return new Uint8Array(words.buffer).subarray(0, bytes);
};
const BYTES = values(75 * MIB);
fs.writeFileSync(at('source'), BYTES);

let copies = 0;
/** Copies tensors into a file. */
async function copied(tensors: readonly TensorSource[], context: WorkContext): Promise<Buffer> {
  const file = at(`copy${copies++}`);
  const sink = createDiskSink(file, 'copy');
  try {
    let offset = 0;
    const placements = tensors.map((tensor) => {
      const placement = { tensor, sink, offset };
      offset += tensor.byteLength;
      return placement;
    });
    await transfer(placements, context);
  } finally {
    sink.close();
  }
  return fs.readFileSync(file);
}

/** The source, as long as `work` takes. */
async function withSource<T>(work: (source: DiskSource) => T | Promise<T>): Promise<T> {
  const source = openDisk(at('source'));
  try {
    return await work(source);
  } finally {
    source.close();
  }
}

/** f32 tensors at places of the file. */
function at32(source: DiskSource, places: readonly (readonly [number, number])[]): TensorSource[] {
  return places.map(([offset, count], i) =>
    rangeTensor({ name: `t${i}`, dtype: 'f32', shape: [count] }, source, offset),
  );
}

/** What must be found. */
const digestOf = (offset: number, count: number): string =>
  createHash('sha256')
    .update(BYTES.subarray(offset, offset + count * 4))
    .digest('hex');
const zerosIn = (offset: number, count: number): number =>
  new Float32Array(BYTES.slice(offset, offset + count * 4).buffer).filter((value) => value === 0).length;

/** Long ones, short ones, one behind the other, with a gap, and two that lie in a third. */
const PLACES = [
  [8, 100],
  [408, 5 * MIB + 3],
  [20 * MIB + 420, 2 * MIB],
  [29 * MIB, 10 * MIB + 1],
  [35 * MIB, 1000],
  [40 * MIB, 5 * MIB],
  [70 * MIB, 1],
] as const;

describe('who rides along with a copy', () => {
  it.each([1, 2])('gets what it would get alone, from the same read, with %i threads', async (threads) => {
    await withSource(async (source) => {
      const context = testContext(threads);
      const tensors = at32(source, PLACES);
      const rides = new WaitingRoom(context);
      const hashing = hashTensors(tensors, context, rides);
      const counting = countZeros(tensors, context, rides);
      const { pages, stop } = countReads(at('source'));
      const copy = await copied(tensors, { ...context, rides });
      stop();
      expect(await hashing).toEqual(PLACES.map(([offset, n]) => digestOf(offset, n)));
      expect(await counting).toEqual(PLACES.map(([offset, n]) => zerosIn(offset, n)));
      expect(copy.equals(Buffer.concat(PLACES.map(([from, n]) => BYTES.subarray(from, from + n * 4))))).toBe(
        true,
      );
      // Reads of this thread are those that are counted.
      if (threads === 1) expect(Math.max(...pages)).toBe(1);
      await rides.walk(); // nobody is left
      expect(Math.max(...pages)).toBe(threads === 1 ? 1 : 0);
    });
  });

  it('waits for one that reads enough, and walks if none comes, with others who walk', async () => {
    await withSource(async (source) => {
      const context = testContext(1);
      const [, , , large] = at32(source, PLACES);
      if (!large) throw new Error('there is one');
      const rides = new WaitingRoom(context);
      let done = false;
      const hashing = hashTensors([large], context, rides).then((found) => {
        done = true;
        return found;
      });
      const counting = countZeros([large], context, rides);
      // Half of it.
      await copied(at32(source, [[29 * MIB, 5 * MIB]]), { ...context, rides });
      expect(done).toBe(false);
      const { pages, stop } = countReads(at('source'));
      await rides.walk();
      stop();
      expect(await hashing).toEqual([digestOf(29 * MIB, 10 * MIB + 1)]);
      expect(await counting).toEqual([zerosIn(29 * MIB, 10 * MIB + 1)]);
      expect(Math.max(...pages)).toBe(1);
    });
  });

  it('goes on waiting where who carried it has failed', async () => {
    await withSource(async (source) => {
      const context = testContext(1);
      const tensors = at32(source, [[0, MIB]]);
      const rides = new WaitingRoom(context);
      const hashing = hashTensors(tensors, context, rides);
      const nowhere = {
        ...{ name: 'nowhere', path: at('none/there'), size: 0 },
        ...{ extendTo() {}, async writeAt() {}, async append() {} },
      };
      const failing = transfer(
        tensors.map((tensor) => ({ tensor, sink: nowhere, offset: 0 })),
        { ...context, rides },
      );
      await expect(failing).rejects.toMatchObject({ code: 'E_NOT_FOUND' });
      await rides.walk();
      expect(await hashing).toEqual([digestOf(0, MIB)]);
    });
  });

  it('is told when nothing will come of it', async () => {
    await withSource(async (source) => {
      const context = testContext(1);
      const rides = new WaitingRoom(context);
      const hashing = hashTensors(at32(source, [[0, 10]]), context, rides);
      const counting = countZeros(at32(source, [[0, 10]]), context, rides);
      rides.close();
      await expect(hashing).rejects.toMatchObject({ code: 'E_INTERRUPTED' });
      await expect(counting).rejects.toMatchObject({ code: 'E_INTERRUPTED' });
    });
  });
});

describe('batches with passengers', () => {
  it('have every part once, those in order on one thread, wherever tensors and tasks lie', () => {
    const word = fc.integer({ min: 1, max: 6 * MIB });
    fc.assert(
      fc.property(
        fc.array(
          fc.record({
            count: word,
            gap: fc.constantFrom(0, 0, 4, 4096),
            step: fc.integer({ min: 1 << 14, max: 6 * MIB }),
          }),
          {
            minLength: 1,
            maxLength: 8,
          },
        ),
        fc.nat(),
        (tensors, seed) => {
          let offset = 64;
          const tasks: Task[] = [];
          const passengers: Passenger[] = [];
          for (const [i, { count, gap, step }] of tensors.entries()) {
            offset += gap;
            const program = { tensor: `t${i}`, path: 'source', offset, ops: [], inBits: 32, count };
            offset += count * 4;
            const range = Math.ceil(step / 8) * 8;
            for (let start = 0; start < count; start += range)
              tasks.push({
                ...{ kind: 'copy', program, start, end: Math.min(count, start + range) },
                ...{ path: 'a', offset: start * 4, crc32: false, sha256: false, crcEvery: undefined },
              } satisfies CopyTask);
            const part = (start: number, end: number): Task => ({ kind: 'hash', program, start, end });
            passengers.push({ program, inOrder: true, part });
            passengers.push({
              program,
              inOrder: false,
              part: (start, end) => ({ ...part(start, end), kind: 'sum' }),
            });
          }
          tasks.sort((a, b) => ((a.start * 31 + seed) % 7) - ((b.start * 31 + seed) % 7));
          const { batches, order, rides } = mergedBatches(tasks, passengers);
          const parts = rides.reduce((sum, ride) => sum + ride.tasks.length, 0);
          expect([...order].sort((a, b) => a - b)).toEqual(
            Array.from({ length: tasks.length + parts }, (_, i) => i),
          );
          const done = batches.flatMap((batch, i) => {
            const found: { task: Task; batch: number }[] = [];
            for (let one: typeof batch | undefined = batch; one; one = one.next)
              found.push(...one.tasks.map((task) => ({ task, batch: i })));
            return found;
          });
          const all = [...tasks, ...rides.flatMap((ride) => ride.tasks)];
          expect(done.every(({ task }, i) => task === all[order[i] ?? -1])).toBe(true);
          // Where small and large tasks share a tensor, neither need read enough of it.
          const carried = new Set(rides.map(({ passenger }) => passenger));
          for (const passenger of passengers) {
            const far = tasks
              .filter(({ program }) => program === passenger.program)
              .map((task) => isApart(task));
            if (new Set(far).size === 1) expect(carried.has(passenger)).toBe(true);
          }
          for (const { passenger, tasks: own } of rides) {
            let reached = 0;
            for (const { start, end } of own) {
              expect(start).toBe(reached);
              reached = end;
            }
            expect(reached).toBe(passenger.program.count);
            const where = own.map((task) => done.findIndex((one) => one.task === task));
            if (passenger.inOrder) {
              expect(new Set(where.map((i) => done[i]?.batch)).size).toBe(1);
              expect([...where].sort((a, b) => a - b)).toEqual(where);
            }
          }
        },
      ),
      { numRuns: 200 },
    );
  });

  it('a few samples carry nobody, nor does what is unfolded', async () => {
    await withSource(async (source) => {
      const [tensor] = at32(source, [[0, MIB]]);
      const program = tensor && programOf(tensor);
      if (!program) throw new Error('there is one');
      const passenger: Passenger = {
        ...{ program, inOrder: true },
        part: (start, end) => ({ kind: 'hash', program, start, end }),
      };
      const range = { program, start: 0, end: MIB };
      const sample: Task = { kind: 'sample', taken: 8, ...range };
      expect(mergedBatches([sample], [passenger]).rides).toEqual([]);
      const all: Task = { kind: 'ends', columns: 1, ...range };
      expect(mergedBatches([all], [passenger]).rides).toHaveLength(1);
      const coded = { ...program, coded: {} as NonNullable<typeof program.coded> };
      expect(mergedBatches([all], [{ ...passenger, program: coded }]).rides).toEqual([]);
    });
  });
});
