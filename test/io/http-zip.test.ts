import { afterEach, beforeEach, expect, it } from 'vitest';
import { crc32 } from '../../src/io/crc32.js';
import { openHttp } from '../../src/io/http.js';
import { HintedRanges } from '../../src/io/http-hints.js';
import { memberSource, readZipDirectory } from '../../src/io/zip/directory.js';
import { finishZip, planZip } from '../../src/io/zip/writer.js';
import { memoryOutput } from '../support/memory-files.js';
import { type RangeServer, rangeServer } from '../support/range-server.js';

let server: RangeServer;
beforeEach(async () => {
  server = await rangeServer();
});
afterEach(() => server.close());

/** An archive of `count` stored members of `size` bytes, each filled with its number. */
async function archive(count: number, size: number): Promise<Uint8Array> {
  const output = memoryOutput('a.zip');
  const sink = await output.create('a.zip');
  const data = Array.from({ length: count }, (_, i) => new Uint8Array(size).fill(i));
  const plan = planZip(data.map((_, i) => ({ name: `a/data/${i}`, size })));
  for (const [i, one] of data.entries()) await sink.writeAt(plan.entries[i]!.dataOffset, one);
  await finishZip(
    sink,
    plan,
    data.map((one) => crc32(one)),
  );
  return output.bytes();
}

const asked = (): number =>
  server.requests.reduce((sum, { range = '' }) => {
    const [, from = 0, to = 0] = /(\d+)-(\d+)/.exec(range) ?? [];
    return sum + Number(to) - Number(from) + 1;
  }, 0);

it('headers of large members are fetched by themselves', async () => {
  const bytes = await archive(60, 300_000);
  server.files.set('a.zip', { bytes });
  const zip = await readZipDirectory(await openHttp(`${server.url}a.zip`, 'a.zip'));
  const before = asked();
  const members = await Promise.all(zip.members.map((member) => memberSource(zip, member)));
  expect(asked() - before).toBeLessThan(60 * 1024);
  for (const [i, member] of members.entries())
    expect(await member.read(299_999, 1)).toEqual(Uint8Array.of(i));
});

it('headers of small members come many in a request', async () => {
  server.files.set('a.zip', { bytes: await archive(300, 4_000) });
  const zip = await readZipDirectory(await openHttp(`${server.url}a.zip`, 'a.zip'));
  for (const member of zip.members) await member.dataOffset();
  expect(server.requests.length).toBeLessThan(12);
});

it('members in any order are read as they are', async () => {
  server.files.set('a.zip', { bytes: await archive(40, 200_000) });
  const zip = await readZipDirectory(await openHttp(`${server.url}a.zip`, 'a.zip'));
  for (const i of [39, 0, 1, 2, 20, 21, 3, 4, 5, 6, 38]) {
    const member = zip.members[i]!;
    expect(await member.head(5)).toEqual(new Uint8Array(5).fill(i));
    expect(await (await memberSource(zip, member)).read(7, 2)).toEqual(Uint8Array.of(i, i));
  }
});

it('announced ranges are fetched side by side, near ones together, and kept', async () => {
  const fetched: [number, number][] = [];
  let open = 0;
  let most = 0;
  const hints = new HintedRanges(async (start, length) => {
    fetched.push([start, length]);
    most = Math.max(most, ++open);
    await new Promise((done) => setTimeout(done, 5));
    open--;
    return Buffer.alloc(length, start % 251);
  });
  const far = Array.from({ length: 20 }, (_, i) => ({ offset: i * 1_000_000, length: 100 }));
  hints.announce([...far, { offset: 150, length: 50 }]);
  const read = await Promise.all(far.map(({ offset }) => hints.read(offset + 10, 20)));
  for (const [i, bytes] of read.entries())
    expect(bytes).toEqual(new Uint8Array(20).fill((i * 1_000_000) % 251));
  expect(most).toBe(8);
  expect(fetched).toHaveLength(20);
  expect(fetched[0]).toEqual([0, 200]);
  expect(await hints.read(500, 10)).toBeUndefined();
});

it('an announced range that fails is left to whoever needs it', async () => {
  const hints = new HintedRanges(() => Promise.reject(new Error('gone')));
  hints.announce([{ offset: 0, length: 10 }]);
  expect(await hints.read(0, 10)).toBeUndefined();
});
