import { copyFileSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bench } from '../../../src/operations/bench/bench.js';
import type { BenchOptions } from '../../../src/operations/bench/options.js';
import { graph } from '../../runtime/models.js';
import { testContext } from '../../support/context.js';
import { schemaErrors } from '../../support/schema.js';

const CNN = 'fixtures/trained/digits_cnn/model.onnx';
const MLP = 'fixtures/trained/digits_mlp/model.onnx';
const TEST = 'fixtures/trained/digits_cnn/test.npz';
const few = { runs: 10, processes: 2, warmup: 1 } as const;
const run = (paths: readonly string[], options: BenchOptions = {}) =>
  bench(paths, { ...few, ...options }, testContext(1));

const folder = mkdtempSync(path.join(tmpdir(), 'mlser-bench-'));
const at = (name: string): string => path.join(folder, name);
beforeAll(async () => {
  writeFileSync(at('junk.onnx'), 'no model at all');
  const odd = [{ op: 'NoSuchThing', inputs: ['x'], outputs: ['y'], domain: 'nobody' }];
  const { encodeModel } = await import('../../../src/graph/build.js');
  const value = { dtype: 'f32', shape: ['n', 2] } as const;
  writeFileSync(
    at('refused.onnx'),
    await encodeModel({
      ...{ opset: 21, domains: new Map([['nobody', 1]]), nodes: odd },
      ...{ inputs: [{ name: 'x', ...value }], outputs: [{ name: 'y', ...value }] },
    }),
  );
  const doubled = [{ op: 'Add', inputs: ['x', 'x'], outputs: ['y'] }];
  writeFileSync(at('four.onnx'), await graph(doubled, ['f32', [4, 2]], ['f32', [4, 2]]));
  // Takes any batch by its inputs, and two by what it does.
  const shape = {
    name: 's',
    dtype: 'i64',
    shape: [2],
    raw: new Uint8Array(BigInt64Array.of(2n, 3n).buffer),
  } as const;
  writeFileSync(
    at('two.onnx'),
    await graph(
      [{ op: 'Reshape', inputs: ['x', 's'], outputs: ['y'] }],
      ['f32', ['n', 3]],
      ['f32', ['n', 3]],
      [shape],
    ),
  );
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('bench', () => {
  it('measures models side by side', async () => {
    const report = await run([CNN, MLP], { batches: [1, 8], inputs: TEST, labels: 'y' });
    expect(schemaErrors('bench', report)).toEqual([]);
    expect(report).toMatchObject({ passed: true, findings: [], gates: [] });
    expect(report.models.map(({ path: file, status }) => [file, status])).toEqual([
      [CNN, 'measured'],
      [MLP, 'measured'],
    ]);
    for (const { path: file, bytes, load, memory, batches } of report.models) {
      expect(bytes).toBe(statSync(file).size);
      expect(load?.ms).toHaveLength(2);
      expect(memory?.peak).toBeGreaterThan(memory?.baseline ?? Infinity);
      expect(batches.map(({ batch, runs, turns }) => [batch, runs, turns])).toEqual([
        [1, 10, 10],
        [8, 10, 10],
      ]);
      for (const { batch, shapes, latency, throughput } of batches) {
        expect(shapes).toEqual({ x: [batch, 1, 8, 8] });
        const { min, p50, p95, p99, max, intervals } = latency;
        const order = [0, min, p50, p95, p99, max];
        expect(order.toSorted((a, b) => a - b)).toEqual(order);
        expect(intervals.p50?.[0]).toBeLessThanOrEqual(p50);
        expect(intervals.p50?.[1]).toBeGreaterThanOrEqual(p50);
        expect(throughput.value).toBeCloseTo((batch * 1000) / latency.mean, 6);
      }
    }
    // As accuracy.json beside the models says.
    expect(report.models.map(({ accuracy }) => [accuracy?.right, accuracy?.samples])).toEqual([
      [493, 500],
      [490, 500],
    ]);
    expect(report.comparisons.map(({ path: file, against, batch }) => [file, against, batch])).toEqual([
      [MLP, CNN, 1],
      [MLP, CNN, 8],
    ]);
  });

  it('counts external data as size, and makes feeds up', async () => {
    const file = 'fixtures/onnx/external_onefile/model.onnx';
    const report = await run([file]);
    expect(report.settings.feeds).toBe('generated');
    expect(report.models[0]?.bytes).toBeGreaterThan(statSync(file).size);
  });

  it('keeps to the batch that a graph fixes, and says why not others', async () => {
    const [four, two] = [
      await run([at('four.onnx')], { batches: [1, 8] }),
      await run([at('two.onnx')], { batches: [1, 2] }),
    ];
    expect(four.models[0]?.batches.map(({ batch }) => batch)).toEqual([4]);
    expect(four.models[0]?.skipped).toEqual([
      { batch: 1, reason: 'the graph fixes its batch at 4' },
      { batch: 8, reason: 'the graph fixes its batch at 4' },
    ]);
    expect(four.findings.map(({ code, severity }) => [code, severity])).toEqual([
      ['BATCH_SKIPPED', 'info'],
      ['BATCH_SKIPPED', 'info'],
    ]);
    expect(two.models[0]?.batches.map(({ batch }) => batch)).toEqual([2]);
    expect(two.models[0]?.skipped).toMatchObject([{ batch: 1, reason: expect.stringMatching(/reshape/i) }]);
  });

  it('tells a device that is not here, and goes on with those that are', async () => {
    const absent = process.platform === 'darwin' ? 'dml' : 'coreml';
    const report = await run([MLP], { devices: ['cpu', absent] });
    expect(report.settings.devices).toEqual(['cpu']);
    expect(report.findings).toMatchObject([{ code: 'DEVICE_MISSING', severity: 'warning', subject: absent }]);
    expect(report.models).toHaveLength(1);
    await expect(run([MLP], { devices: [absent] })).rejects.toMatchObject({ code: 'E_DEVICE' });
  });

  it('names what fails and measures the others', async () => {
    const report = await run([
      at('junk.onnx'),
      MLP,
      at('refused.onnx'),
      'fixtures/trained/digits_mlp/model.safetensors',
    ]);
    expect(schemaErrors('bench', report)).toEqual([]);
    expect(report.models.map(({ status, error }) => [status, error?.code])).toEqual([
      ['failed', 'E_MALFORMED'],
      ['measured', undefined],
      ['failed', 'E_RUNTIME'],
      ['failed', 'E_UNSUPPORTED'],
    ]);
    const failed = report.findings.filter(({ code }) => code === 'MODEL_FAILED');
    expect(failed.map(({ subject }) => subject)).toEqual([
      at('junk.onnx'),
      at('refused.onnx'),
      'fixtures/trained/digits_mlp/model.safetensors',
    ]);
    // The first that was measured is what others are compared with: here, none.
    expect(report.comparisons).toEqual([]);
    await expect(run([at('refused.onnx')])).rejects.toMatchObject({ code: 'E_RUNTIME' });
    await expect(
      run([MLP], { inputs: 'fixtures/trained/digits_cnn/expected_logits.npz' }),
    ).rejects.toMatchObject({
      code: 'E_USAGE',
    });
  });

  it('compares with the first that was measured, also where one is named twice', async () => {
    const report = await run([at('junk.onnx'), MLP, MLP], { maxSlowdown: 1000 });
    expect(report.comparisons.map(({ path: file, against }) => [file, against])).toEqual([[MLP, MLP]]);
    expect(report.gates.map(({ gate, passed }) => [gate, passed])).toEqual([['max-slowdown', true]]);
  });

  it('refuses what makes no sense together', async () => {
    for (const options of [
      { minAccuracy: 0.9 },
      { labels: 'y' },
      { maxSlowdown: 2 },
      { batches: [0] },
      { runs: 0 },
    ])
      await expect(run([MLP], options), JSON.stringify(options)).rejects.toMatchObject({ code: 'E_USAGE' });
  });

  it('ends when it is interrupted', async () => {
    const stop = new AbortController();
    const context = { ...testContext(1), signal: stop.signal };
    const running = bench([MLP], { runs: 1_000_000_000, processes: 1 }, context);
    setTimeout(() => stop.abort(), 700);
    await expect(running).rejects.toThrow(/interrupted|aborted/i);
  });

  it('tells where the time goes', async () => {
    copyFileSync(MLP, at('mlp.onnx'));
    const report = await run([at('mlp.onnx')], { batches: [4], roofline: true });
    expect(schemaErrors('bench', report)).toEqual([]);
    const roofline = report.models[0]?.roofline;
    expect(roofline?.batch).toBe(4);
    // 64 → 96 → 48 → 10: a product and a sum for each weight and sample.
    const products = roofline?.operators.filter(({ op }) => /Gemm|MatMul/.test(op)) ?? [];
    expect(products.reduce((sum, { flops }) => sum + (flops ?? 0), 0)).toBeCloseTo(
      4 * 2 * (64 * 96 + 96 * 48 + 48 * 10),
      3,
    );
    const { peak, ms, operators = [], nodes = [] } = roofline ?? {};
    expect(peak?.flops).toBeGreaterThan(1e8);
    expect(peak?.bandwidth).toBeGreaterThan(1e8);
    expect(ms?.operators).toBeGreaterThan(0);
    expect(operators.reduce((sum, { share }) => sum + share, 0)).toBeCloseTo(1, 9);
    expect(nodes.some(({ shapes }) => shapes.includes('float [4, 64]'))).toBe(true);
  });
});
