import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { readTensor } from '../../../src/core/tensor.js';
import { palette } from '../../../src/graph/quantize/palette.js';
import type { QuantizeSettings } from '../../../src/graph/quantize/types.js';
import { withModel } from '../../../src/operations/open.js';
import { observe } from '../../../src/operations/quantize/calibration/observe.js';
import { testContext } from '../../support/context.js';
import { converted, floats, node, type Sample } from '../half-support.js';
import { bytesOf } from '../opset-support.js';

const folder = mkdtempSync(path.join(tmpdir(), 'mlser-palette-'));
const at = (name: string): string => path.join(folder, name);
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const context = testContext(1);

const wave = (count: number, shape: readonly number[]): readonly [readonly number[], readonly number[]] => [
  Array.from({ length: count }, (_, i) => Math.sin(i * i) * (1 + (i % 5))),
  shape,
];

/** Channels on the last axis (MatMul, Gather), on the first (Gemm turned, Conv), and among three axes. */
const SAMPLE: Sample = {
  nodes: [
    node('MatMul', ['x', 'matmul'], ['a']),
    node('Gemm', ['a', 'gemm'], ['b'], { transB: 1n }),
    node('Gather', ['gather', 'rows'], ['c']),
    node('MatMul', ['c', 'batch'], ['d']),
    node('Conv', ['image', 'conv'], ['e']),
  ],
  inputs: ['x[1,24]', 'rows:i64[2]', 'image[1,6,5,5]'],
  outputs: ['b[1,30]', 'd[2,2,20]', 'e[1,18,3,3]'],
  constants: [
    floats('matmul', ...wave(24 * 40, [24, 40])),
    floats('gemm', ...wave(30 * 40, [30, 40])),
    floats('gather', ...wave(1200 * 16, [1200, 16])),
    floats('batch', ...wave(2 * 16 * 20, [2, 16, 20])),
    floats('conv', ...wave(18 * 6 * 9, [18, 6, 3, 3])),
  ],
};

/** Values of a graph in a run. */
async function valuesIn(file: string, names: readonly string[]): Promise<ReadonlyMap<string, number[]>> {
  const seen = new Map<string, number[]>();
  await withModel(at(file), {}, ({ model, files }) =>
    observe(
      { model, files, names, context },
      (name, values) => void seen.set(name, Array.from(values)),
      async () => {},
    ),
  );
  return seen;
}

/** Which rows of the table are looked up: no two are alike. */
async function rowsGathered(): Promise<number[]> {
  const rows = (await valuesIn('in.onnx', ['c'])).get('c') ?? [];
  const [table] = wave(1200 * 16, [1200, 16]);
  return [0, 1].map((row) => table.map(Math.fround).indexOf(rows[row * 16] ?? Number.NaN) / 16);
}

describe('palettes in graphs', () => {
  const cases = ([2, 3, 4, 6] as const).flatMap((bits) =>
    [{}, { block: 4 }, { block: 7 }, { block: 1000 }].map((settings) => ({ bits, settings })),
  );

  it.each(cases)('the runtime looks up what is told: $bits bits, $settings', async ({ bits, settings }) => {
    const { before } = await converted(SAMPLE);
    writeFileSync(at('in.onnx'), before);
    await withModel(at('in.onnx'), {}, async ({ model }) => {
      const all: QuantizeSettings = { selects: () => true, ...settings };
      // By the pool and by streams: the same bytes.
      const made = await palette(bits).apply(model, all, undefined, context);
      const streamed = await palette(bits).apply(model, all, undefined);
      const bytes = await bytesOf(made.model);
      expect(Buffer.compare(bytes, await bytesOf(streamed.model))).toBe(0);
      expect(made.quantized.length).toBeGreaterThanOrEqual(4);
      writeFileSync(at('out.onnx'), bytes);
      // A table that one codebook serves is not made as a whole: its rows are looked up where they are gathered.
      const byRows = made.model.tensors.some(({ info }) => info.name === 'gather_levels');
      expect(byRows).toBe(settings.block !== 4 && settings.block !== 7);
      const names = made.quantized.map(({ name }) => (byRows && name === 'gather' ? 'c' : name));
      const seen = await valuesIn('out.onnx', names);
      const [first = 0, second = 0] = byRows ? await rowsGathered() : [];
      for (const { name, dequantized, bytesOut } of made.quantized) {
        const values = [...new Float32Array((await readTensor(dequantized)).slice().buffer)];
        if (byRows && name === 'gather')
          expect(seen.get('c')).toEqual([
            ...values.slice(first * 16, first * 16 + 16),
            ...values.slice(second * 16, second * 16 + 16),
          ]);
        else expect(seen.get(name)).toEqual(values);
        expect(bytesOut).toBeLessThan(dequantized.byteLength);
      }
      made.release?.();
    });
  });
});
