import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { protoOf } from '../../../src/formats/onnx/summary.js';
import { withModel } from '../../../src/operations/open.js';
import { type QuantizeOptions, quantizeModel } from '../../../src/operations/quantize/quantize.js';
import type { QuantizeReport } from '../../../src/operations/quantize/report.js';
import { converted, feed, floats, linesOf, node, resultsOf, type Sample } from '../../graph/half-support.js';
import { testContext } from '../../support/context.js';
import { codes, modelOf, tensor, write } from '../../validate/support.js';

const folder = mkdtempSync(path.join(tmpdir(), 'mlser-half-measured-'));
const at = (name: string): string => path.join(folder, name);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const SIZE = 8;
const all = (value: number, count = SIZE): number[] => new Array(count).fill(value);

/** Values of 100 become sums of 8 · 100 · 200 = 160,000, and are small again at the end. */
const LARGE: Sample = {
  nodes: [
    node('MatMul', ['x', 'w'], ['sum']),
    // Two in a row that the cpu has in f16: between them it cannot take f32 instead.
    node('Concat', ['sum', 'sum'], ['both'], { axis: 0n }),
    node('Transpose', ['both'], ['turned'], { perm: [1n, 0n] }),
    node('Reshape', ['turned', 'shape'], ['flat']),
    node('Relu', ['flat'], ['high']),
    node('Mul', ['high', 'small'], ['low']),
    node('Neg', ['low'], ['y']),
  ],
  inputs: ['x[1,8]'],
  outputs: ['y[1,16]'],
  constants: [
    floats('w', all(200, SIZE * SIZE), [SIZE, SIZE]),
    floats('small', [0.001], []),
    { name: 'shape', dtype: 'i64', shape: [2], raw: new Uint8Array(BigInt64Array.of(1n, 16n).buffer) },
  ],
};

/** Scores with a mask that is computed, as exporters of encoders write it. */
const MASKED: Sample = {
  nodes: [
    node('Sub', ['one', 'keep'], ['gone']),
    node('Mul', ['gone', 'lowest'], ['mask']),
    node('Add', ['x', 'mask'], ['scores']),
    node('Softmax', ['scores'], ['p'], { axis: -1n }),
    node('Mul', ['p', 'x'], ['y']),
  ],
  inputs: ['x[1,8]', 'keep[1,8]'],
  outputs: ['y[1,8]'],
  constants: [floats('one', [1], []), floats('lowest', [-3.4028234663852886e38], [])],
};

async function quantize(
  sample: Sample,
  feeds: Readonly<Record<string, readonly number[]>>,
  more: Partial<QuantizeOptions> = {},
): Promise<{ report: QuantizeReport; lines: readonly string[] }> {
  const { before } = await converted(sample);
  writeFileSync(at('in.onnx'), before);
  const data = at('x.npz');
  const arrays = Object.entries(feeds).map(([name, values]) => tensor(name, [1, SIZE], values));
  await write(modelOf(arrays), data, 'npz');
  const report = await quantizeModel(
    at('in.onnx'),
    at('out.onnx'),
    { scheme: 'fp16', validate: 'run', device: 'cpu', force: true, inputs: data, ...more },
    testContext(1),
  );
  const lines = await withModel(at('out.onnx'), {}, async ({ model }) => {
    const { graph } = model.graph ? protoOf(model.graph) : {};
    return graph ? linesOf(graph) : [];
  });
  return { report, lines };
}

describe('fp16 with samples of the inputs', () => {
  it('values that pass the largest f16 stay in f32, with those who make and take them', async () => {
    const { report, lines } = await quantize(LARGE, { x: all(100) });
    expect(report.validation.passed).toBe(true);
    expect(report.validation.run?.outputs[0]?.neededTolerance).toBeLessThan(0.01);
    expect(lines).toContain('Relu(flat) -> high');
    expect(lines).toContain('Neg(low_f16) -> y_f16');
    expect(report.findings.find(({ code }) => code === 'OUT_OF_RANGE')?.message).toMatch(/MatMul|_0/);
  });

  it('without large samples the same graph gives infinity for them', async () => {
    const { report, lines } = await quantize(LARGE, { x: all(1) });
    expect(codes(report.findings)).not.toContain('OUT_OF_RANGE');
    const { before, bytes, lines: unmeasured } = await converted(LARGE);
    expect(lines).toEqual(unmeasured);
    const x = { x: feed(all(100), [1, SIZE]) };
    expect(await resultsOf(before, x)).toEqual(all(0, 2 * SIZE).map(() => expect.closeTo(-160, 3)));
    expect(await resultsOf(bytes, x)).toEqual(all(Number.NEGATIVE_INFINITY, 2 * SIZE));
  });

  it('data for calibration is measured too, and what is half of the largest stays as well', async () => {
    const { report, lines } = await quantize(LARGE, { x: all(21) }, { calibration: at('x.npz') });
    expect(report.validation.passed).toBe(true);
    expect(lines).toContain('Neg(low_f16) -> y_f16');
    expect(codes(report.findings)).toContain('OUT_OF_RANGE');
  });

  it('masks hide in f16 as well: what they make is no reason to stay in f32', async () => {
    const { report, lines } = await quantize(MASKED, { x: all(3), keep: [1, 1, 1, 1, 0, 0, 0, 1] });
    expect(report.validation.passed).toBe(true);
    expect(report.validation.run?.outputs[0]?.neededTolerance).toBeLessThan(0.01);
    expect(codes(report.findings)).toContain('MASK_CLAMPED');
    expect(codes(report.findings)).not.toContain('OUT_OF_RANGE');
    expect(lines.filter((line) => line.startsWith('Cast')).length).toBe(3);
  });

  it('real models stay as they were', async () => {
    const model = fileURLToPath(new URL('../../../fixtures/trained/digits_cnn/', import.meta.url));
    const report = await quantizeModel(
      path.join(model, 'model.onnx'),
      at('cnn.onnx'),
      { scheme: 'fp16', validate: 'run', device: 'cpu', force: true, inputs: path.join(model, 'test.npz') },
      testContext(1),
    );
    expect(report.validation.passed).toBe(true);
    expect(codes(report.findings)).not.toContain('OUT_OF_RANGE');
  });
});
