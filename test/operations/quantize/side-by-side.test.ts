import { spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import { createRequire, syncBuiltinESMExports } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { NO_PROGRESS } from '../../../src/core/format.js';
import { encodeModel } from '../../../src/graph/build.js';
import { withModel } from '../../../src/operations/open.js';
import { type PresetOptions, quantizePreset } from '../../../src/operations/quantize/preset.js';
import { quantizeModel } from '../../../src/operations/quantize/quantize.js';
import type { PresetReport } from '../../../src/operations/quantize/report.js';
import { variantsFor } from '../../../src/operations/quantize/transformers-js.js';
import { BIN, ENV } from '../../support/cli.js';
import { testContext } from '../../support/context.js';
import { countReads, readsOf } from '../../support/count-reads.js';

const BERT = path.resolve('fixtures/transformers/tiny-bert/onnx/model.onnx');
const CNN = path.resolve('fixtures/trained/digits_cnn/model.onnx');
const DIGITS = path.resolve('fixtures/trained/digits_cnn/test.npz');

const root = fs.mkdtempSync(path.join(tmpdir(), 'mlser-beside-'));
afterAll(() => fs.rmSync(root, { recursive: true, force: true }));
let count = 0;
const fresh = (): string => path.join(root, `m${count++}`);

const preset = (
  input: string,
  folder: string,
  more: Partial<PresetOptions> = {},
  context = testContext(),
): Promise<PresetReport> =>
  quantizePreset(
    input,
    folder,
    { preset: 'transformers.js', validate: 'weights', device: 'cpu', sync: false, ...more },
    context,
  );

/** What Node hands to everybody who imports it. */
const processes = createRequire(import.meta.url)('node:child_process') as typeof import('node:child_process');
const { fork } = processes;
function restore(): void {
  Object.assign(processes, { fork });
  syncBuiltinESMExports();
}
afterEach(restore);

/** Counts the sessions that the runtime makes of a file, by what its child processes are sent. */
function countSessions(): { of(file: string): number } {
  const files: unknown[] = [];
  processes.fork = ((...args: Parameters<typeof fork>) => {
    const child = fork(...args);
    const send = child.send.bind(child) as (...all: unknown[]) => boolean;
    child.send = ((...all: unknown[]) => {
      const [request] = all as [{ op?: string; model?: { path?: string } }];
      if (request.op === 'create') files.push(request.model?.path);
      return send(...all);
    }) as typeof child.send;
    return child;
  }) as typeof fork;
  syncBuiltinESMExports();
  return { of: (file) => files.filter((one) => one === file).length };
}

/**
 * A table of 20 MiB, whose scales come from more rows than a task has, and three matrices. The last one has more than is held
 * of a file, and is read column by column.
 */
const large = path.join(root, 'large.onnx');
beforeAll(async () => {
  const [rows, width, inner, wide] = [1280, 4096, 256, 18_432];
  const values = (n: number): Uint8Array => {
    const floats = new Float32Array(n);
    // None is so small that f16 has fewer digits for it: the gate would look at those again.
    for (let i = 0; i < n; i++) floats[i] = (((i * 7919) % 2039) - 1019) / 8191;
    return new Uint8Array(floats.buffer);
  };
  const bytes = await encodeModel({
    opset: 17,
    nodes: [
      { op: 'Gather', inputs: ['table', 'ids'], outputs: ['e'] },
      { op: 'MatMul', inputs: ['e', 'a'], outputs: ['h'] },
      { op: 'MatMul', inputs: ['h', 'b'], outputs: ['i'] },
      { op: 'MatMul', inputs: ['i', 'c'], outputs: ['y'] },
    ],
    inputs: [{ name: 'ids', dtype: 'i64', shape: ['n'] }],
    outputs: [{ name: 'y', dtype: 'f32', shape: ['n', wide] }],
    initializers: [
      { name: 'table', dtype: 'f32', shape: [rows, width], raw: values(rows * width) },
      { name: 'a', dtype: 'f32', shape: [width, inner], raw: values(width * inner) },
      { name: 'b', dtype: 'f32', shape: [inner, inner], raw: values(inner * inner) },
      { name: 'c', dtype: 'f32', shape: [inner, wide], raw: values(inner * wide) },
    ],
  });
  fs.writeFileSync(large, bytes);
});

describe('the weights', () => {
  it('are read once for all variants; the gate reads them once more', async () => {
    for (const [validate, more] of [
      ['structure', 0],
      ['weights', 1],
    ] as const) {
      const { pages, stop } = countReads(large);
      const report = await preset(large, fresh(), { validate }, testContext(1));
      stop();
      expect(report.variants.map(({ outcome }) => outcome)).toEqual(Array(8).fill('written'));
      const reads = await readsOf(large, pages);
      expect([...reads.keys()].sort()).toEqual(['a', 'b', 'c', 'table']);
      expect(reads.get('a'), validate).toBe(1 + more);
      expect(reads.get('b'), validate).toBe(1 + more);
      // Comparisons take ranges of their own size.
      expect(reads.get('c'), validate).toBeLessThanOrEqual(1 + 2 * more);
      expect(reads.get('table'), validate).toBeLessThanOrEqual(1 + 2 * more);
    }
  });

  it('are read once where the model is one of its variants already', async () => {
    const folder = fresh();
    fs.mkdirSync(path.join(folder, 'onnx'), { recursive: true });
    const model = path.join(folder, 'onnx/model.onnx');
    fs.copyFileSync(large, model);
    const { pages, stop } = countReads(model);
    const report = await preset(model, folder, { validate: 'structure' }, testContext(1));
    stop();
    expect(report.variants[0]?.outcome).toBe('source');
    const reads = await readsOf(model, pages);
    expect([...reads.values()]).toEqual([1, 1, 1, 1]);
    expect(fs.readdirSync(folder)).toEqual(['onnx']);
  });

  it('would be read by each scheme that is written alone', async () => {
    const { pages, stop } = countReads(large);
    for (const scheme of ['int4-weights', 'fp16', 'nf4'])
      await quantizeModel(
        large,
        `${fresh()}.onnx`,
        { scheme, validate: 'structure', device: 'cpu', sync: false },
        testContext(1),
      );
    stop();
    expect((await readsOf(large, pages)).get('a')).toBeGreaterThan(3);
  });
});

describe('every variant', () => {
  /** The files that schemes write one by one, by the name that they have in the preset. */
  async function alone(input: string): Promise<ReadonlyMap<string, Buffer>> {
    const folder = fresh();
    fs.mkdirSync(folder);
    const variants = await withModel(input, {}, async ({ model }) =>
      model.graph ? variantsFor(model.graph) : [],
    );
    const made = new Map<string, Buffer>();
    for (const { suffix, scheme, settings } of variants) {
      if (scheme === undefined) continue;
      const file = path.join(folder, `model${suffix}.onnx`);
      const options = { validate: 'structure', device: 'cpu', sync: false } as const;
      await quantizeModel(input, file, { ...options, ...settings, scheme }, testContext());
      made.set(path.basename(file), fs.readFileSync(file));
    }
    return made;
  }

  it.each([
    ['BERT', BERT],
    ['a model with Conv', CNN],
    ['large weights', large],
  ])('is what its scheme writes alone, at any number of threads: %s', async (_, input) => {
    const expected = await alone(input);
    for (const threads of [1, 3]) {
      const folder = fresh();
      await preset(input, folder, { validate: 'structure' }, testContext(threads));
      for (const [file, bytes] of expected)
        expect(fs.readFileSync(path.join(folder, 'onnx', file)).equals(bytes), file).toBe(true);
    }
  });

  it('is so where others fail', async () => {
    const expected = await alone(BERT);
    const folder = fresh();
    const report = await preset(BERT, folder, { validate: 'run', tolerance: 0.03 });
    const failed = report.variants.filter(({ outcome }) => outcome === 'failed').map(({ dtype }) => dtype);
    expect(failed).toEqual(['q4', 'q4f16', 'bnb4']);
    for (const { dtype, file } of report.variants)
      if (!failed.includes(dtype) && dtype !== 'fp32')
        expect(fs.readFileSync(path.join(folder, 'onnx', file)).equals(expected.get(file)!), file).toBe(true);
    expect(fs.readdirSync(path.join(folder, 'onnx'))).toHaveLength(5);
  });

  it('is compared with the source as if it were alone, sample by sample', async () => {
    const folder = fresh();
    const report = await preset(CNN, folder, { validate: 'run', inputs: DIGITS, labels: 'y' });
    for (const { dtype, validation } of report.variants) {
      const scheme = variantsOf(dtype);
      if (!scheme) continue;
      const own = await quantizeModel(
        CNN,
        `${fresh()}.onnx`,
        { ...scheme, validate: 'run', device: 'cpu', sync: false, inputs: DIGITS, labels: 'y' },
        testContext(),
      );
      expect(validation, dtype).toEqual(own.validation);
    }
  });
});

/** Some of the table of variants, for a model with Conv. */
const variantsOf = (dtype: string) =>
  ({ fp16: { scheme: 'fp16' }, int8: { scheme: 'int8-dynamic' }, q4: { scheme: 'int4-weights', block: 32 } })[
    dtype
  ];

describe('what ends the run', () => {
  let scratch = root;
  const { TMPDIR } = process.env;
  beforeEach(() => {
    scratch = fresh();
    fs.mkdirSync(scratch);
    process.env['TMPDIR'] = scratch;
  });
  afterEach(() => {
    if (TMPDIR === undefined) delete process.env['TMPDIR'];
    else process.env['TMPDIR'] = TMPDIR;
  });

  it.each([1, 20, 60, 120])('leaves nothing: an interruption after %i steps', async (steps) => {
    const controller = new AbortController();
    let left = steps;
    const step = (): void => {
      if (--left === 0) controller.abort();
    };
    const folder = fresh();
    const context = {
      ...testContext(2),
      signal: controller.signal,
      progress: { ...NO_PROGRESS, advance: step, stage: step },
    };
    await expect(preset(large, folder, { validate: 'weights' }, context)).rejects.toMatchObject({
      code: 'E_INTERRUPTED',
    });
    expect(fs.existsSync(folder)).toBe(false);
    expect(fs.readdirSync(scratch)).toEqual([]);
  });

  it('leaves nothing: feeds that are not those of the model', async () => {
    const folder = fresh();
    await expect(preset(BERT, folder, { validate: 'run', inputs: DIGITS })).rejects.toMatchObject({
      code: 'E_USAGE',
    });
    expect(fs.existsSync(folder)).toBe(false);
    expect(fs.readdirSync(scratch)).toEqual([]);
  });
});

describe('kill -9', () => {
  const args = (folder: string, ...more: string[]): string[] => [
    ...['--require', path.resolve('test/support/kill-at.cjs'), BIN, 'quantize', BERT, folder],
    ...['--preset', 'transformers.js', '--validate', 'structure', '--threads', '1', '-q', ...more],
  ];
  const start = (folder: string, env: Record<string, string>): NodeJS.Signals | null =>
    spawnSync(process.execPath, args(folder), { env: { ...ENV, TMPDIR: root, ...env }, stdio: 'ignore' })
      .signal;

  it('leaves whole files or none, and the next run makes all', () => {
    const [whole, calls] = [fresh(), path.join(root, 'calls')];
    expect(start(whole, { MLSER_TEST_COUNT: calls })).toBeNull();
    const names = fs.readdirSync(path.join(whole, 'onnx'));
    expect(names).toHaveLength(8);
    const same = (folder: string, name: string): boolean =>
      fs
        .readFileSync(path.join(folder, 'onnx', name))
        .equals(fs.readFileSync(path.join(whole, 'onnx', name)));
    for (const share of [0.3, 0.6, 0.9]) {
      const folder = fresh();
      const at = Math.floor(Number(fs.readFileSync(calls, 'utf8')) * share);
      expect(start(folder, { MLSER_TEST_KILL_AT: String(at) })).toBe('SIGKILL');
      const left = fs.existsSync(path.join(folder, 'onnx')) ? fs.readdirSync(path.join(folder, 'onnx')) : [];
      for (const name of left)
        expect(name.endsWith('.tmp') || (names.includes(name) && same(folder, name)), name).toBe(true);
      const again = spawnSync(process.execPath, args(folder, '--force'), { env: { ...ENV, TMPDIR: root } });
      expect(again.status).toBe(0);
      for (const name of names) expect(same(folder, name), name).toBe(true);
    }
    // Scratch files of killed runs are there for a day, in case somebody looks at them.
    const scratch = (): string[] =>
      fs.readdirSync(root).filter((name) => /^\.mlser-scratch\..*\.tmp$/.test(name));
    expect(scratch().length).toBeGreaterThan(0);
    const past = new Date(Date.now() - 2 * 24 * 60 * 60 * 1000);
    for (const name of scratch())
      for (const file of [...fs.readdirSync(path.join(root, name)).map((one) => path.join(name, one)), name])
        fs.utimesSync(path.join(root, file), past, past);
    expect(start(fresh(), {})).toBeNull();
    expect(scratch()).toEqual([]);
  });
});

describe('the source', () => {
  it('is run once for all variants, once more where it may be random, and timed once', async () => {
    const proved = countSessions();
    const failing = await preset(BERT, fresh(), { validate: 'run', tolerance: 1e-9 });
    restore();
    expect(failing.variants.filter(({ outcome }) => outcome === 'failed')).toHaveLength(7);
    expect(proved.of(BERT)).toBe(2);
    const timed = countSessions();
    const report = await preset(CNN, fresh(), { validate: 'run', inputs: DIGITS, labels: 'y' });
    restore();
    expect(report.variants.every(({ outcome }) => outcome === 'written')).toBe(true);
    expect(timed.of(CNN)).toBe(2);
    const times = report.variants.flatMap(({ beforeMs }) => beforeMs ?? []);
    expect(times.length).toBeGreaterThan(5);
    expect(new Set(times).size).toBe(1);
  });
});
