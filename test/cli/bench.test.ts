import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { parseCounts, parseDuration, parseShare, parseWords } from '../../src/cli/bench-options.js';
import { linearAxis, logAxis } from '../../src/cli/html/plot.js';
import { ms, within } from '../../src/cli/render/bench-numbers.js';
import { BIN, ENV, mlser, TRAINED } from '../support/cli.js';
import { schemaErrors } from '../support/schema.js';

const folder = mkdtempSync(path.join(tmpdir(), 'mlser-bench-cli-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const MODEL = path.join(TRAINED, 'model.onnx');
const few = ['--runs', '6', '--processes', '2', '--warmup', '1', '--threads', '1'];
const env = { TMPDIR: folder };

describe('options of bench', () => {
  it('takes times, shares and lists', () => {
    expect(['10ms', '0.5s', '200us', '7', '1min'].map(parseDuration)).toEqual([10, 500, 0.2, 7, 60_000]);
    expect(['0.97', '97%', '1', '0'].map(parseShare)).toEqual([0.97, 0.97, 1, 0]);
    expect(parseCounts('1,8, 32')).toEqual([1, 8, 32]);
    expect(parseWords('cpu, cuda')).toEqual(['cpu', 'cuda']);
    for (const wrong of [
      () => parseDuration('fast'),
      () => parseDuration('10h'),
      () => parseDuration('0ms'),
      () => parseShare('97'),
      () => parseShare('-1'),
      () => parseCounts('1,,2'),
      () => parseCounts('1.5'),
      () => parseWords('cpu,'),
    ])
      expect(wrong).toThrow(expect.objectContaining({ code: 'E_USAGE' }));
  });

  it('writes times in the unit that fits', () => {
    expect([0.0271, 0.1, 9.8765, 1234.5].map(ms)).toEqual(['27.1 µs', '0.1 ms', '9.88 ms', '1.23 s']);
    expect([within(10, [9, 11]), within(10, null)]).toEqual(['±10.0 %', '–']);
  });
});

describe('axes', () => {
  it('end at round numbers', () => {
    const linear = linearAxis([3, 47], { title: '', text: String });
    expect(linear.ticks).toEqual([0, 10, 20, 30, 40, 50]);
    expect(linear.at(25)).toBe(0.5);
    const near = linearAxis([0.98, 0.99], { title: '', text: String }, true);
    expect(near.at(0.985)).toBeCloseTo(0.5, 9);
    const log = logAxis([0.02, 700_000], { title: '', text: String });
    expect(log.ticks[0]).toBe(0.01);
    expect(log.ticks.at(-1)).toBe(1_000_000);
    expect(log.at(100)).toBeCloseTo(0.5, 9);
    expect(log.at(0)).toBe(0);
  });
});

describe('mlser bench', () => {
  it('answers 1 where a gate fails, and names the model and the gate', () => {
    const feeds = ['--inputs', path.join(TRAINED, 'test.npz'), '--labels', 'y'];
    const gates = ['--min-accuracy', '97%', '--max-size', '1kB', '--max-p95', '100us'];
    const ran = mlser(['bench', MODEL, ...few, ...feeds, ...gates], { env });
    expect(ran.code).toBe(1);
    expect(ran.err).toMatch(/error GATE_FAILED .*model\.onnx on cpu: the size of the files is 34391 bytes/);
    expect(ran.out).toMatch(/FAILS +--max-size .* 1 kB +34\.4 kB/);
    expect(ran.out).toMatch(/holds +--min-accuracy .* 97\.0 % +98\.6 %/);
  });

  it('writes a page with charts, and leaves nothing in the folder of scratch files', () => {
    const page = path.join(folder, 'bench.html');
    const ran = mlser(['bench', MODEL, ...few, '--batch', '1,4', '--roofline', '--html', page, '--json'], {
      env,
    });
    expect(ran).toMatchObject({ code: 0, err: '' });
    expect(schemaErrors('bench', JSON.parse(ran.out))).toEqual([]);
    const text = readFileSync(page, 'utf8');
    for (const label of [
      'latency at batch 1',
      'latency at batch 4',
      'throughput by batch',
      'size and latency',
      'roofline',
    ])
      expect(text).toContain(`aria-label="${label}"`);
    expect(text).toContain('GFLOP a second');
    expect(text).not.toMatch(/NaN|undefined|Infinity/);
    // What Node 22 and later keep of compiled code is theirs.
    expect(readdirSync(folder).filter((name) => name !== 'node-compile-cache')).toEqual(['bench.html']);
  });

  it('answers 2 where a model fails, names it, and shows the others', () => {
    const junk = path.join(folder, 'junk.onnx');
    writeFileSync(junk, 'no model at all');
    const ran = mlser(['bench', MODEL, junk, ...few], { env });
    expect(ran.code).toBe(2);
    expect(ran.err).toMatch(/error MODEL_FAILED .*junk\.onnx/);
    expect(ran.out).toMatch(/junk\.onnx \(failed\)/);
    expect(ran.out).toMatch(/Batch 1\n.*\n +\S*model\.onnx +[\d.]+ [µm]s/);
    const alone = mlser(['bench', junk, ...few, '--json'], { env });
    expect(alone.code).toBe(2);
    expect(schemaErrors('error', JSON.parse(alone.out))).toEqual([]);
  });

  it.runIf(process.platform !== 'win32')('takes its processes along when it is interrupted', async () => {
    const child = spawn(process.execPath, [BIN, 'bench', MODEL, '--runs', '1000000000', '-q'], {
      ...{ detached: true, stdio: 'ignore' as const, env: ENV },
    });
    const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
    await new Promise((resolve) => setTimeout(resolve, 2500));
    process.kill(child.pid ?? 0, 'SIGINT');
    expect(await ended).toBe(130);
    const group = (): boolean => {
      try {
        return process.kill(-(child.pid ?? 0), 0);
      } catch {
        return false;
      }
    };
    await expect.poll(group, { timeout: 5000 }).toBe(false);
  });
});
