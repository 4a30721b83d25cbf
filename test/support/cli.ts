import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll } from 'vitest';
import type { CliIo } from '../../src/cli/io.js';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));
export const BIN = path.join(ROOT, 'bin/mlser.js');
/** A classifier of digits, and the checkpoints of its training. */
export const TRAINED = path.join(ROOT, 'fixtures/trained/digits_cnn');

export interface Ran {
  readonly code: number | null;
  readonly signal: string | null;
  readonly out: string;
  readonly err: string;
}

/** The environment of the tests: no colours asked for or refused, UTF-8. */
export const ENV = { PATH: process.env['PATH'] ?? '', LC_ALL: 'C.UTF-8', HOME: tmpdir() };

/** Runs the built command line in a process of its own. */
export function mlser(
  args: readonly string[],
  options: { cwd?: string; env?: Record<string, string> } = {},
): Ran {
  const ran = spawnSync(process.execPath, [BIN, ...args], {
    encoding: 'utf8',
    cwd: options.cwd ?? ROOT,
    env: { ...ENV, ...options.env },
    timeout: 60_000,
    maxBuffer: 1 << 28,
  });
  return { code: ran.status, signal: ran.signal, out: ran.stdout, err: ran.stderr };
}

/** Streams that remember what was written, for `main` in this process. */
export function fakeIo(env: Record<string, string> = {}): CliIo & { text(): { out: string; err: string } } {
  const written = { out: '', err: '' };
  const stream = (key: 'out' | 'err') => ({
    write(text: string) {
      written[key] += text;
    },
  });
  return { out: stream('out'), err: stream('err'), env: { LC_ALL: 'C.UTF-8', ...env }, text: () => written };
}

/** A fresh folder with the files that the examples of the help name; removed after the tests of the file. */
export function modelFolder(): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'mlser-cli-'));
  folders.push(folder);
  for (const [from, to] of [
    ['model.onnx', 'model.onnx'],
    ['model.safetensors', 'model.safetensors'],
    ['checkpoints/step0200.pt', 'checkpoint.pt'],
    ['test.npz', 'test.npz'],
    ['calib.npz', 'calib.npz'],
    ['edge.json', 'edge.json'],
  ] as const)
    copyFileSync(path.join(TRAINED, from), path.join(folder, to));
  return folder;
}
const folders: string[] = [];
afterAll(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

/** Anything that would steer a terminal, line ends and tabs apart. */
export const CONTROL =
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/;
