import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';

/** Real processes (of the built package), ended while they write. */

const root = fs.mkdtempSync(path.join(tmpdir(), 'mlser-kill-'));
afterAll(() => fs.rmSync(root, { recursive: true, force: true }));

let folder = root;
let number = 0;
beforeEach(() => {
  folder = path.join(root, String(number++));
  fs.mkdirSync(folder);
});
const at = (name: string): string => path.join(folder, name);
const listing = (): string[] => fs.readdirSync(folder).sort();

const start = (...words: string[]): ChildProcessWithoutNullStreams =>
  spawn(process.execPath, [path.resolve('test/support/staged-child.js'), ...words]);

interface End {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly pid: number | undefined;
}

/** Sends the signal once the child has written `pieces` of its 64 pieces. */
async function endAfter(
  child: ChildProcessWithoutNullStreams,
  pieces: number,
  signal: NodeJS.Signals,
): Promise<End> {
  const closed = once(child, 'close');
  createInterface(child.stdout).on('line', (line) => {
    if (line === `wrote ${pieces}`) child.kill(signal);
  });
  const [code, by] = (await closed) as [number | null, NodeJS.Signals | null];
  return { code, signal: by, pid: child.pid };
}

async function finish(child: ChildProcessWithoutNullStreams): Promise<number | null> {
  child.stdout.resume();
  const [code] = (await once(child, 'close')) as [number | null];
  return code;
}

const whole = (file: string, byte: number): boolean => {
  const bytes = fs.readFileSync(file);
  return bytes.byteLength === 64 * 16384 && bytes.every((value) => value === byte);
};

describe('kill -9', () => {
  it.each([0, 20, 62])(
    'after piece %d: the old file stays, one folder says whose it is, the next run works',
    async (pieces) => {
      fs.writeFileSync(at('a.bin'), 'old');
      const end = await endAfter(start('write', at('a.bin'), 'force'), pieces, 'SIGKILL');
      expect(end.signal).toBe('SIGKILL');
      expect(fs.readFileSync(at('a.bin'), 'utf8')).toBe('old');
      const [left, target, ...more] = listing();
      expect(target).toBe('a.bin');
      expect(more).toEqual([]);
      expect(left).toMatch(new RegExp(`^\\.a\\.bin\\.${end.pid}-[0-9a-f]{8}\\.tmp$`));

      expect(await finish(start('write', at('a.bin'), 'force'))).toBe(0);
      expect(whole(at('a.bin'), 0x77)).toBe(true);
      expect(listing(), 'young left-overs stay').toEqual([left, 'a.bin']);
      const past = new Date(Date.now() - 2 * 24 * 60 * 60 * 1000);
      for (const file of [...fs.readdirSync(at(left!)).map((name) => `${left}/${name}`), left!])
        fs.utimesSync(at(file), past, past);
      expect(await finish(start('write', at('a.bin'), 'force'))).toBe(0);
      expect(listing(), 'old ones go').toEqual(['a.bin']);
    },
  );
});

describe.each([
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const)('%s', (signal, code) => {
  it(`ends with ${code}, the old file stays, nothing else does`, async () => {
    fs.writeFileSync(at('a.bin'), 'old');
    expect(await endAfter(start('write', at('a.bin'), 'force'), 10, signal)).toMatchObject({
      code,
      signal: null,
    });
    expect(fs.readFileSync(at('a.bin'), 'utf8')).toBe('old');
    expect(listing()).toEqual(['a.bin']);
  });
});

describe('two processes with one target', () => {
  it('both finish, and the target is one whole file at every moment', async () => {
    const [one, two] = [start('race', at('a.bin'), '17', '40'), start('race', at('a.bin'), '34', '40')];
    const codes = Promise.all([finish(one), finish(two)]);
    let running = true;
    void codes.then(() => {
      running = false;
    });
    let seen = 0;
    while (running) {
      await new Promise((resolve) => setTimeout(resolve, 5));
      if (!fs.existsSync(at('a.bin'))) continue;
      const bytes = fs.readFileSync(at('a.bin'));
      expect([17, 34]).toContain(bytes[0]);
      expect(bytes.byteLength).toBe(64 * 16384);
      expect(Buffer.compare(bytes, Buffer.alloc(bytes.byteLength, bytes[0]))).toBe(0);
      seen += 1;
    }
    expect(await codes).toEqual([0, 0]);
    expect(seen).toBeGreaterThan(0);
    expect(listing()).toEqual(['a.bin']);
  });
});
