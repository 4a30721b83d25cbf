import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Tensor } from 'onnxruntime-node';
import { describe, expect, it } from 'vitest';
import { PASSES } from '../../../src/graph/optimize/index.js';
import type { Level } from '../../../src/graph/optimize/pass.js';
import { choosePasses } from '../../../src/operations/optimize/choose-passes.js';
import { numbers, type Outcome, optimizedBytes } from './fusions.js';

const fixture = (name: string): Uint8Array =>
  readFileSync(fileURLToPath(new URL(`../../../fixtures/onnx/${name}`, import.meta.url)));
const image = (...dims: readonly number[]): Tensor => {
  const size = dims.reduce((a, b) => a * b, 1);
  return new Tensor('float32', Float32Array.from(numbers(size)), [...dims]);
};
const at = (level: Level, name: string, feeds: Readonly<Record<string, Tensor>>): Promise<Outcome> =>
  optimizedBytes(fixture(name), feeds, choosePasses({ level }));

describe('exported models', () => {
  it('a CNN that was exported without folding loses its BatchNormalization and Pad', async () => {
    const { ops } = await at('extended', 'unfolded_cnn.ts13.onnx', { x: image(2, 3, 32, 32) });
    expect(ops.filter((op) => /BatchNorm|Pad|Identity/.test(op))).toEqual([]);
    expect(ops.filter((op) => /Conv|Gemm|Pool/.test(op))).toEqual([
      'Conv',
      'Conv',
      'MaxPool',
      'Conv',
      'ConvTranspose',
      'GlobalAveragePool',
      'Gemm',
      'Gemm',
    ]);
  });

  it('a vision transformer keeps to the standard, or takes what onnxruntime has', async () => {
    const feeds = { pixel_values: image(2, 3, 16, 16) };
    const standard = await at('extended', 'vit.ts17.onnx', feeds);
    expect(standard.ops.filter((op) => op.includes('::'))).toEqual([]);
    expect(standard.ops.filter((op) => op === 'Erf')).toHaveLength(2);
    const all = await at('all', 'vit.ts17.onnx', feeds);
    expect(all.ops.filter((op) => op === 'com.microsoft::Attention')).toHaveLength(2);
    expect(all.ops.filter((op) => op === 'com.microsoft::Gelu')).toHaveLength(2);
    expect(all.ops.filter((op) => /Erf|Softmax/.test(op))).toEqual([]);
  });

  it('every pass has a name of its own and says what it does', () => {
    expect(new Set(PASSES.map(({ name }) => name)).size).toBe(PASSES.length);
    for (const { summary } of PASSES) expect(summary).toMatch(/^\w.{20,120}$/);
  });
});
