import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { readTensor } from '../../../src/core/tensor.js';
import { withModel } from '../../../src/operations/open.js';
import { type QuantizeOptions, quantizeModel } from '../../../src/operations/quantize/quantize.js';
import { testContext } from '../../support/context.js';

interface Reference {
  readonly shape: readonly number[];
  readonly sha256: string;
}

const QUANT = fileURLToPath(new URL('../../../fixtures/quant/', import.meta.url));
const context = testContext(1);
const folder = mkdtempSync(path.join(tmpdir(), 'mlser-nbits-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const MODELS = { digits_mlp: 'model.matmul.onnx', bert: 'model.onnx' };

const cases = Object.entries(MODELS).flatMap(([model, file]) => {
  const text = readFileSync(path.join(QUANT, model, 'nbits.json'), 'utf8');
  const known: Record<string, Record<string, Reference>> = JSON.parse(text);
  return Object.entries(known).map(([name, tensors]) => ({
    title: `${model} ${name}`,
    input: path.join(QUANT, model, file),
    name,
    tensors,
  }));
});

/** `nbits4_asym_qdq` as options. */
function optionsOf(name: string): Partial<QuantizeOptions> & { scheme: string } {
  return {
    scheme: name.startsWith('nbits8') ? 'int8-weights' : 'int4-weights',
    symmetric: !name.includes('asym'),
    operators: !name.includes('qdq'),
    block: name.endsWith('b16') ? 16 : 32,
  };
}

/** Our name of a tensor that the reference made. */
const ours = (name: string): string =>
  name
    .replace(/_DQ_Q4$/, '_quantized')
    .replace(/_DQ_scales$/, '_scale')
    .replace(/_DQ_zero_points$/, '_zero_point');

describe('blocks of weights equal those of onnxruntime', () => {
  it('has something to compare with', () => {
    expect(cases.length).toBeGreaterThan(9);
  });

  it.each(cases)('$title', async ({ title, input, name, tensors }) => {
    const output = path.join(folder, `${title.replaceAll(' ', '-')}.onnx`);
    const options = { validate: 'run', device: 'cpu', include: [/MatMul/], ...optionsOf(name) } as const;
    const report = await quantizeModel(input, output, options, context);
    expect(report.validation.passed).toBe(true);
    await withModel(output, context, async ({ model }) => {
      const found = new Map(model.tensors.map((tensor) => [tensor.info.name, tensor]));
      for (const [theirs, { shape, sha256 }] of Object.entries(tensors)) {
        const tensor = found.get(ours(theirs));
        if (!tensor) throw new Error(`${ours(theirs)} is missing`);
        expect([theirs, tensor.info.shape]).toEqual([theirs, shape]);
        const sum = createHash('sha256')
          .update(await readTensor(tensor))
          .digest('hex');
        expect([theirs, sum]).toEqual([theirs, sha256]);
      }
    });
  });
});

describe('Gemm', () => {
  const trained = fileURLToPath(new URL('../../../fixtures/trained/digits_mlp/', import.meta.url));
  const made = async (input: string, name: string, options: Partial<QuantizeOptions> = {}) => {
    const output = path.join(folder, name);
    const wanted = { scheme: 'int4-weights', validate: 'run', device: 'cpu', ...options } as const;
    const report = await quantizeModel(input, output, wanted, context);
    expect(report.validation.passed).toBe(true);
    return withModel(output, context, async ({ model }) => {
      const sums = new Map<string, string>();
      for (const tensor of model.tensors)
        if (/_Q4$|_scales$|_zero_points$/.test(tensor.info.name))
          sums.set(
            createHash('sha256')
              .update(await readTensor(tensor))
              .digest('hex'),
            tensor.info.shape.join(),
          );
      return { report, ops: model.graph?.ops ?? new Map<string, number>(), sums };
    });
  };
  it.each([true, false])(
    'becomes the same blocks as the MatMul that it is (symmetric: %s)',
    async (symmetric) => {
      const gemm = await made(path.join(trained, 'model.onnx'), 'gemm.onnx', { symmetric, force: true });
      const matmul = await made(path.join(QUANT, 'digits_mlp/model.matmul.onnx'), 'matmul.onnx', {
        symmetric,
        force: true,
      });
      expect(gemm.ops.get('Gemm')).toBeUndefined();
      expect(gemm.ops.get('com.microsoft::MatMulNBits')).toBe(3);
      expect(gemm.sums).toEqual(matmul.sums);
      const errors = ({ report }: typeof gemm) =>
        report.tensors.flatMap(({ error }) => (error ? [error.maxAbs] : [])).sort((a, b) => a - b);
      expect(errors(gemm)).toEqual(errors(matmul));
    },
  );
});
