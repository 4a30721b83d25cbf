import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BIN, ENV } from '../support/cli.js';

/** A model of 32 MB behind a slow server: work of more than a second that writes almost nothing. */
const ELEMENTS = 1 << 23;
const header = JSON.stringify({ w: { dtype: 'F32', shape: [ELEMENTS], data_offsets: [0, ELEMENTS * 4] } });
const bytes = Buffer.alloc(8 + header.length + ELEMENTS * 4);
bytes.writeBigUInt64LE(BigInt(header.length));
bytes.write(header, 8);
const folder = mkdtempSync(path.join(tmpdir(), 'mlser-progress-'));
let url = '';
const DELAY = 150;
const server = createServer((request, response) => {
  const match = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '');
  const start = Number(match?.[1] ?? 0);
  const end = Math.min(Number(match?.[2] ?? bytes.length - 1) + 1, bytes.length);
  const answer = (): void => {
    response
      .writeHead(match ? 206 : 200, {
        'content-length': end - start,
        'content-range': `bytes ${start}-${end - 1}/${bytes.length}`,
      })
      .end(bytes.subarray(start, end));
  };
  setTimeout(answer, DELAY);
});

beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/model.safetensors`;
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
  rmSync(folder, { recursive: true, force: true });
});

interface Ended {
  code: number | null;
  out: string;
  err: string;
}

/** Runs without blocking the server; the signal is sent as soon as the folder holds a staged output. */
function run(command: string, args: readonly string[], signal?: NodeJS.Signals) {
  const child = spawn(command, args, { cwd: folder, env: { ...ENV, TERM: 'xterm' } });
  const text = { out: '', err: '' };
  child.stdout.on('data', (chunk) => {
    text.out += chunk;
  });
  child.stderr.on('data', (chunk) => {
    text.err += chunk;
  });
  const watch = setInterval(() => {
    if (signal === undefined || readdirSync(folder).length === 0) return;
    clearInterval(watch);
    setTimeout(() => child.kill(signal), 200);
  }, 20);
  return new Promise<Ended>((resolve) =>
    child.on('close', (code) => {
      clearInterval(watch);
      resolve({ code, ...text });
    }),
  );
}

const HIDE_CURSOR = '\u001b[?25l';
const SHOW_CURSOR = '\u001b[?25h';

describe('progress', () => {
  it('is drawn on a terminal after a second, and its cursor comes back', { timeout: 60_000 }, async () => {
    if (spawnSync('script', ['--version']).status !== 0) return;
    const command = `stty cols 100; "${process.execPath}" "${BIN}" checksum ${url}`;
    const { out, code } = await run('script', ['-qec', command, '/dev/null']);
    expect(code).toBe(0);
    expect(out).toContain(HIDE_CURSOR);
    expect(out).toMatch(/hash.*\d\d\.\d %.* MB of 67\.1 MB.* MB\/s/);
    expect(out.lastIndexOf(SHOW_CURSOR)).toBeGreaterThan(out.lastIndexOf(HIDE_CURSOR));
    const plain = await run('script', ['-qec', `${command} --no-color -q`, '/dev/null']);
    expect(plain.out).not.toContain('\u001b');
  });

  it('is not drawn in a pipe', { timeout: 60_000 }, async () => {
    const { out, err, code } = await run(process.execPath, [BIN, 'checksum', url]);
    expect([code, err]).toEqual([0, '']);
    expect(out).toMatch(/^[0-9a-f]{64} {2}/);
  });
});

describe('an interrupted verb', () => {
  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)('leaves no file behind and says so (%s)', { timeout: 60_000 }, async (signal, code) => {
    const args = ['convert', url, 'out.npz', '--validate', 'none', '--json'];
    const ended = await run(process.execPath, [BIN, ...args], signal);
    expect(ended.code).toBe(code);
    expect(ended.err).toBe('error: interrupted\n');
    expect(JSON.parse(ended.out).error).toMatchObject({ code: 'E_INTERRUPTED', details: { signal } });
    expect(readdirSync(folder)).toEqual([]);
  });
});
