import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { sha256 } from '../../src/io/hashing.js';
import { withPool } from '../../src/kernels/pool.js';
import { poolWorker, startAhead } from '../../src/kernels/start-workers.js';
import type { HashTask } from '../../src/kernels/tasks.js';
import { testContext } from '../support/context.js';

const BYTES = 40 << 20;
let folder: string;
let file: string;

beforeAll(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'mlser-workers-'));
  file = path.join(folder, 'zeros');
  fs.writeFileSync(file, '');
  fs.truncateSync(file, 2 * BYTES);
});
afterAll(() => fs.rmSync(folder, { recursive: true }));

const half = (offset: number): HashTask => ({
  kind: 'hash',
  program: { tensor: 'zeros', path: file, offset, inBits: 8, count: BYTES, ops: [] },
  start: 0,
  end: BYTES,
});

it('does the same with workers that were started ahead, each of which is given once', async () => {
  const expected = Buffer.from(sha256(new Uint8Array(BYTES))).toString('hex');
  const hashes = () =>
    withPool(testContext(2), (pool) => pool.run([half(0), half(BYTES)])).then((results) =>
      results.map((result) => result.sha256),
    );
  expect(await hashes()).toEqual([expected, expected]);
  startAhead(2);
  expect(await hashes()).toEqual([expected, expected]);
  startAhead(2);
  const given = [poolWorker(), poolWorker(), poolWorker()];
  expect(new Set(given.map(({ threadId }) => threadId)).size).toBe(3);
  await Promise.all(given.map((worker) => worker.terminate()));
});
