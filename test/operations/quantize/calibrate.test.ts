import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { memoryTensor } from '../../../src/core/tensor.js';
import { encodeModel } from '../../../src/graph/build.js';
import { GraphEdit } from '../../../src/graph/edit.js';
import { withModel } from '../../../src/operations/open.js';
import { calibrate } from '../../../src/operations/quantize/calibrate.js';
import { Histogram } from '../../../src/operations/quantize/calibration/histogram.js';
import { observe, windowsOf } from '../../../src/operations/quantize/calibration/observe.js';
import type { QuantizeOptions } from '../../../src/operations/quantize/quantize.js';
import { testContext } from '../../support/context.js';
import { codes, modelOf, write } from '../../validate/support.js';

const fixture = (name: string): string =>
  fileURLToPath(new URL(`../../../fixtures/${name}`, import.meta.url));
const MODEL = fixture('trained/digits_cnn/model.onnx');
const DATA = fixture('trained/digits_cnn/calib.npz');
const folder = mkdtempSync(path.join(tmpdir(), 'mlser-calibrate-'));
const at = (name: string): string => path.join(folder, name);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const context = testContext(1);
const options = (more: Partial<QuantizeOptions> = {}): QuantizeOptions => ({
  scheme: 'int8-static',
  validate: 'none',
  device: 'cpu',
  ...more,
});
/** Every value of the graph, its input first. */
const namesOf = (file = MODEL): Promise<string[]> =>
  withModel(file, {}, async ({ model }) => {
    const edit = await GraphEdit.open(model);
    return ['x', ...edit.nodes.flatMap(({ output }) => output)];
  });
const ranges = async (more: Partial<QuantizeOptions> = {}, names?: readonly string[], file = MODEL) => {
  const all = names ?? (await namesOf(file));
  return withModel(file, {}, (opened) => calibrate(opened, all, options(more), context));
};

async function seen(
  windowBytes: number,
): Promise<{ histograms: Map<string, Histogram>; windows: string[][] }> {
  const histograms = new Map<string, Histogram>();
  const windows: string[][] = [];
  await withModel(MODEL, {}, async ({ model, files }) =>
    observe(
      { model, files, names: await namesOf(), data: DATA, context, windowBytes },
      (name, values) => {
        const histogram = histograms.get(name) ?? new Histogram();
        histograms.set(name, histogram);
        histogram.add(values);
      },
      async (window) => void windows.push([...window]),
    ),
  );
  return { histograms, windows };
}

describe('calibration', () => {
  it('runs samples through the real runtime, and sees the same window by window', async () => {
    const whole = await seen(1 << 30);
    expect(whole.windows).toHaveLength(1);
    expect(whole.histograms.get('x')).toMatchObject({ min: 0, max: 1, count: 128 * 64, nonFinite: 0 });
    expect(whole.histograms.get('/Relu_output_0')).toMatchObject({ min: 0, count: 128 * 8 * 64 });
    // 70 kB are less than one value of 64 samples: the samples are cut finer as well.
    const narrow = await seen(70_000);
    expect(narrow.windows.length).toBeGreaterThan(5);
    expect([...narrow.histograms.keys()]).toEqual([...whole.histograms.keys()]);
    for (const [name, histogram] of whole.histograms) {
      const other = narrow.histograms.get(name);
      expect(other?.count).toBe(histogram.count);
      expect(other?.max).toBeCloseTo(histogram.max, 4);
      expect(other?.min).toBeCloseTo(histogram.min, 4);
    }
  });

  it('puts values into windows by their size', () => {
    const sizes = new Map([
      ['a', 40],
      ['b', 60],
      ['c', 500],
      ['d', 1],
    ]);
    expect(windowsOf(['a', 'b', 'c', 'd'], sizes, 100)).toEqual([['a', 'b'], ['c'], ['d']]);
    expect(windowsOf([], sizes, 100)).toEqual([]);
  });

  it('gives the same every time, and narrower ranges by other methods', async () => {
    const [a, b] = [await ranges({ calibration: DATA }), await ranges({ calibration: DATA })];
    expect([...b.ranges]).toEqual([...a.ranges]);
    expect(a.findings).toEqual([]);
    for (const method of ['percentile', 'entropy', 'mse'] as const) {
      const other = await ranges({ calibration: DATA, method });
      expect([...other.ranges.keys()]).toEqual([...a.ranges.keys()]);
      for (const [name, { min, max }] of other.ranges) {
        expect(min).toBeGreaterThanOrEqual(a.ranges.get(name)?.min ?? 0);
        expect(max).toBeLessThanOrEqual(a.ranges.get(name)?.max ?? 0);
      }
    }
  });

  it('makes up samples where none are given, and says that accuracy is unknown', async () => {
    const made = await ranges();
    expect(codes(made.findings)).toEqual(['CALIBRATION_SYNTHETIC']);
    expect(made.ranges.get('x')?.min).toBeLessThan(0);
  });

  it('has no range for what is not f32, and tells of NaN', async () => {
    const file = at('nan.npz');
    const x = new Float32Array(64).map((_, i) => (i === 3 ? Number.NaN : i));
    await write(
      modelOf([memoryTensor({ name: 'x', dtype: 'f32', shape: [1, 1, 8, 8] }, new Uint8Array(x.buffer))]),
      file,
      'npz',
    );
    const found = await ranges({ calibration: file }, ['x']);
    expect(codes(found.findings)).toEqual(['CALIBRATION_NOT_FINITE']);
    expect(found.ranges.get('x')).toEqual({ min: 0, max: 63 });
    const small = at('shapes.onnx');
    writeFileSync(
      small,
      await encodeModel({
        opset: 17,
        nodes: [
          { op: 'Shape', inputs: ['x'], outputs: ['shape'] },
          { op: 'Relu', inputs: ['x'], outputs: ['y'] },
          { op: 'Cast', inputs: ['y'], outputs: ['wide'], attributes: { to: 11n } },
        ],
        inputs: [{ name: 'x', dtype: 'f32', shape: ['n', 3] }],
        outputs: [{ name: 'wide', dtype: 'f64', shape: ['n', 3] }],
      }),
    );
    const { ranges: floats } = await ranges({}, ['shape', 'y', 'wide', 'x'], small);
    expect([...floats.keys()]).toEqual(['y', 'x']);
  });

  it('names the arrays that are missing', async () => {
    const file = at('other.npz');
    await write(
      modelOf([memoryTensor({ name: 'z', dtype: 'f32', shape: [1] }, new Uint8Array(4))]),
      file,
      'npz',
    );
    await expect(ranges({ calibration: file })).rejects.toMatchObject({ code: 'E_USAGE' });
  });
});

describe('the calibration cache', () => {
  const file = at('cache.json');
  const cached = (more: Partial<QuantizeOptions> = {}, names?: readonly string[]) =>
    ranges({ calibration: DATA, calibrationCache: file, ...more }, names);

  it('is filled, taken, and made complete', async () => {
    const names = await namesOf();
    const plain = await ranges({ calibration: DATA });
    await cached({}, names.slice(0, 3));
    const partial = readFileSync(file, 'utf8');
    expect([...(await cached()).ranges]).toEqual([...plain.ranges]);
    const full = readFileSync(file, 'utf8');
    expect(full.length).toBeGreaterThan(partial.length);
    const before = statSync(file).mtimeMs;
    // Histograms serve every method, and nothing is written that is there.
    const entropy = await cached({ method: 'entropy' });
    expect([...entropy.ranges]).toEqual([...(await ranges({ calibration: DATA, method: 'entropy' })).ranges]);
    expect(statSync(file).mtimeMs).toBe(before);
    expect(readdirSync(folder).filter((name) => name.endsWith('.tmp'))).toEqual([]);
    // What it says is believed: it is not looked for again.
    const root = JSON.parse(full);
    root.values.x.max = 0.5;
    writeFileSync(file, JSON.stringify(root));
    expect((await cached()).ranges.get('x')?.max).toBe(0.5);
  });

  it('is ignored, with a warning, where it is of something else', async () => {
    const full = readFileSync(file, 'utf8');
    const spoilt = [
      full.replace(/"data":"[0-9a-f]{8}/, '"data":"00000000'),
      full.replace('"version":1', '"version":2'),
      full.slice(0, 100),
      full.replace('"zeros":', '"zeros":9'),
      '[]',
    ];
    for (const text of spoilt) {
      writeFileSync(file, text);
      const { ranges: found, findings } = await cached();
      expect(codes(findings)).toEqual(['CALIBRATION_CACHE_IGNORED']);
      expect(found.get('x')).toEqual({ min: 0, max: 1 });
    }
    expect(codes((await cached()).findings)).toEqual([]);
  });
});
