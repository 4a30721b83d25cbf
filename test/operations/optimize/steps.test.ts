import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { InferenceSession } from 'onnxruntime-node';
import { afterAll, describe, expect, it } from 'vitest';
import { renderWrite } from '../../../src/cli/render/write.js';
import { PLAIN_STYLE } from '../../../src/cli/style.js';
import type { Model } from '../../../src/core/model.js';
import { withModel } from '../../../src/operations/open.js';
import { type OptimizeOptions, optimizeModel } from '../../../src/operations/optimize/optimize.js';
import { testContext } from '../../support/context.js';
import { fixture } from '../../support/fixtures.js';
import { schemaErrors } from '../../support/schema.js';

const CNN = fixture('onnx/cnn_bn_res.ts17.onnx');
const T5 = fixture('onnx/t5_encoder.ts17.onnx');
const DYNAMO = fixture('onnx/mlp.dynamo21.onnx');
const folder = mkdtempSync(path.join(tmpdir(), 'mlser-steps-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

let count = 0;
/** Less proof, where it is not what is tested. */
const WEIGHTS = { validate: 'weights' } as const;

/** The report, and the model as it was written. */
async function made(input: string, options: Partial<OptimizeOptions>) {
  const output = path.join(folder, `${count++}.onnx`);
  const proof = { validate: 'run', device: 'cpu', ...options } as const;
  const report = await optimizeModel(input, output, proof, testContext());
  expect(report.validation.passed, JSON.stringify(report.findings)).toBe(true);
  if (proof.validate === 'run') expect(report.validation.run?.reference).toBe('source');
  const graph = await withModel(output, {}, async ({ model }: { model: Model }) => model.graph!);
  return { report, graph, output, codes: report.findings.map(({ code }) => code) };
}
const shapes = (values: readonly { name: string; shape: unknown }[]) =>
  Object.fromEntries(values.map(({ name, shape }) => [name, shape]));

describe('sizes of open dimensions', () => {
  it('--set-dim: inputs and outputs follow, and the runtime takes that size only', async () => {
    const { graph, output } = await made(CNN, { setDim: new Map([['batch', '3']]) });
    expect(shapes(graph.inputs)).toEqual({ x: [3, 3, 16, 16] });
    expect(shapes(graph.outputs)).toEqual({ y: [3, 10] });
    const session = await InferenceSession.create(output);
    expect(session.inputMetadata[0]).toMatchObject({ shape: [3, 3, 16, 16] });
    await session.release();
  });
  it('--set-shape: what depends on sizes is folded away', async () => {
    const before = await made(T5, { ...WEIGHTS, level: 'basic' });
    const [input] = before.graph.inputs;
    const wanted = new Map([[input!.name, '2x7']]);
    const { graph, report } = await made(T5, { level: 'basic', setShape: wanted });
    expect(shapes(graph.inputs)[input!.name]).toEqual([2, 7]);
    for (const { shape } of graph.outputs) expect(shape?.every((dim) => typeof dim === 'number')).toBe(true);
    expect(graph.ops.get('Shape') ?? 0).toBe(0);
    expect(report.optimize.nodesAfter).toBeLessThan(before.report.optimize.nodesAfter);
  });
  it.each([
    [
      'a dimension that is not there',
      { setDim: new Map([['b', '2']]) },
      /no input has an open dimension "b"/,
    ],
    ['an input that is not there', { setShape: new Map([['z', '2']]) }, /no input "z"/],
    ['no size', { setDim: new Map([['batch', '0']]) }, /is not a size/],
    ['another rank', { setShape: new Map([['x', '2x3']]) }, /has 4 dimensions/],
    ['another size', { setShape: new Map([['x', '2x3x8x16']]) }, /dimension 2 is 16/],
    [
      'two sizes of one name',
      { setDim: new Map([['batch', '1']]), setShape: new Map([['x', '2x3x16x16']]) },
      /"batch" is 1 already/,
    ],
  ])('refuses %s', async (_, options, message) => {
    await expect(made(CNN, options)).rejects.toMatchObject({ code: 'E_USAGE', message });
  });
});

describe('versions', () => {
  it('--opset up and down', async () => {
    const up = await made(CNN, { ...WEIGHTS, opset: 21 });
    expect(up.graph.opsets.get('')).toBe(21);
    expect(up.codes).toContain('OPSET_CONVERTED');
    const down = await made(DYNAMO, { opset: 13 });
    expect(down.graph.opsets.get('')).toBe(13);
  });
  it('--opset names what is in the way', async () => {
    await expect(made(T5, { opset: 99 })).rejects.toMatchObject({ code: 'E_USAGE' });
    const wanted = made(fixture('onnx/lstm.ts13.onnx'), { opset: 7 });
    await expect(wanted).rejects.toMatchObject({ code: 'E_UNSUPPORTED', message: /node|"/ });
  });
  it('--ir-version up, and down as far as it goes', async () => {
    const { graph, codes } = await made(CNN, { ...WEIGHTS, irVersion: 9 });
    expect(graph.irVersion).toBe(9);
    expect(codes).toContain('IR_CONVERTED');
    const older = await made(CNN, { irVersion: 4, opset: 9 });
    expect(older.graph.irVersion).toBe(4);
  });
  it('--ir-version says what a later one is needed for', async () => {
    // Nothing is folded, so no runtime is waited for.
    const refused = (input: string, options: Partial<OptimizeOptions>) =>
      expect(made(input, { passes: ['dead-code'], ...options })).rejects;
    await refused(CNN, { irVersion: 7 }).toMatchObject({
      code: 'E_UNSUPPORTED',
      message: 'IR version 7 has no operator set 17 (IR version 8)',
    });
    await refused(CNN, { irVersion: 3, opset: 8 }).toMatchObject({
      message: /initializers that are no inputs \(IR version 4\)/,
    });
    await refused(DYNAMO, { irVersion: 9, opset: 18 }).toMatchObject({
      message: /metadata of nodes, values or tensors \(IR version 10\)/,
    });
    await refused(CNN, { irVersion: 40 }).toMatchObject({ code: 'E_USAGE' });
  });
});

describe('--extract', () => {
  it('writes the part, proved next to the same part of the source', async () => {
    const cut = 'x:/Add_output_0';
    const { graph, report } = await made(CNN, { ...WEIGHTS, extract: cut });
    expect(graph.outputs.map(({ name }) => name)).toEqual(['/Add_output_0']);
    expect(graph.ops.get('Gemm') ?? 0).toBe(0);
    expect(report.input).toBe(CNN);
    const inner = await made(CNN, {
      extract: '/Relu_1_output_0:y',
      setShape: new Map([['/Relu_1_output_0', '1x8x8x8']]),
    });
    expect(shapes(inner.graph.inputs)).toEqual({ '/Relu_1_output_0': [1, 8, 8, 8] });
    expect(shapes(inner.graph.outputs)).toEqual({ y: [1, 10] });
  });
});

describe('--passes', () => {
  it('are told by name, in place of a level', async () => {
    const { report } = await made(CNN, { ...WEIGHTS, passes: ['dead-code'] });
    expect(schemaErrors('optimize', report)).toEqual([]);
    expect(report.optimize.named).toEqual(['dead-code']);
    const text = renderWrite(report, PLAIN_STYLE);
    expect(text).toMatch(/passes +dead-code/);
    expect(text).not.toMatch(/level +extended/);
  });
});

describe('--level runtime', () => {
  it.each(['runtime', 'runtime-all'] as const)(
    '%s: what the runtime makes of it, with the note',
    async (level) => {
      const { report, graph, codes } = await made(CNN, { level });
      expect(codes).toContain('RUNTIME_SPECIFIC');
      expect(report.optimize).toMatchObject({ level, passes: [], rounds: 0 });
      expect([...graph.ops.keys()].some((op) => op.startsWith('com.microsoft::'))).toBe(level === 'runtime');
    },
  );
  it('after other steps, and it leaves nothing behind', async () => {
    const own = mkdtempSync(path.join(folder, 'tmp-'));
    const before = process.env['TMPDIR'];
    process.env['TMPDIR'] = own;
    try {
      const { graph, codes } = await made(CNN, {
        level: 'runtime',
        extract: ':/Add_output_0',
        setDim: new Map([['batch', '2']]),
        opset: 18,
      });
      expect(codes).toContain('OPSET_CONVERTED');
      expect(shapes(graph.inputs)).toEqual({ x: [2, 3, 16, 16] });
    } finally {
      if (before === undefined) delete process.env['TMPDIR'];
      else process.env['TMPDIR'] = before;
    }
    // The runtime keeps files of its own there.
    expect(readdirSync(own).filter((name) => name.startsWith('mlser-'))).toEqual([]);
  });
});
