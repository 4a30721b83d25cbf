import { copyFileSync, existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { encodeModel } from '../../src/graph/build.js';
import { type ConvertOptions, convertModel } from '../../src/operations/convert.js';
import { diffModels } from '../../src/operations/diff.js';
import { inspectModel } from '../../src/operations/inspect.js';
import { withModel } from '../../src/operations/open.js';
import { weightsName } from '../../src/operations/output.js';
import { validateFile } from '../../src/operations/validate.js';
import { testContext } from '../support/context.js';

const TRAINED = fileURLToPath(new URL('../../fixtures/trained/digits_cnn/', import.meta.url));
const context = testContext(1);
const folder = mkdtempSync(path.join(tmpdir(), 'mlser-convert-'));
const at = (name: string): string => path.join(folder, name);
const model = at('model.onnx');

beforeAll(() => copyFileSync(path.join(TRAINED, 'model.onnx'), model));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const convert = (input: string, output: string, options: Partial<ConvertOptions> = {}) =>
  convertModel(input, output, { validate: 'weights', device: 'cpu', ...options }, context);
const diff = (a: string, b: string, run = false) => diffModels(a, b, { run }, context);

describe('--weights-file', () => {
  it('takes a name, or a path into the folder of the output', async () => {
    expect(weightsName('w.safetensors', 'out/m.onnx')).toBe('w.safetensors');
    expect(weightsName('out/w.safetensors', 'out/m.onnx')).toBe('w.safetensors');
    expect(weightsName('./w.safetensors', 'out/m.onnx')).toBe('w.safetensors');
    expect(weightsName(path.resolve('out/w.safetensors'), 'out/m.onnx')).toBe('w.safetensors');
    await convert(model, at('over.onnx'), { weightsFile: at('over.safetensors') });
    expect(existsSync(at('over.safetensors'))).toBe(true);
    expect((await diff(model, at('over.onnx'))).same).toBe(true);
  });

  it('refuses a path that leads elsewhere', () => {
    const refused = expect.objectContaining({ code: 'E_USAGE' });
    expect(() => weightsName('../w.safetensors', 'out/m.onnx')).toThrow(refused);
    expect(() => weightsName('/w.safetensors', 'out/m.onnx')).toThrow(refused);
  });
});

describe('options without a meaning for the output', () => {
  it('are told, and do nothing', async () => {
    const before = readdirSync(folder);
    const report = await convert(model, at('weights.npz'), {
      weightsFile: 'beside.safetensors',
      externalData: true,
      shardSize: 100_000,
    });
    const ignored = report.findings.filter(({ code }) => code === 'OPTION_IGNORED');
    expect(ignored.map(({ subject }) => subject)).toEqual([
      '--weights-file',
      '--external-data',
      '--shard-size',
    ]);
    expect(readdirSync(folder).filter((name) => !before.includes(name))).toEqual(['weights.npz']);
  });

  it('a selection that leaves nothing is refused', async () => {
    const nothing = convert(model, at('nothing.safetensors'), { include: [/no such name/] });
    await expect(nothing).rejects.toMatchObject({
      code: 'E_USAGE',
      hint: expect.stringMatching('fc1.weight'),
    });
    expect(existsSync(at('nothing.safetensors'))).toBe(false);
  });
});

describe('the weights of a graph', () => {
  it('are chosen and renamed on their way into a format without graphs', async () => {
    const report = await convert(model, at('head.safetensors'), { include: [/^fc/], prefix: 'head.' });
    expect(report.tensors.map(({ name }) => name).sort()).toEqual([
      'head.fc1.bias',
      'head.fc1.weight',
      'head.fc2.bias',
      'head.fc2.weight',
    ]);
    expect(report.findings).toMatchObject([{ code: 'GRAPH_DROPPED', severity: 'warning' }]);
  });

  it('are renamed on their way into another graph, not inside their own', async () => {
    const renamed = { rename: ['s/^fc/linear/'], validate: 'structure' } as const;
    await expect(convert(model, at('no.onnx'), renamed)).rejects.toMatchObject({ code: 'E_UNSUPPORTED' });
    const report = await convert(model, at('again.onnx'), { ...renamed, graph: model });
    expect(report.findings.filter(({ code }) => code === 'REBIND_LEFT_OVER')).toHaveLength(4);
  });
});

describe('--dtype on a graph', () => {
  it('stores the weights so, and the graph runs as before', async () => {
    const report = await convert(model, at('stored.onnx'), { dtype: 'f16', validate: 'run' });
    expect(report.validation).toMatchObject({ passed: true, run: { outputs: [{ name: 'logits' }] } });
    expect(report.tensors.every(({ action, dtypeOut }) => action === 'cast' && dtypeOut === 'f16')).toBe(
      true,
    );
    expect(report.ratio).toBeGreaterThan(1.5);
    const strict = await convert(model, at('strict.onnx'), { dtype: 'bf16', validate: 'run', tolerance: 0 });
    expect(strict.validation.passed).toBe(false);
    expect(strict.findings).toMatchObject([{ code: 'OUTPUT_DIFFERS', severity: 'error' }]);
    expect(existsSync(at('strict.onnx'))).toBe(false);
    await expect(convert(model, at('not.onnx'), { dtype: 'f6_e2m3' })).rejects.toMatchObject({
      code: 'E_UNSUPPORTED',
    });
  });
});

describe('--dtype on the graph of a decoder', () => {
  it.each(['f16', 'bf16'] as const)('leaves the mask that %s does not reach as it is', async (dtype) => {
    const floats = (values: readonly number[]): Uint8Array =>
      new Uint8Array(Float32Array.from(values).buffer);
    const hidden = -3.4028234663852886e38;
    const square = { dtype: 'f32', shape: [2, 2] } as const;
    const bytes = await encodeModel({
      opset: 17,
      irVersion: 8,
      inputs: [{ name: 'x', ...square }],
      outputs: [{ name: 'y', ...square }],
      initializers: [
        { name: 'mask', ...square, raw: floats([0, hidden, 0, 0]) },
        { name: 'w', ...square, raw: floats([0.3, -0.7, 1.1, 0.2]) },
      ],
      nodes: [
        { op: 'MatMul', inputs: ['x', 'w'], outputs: ['a'] },
        { op: 'Add', inputs: ['a', 'mask'], outputs: ['b'] },
        { op: 'Softmax', inputs: ['b'], outputs: ['y'] },
      ],
    });
    writeFileSync(at('decoder.onnx'), bytes);
    for (const output of [`decoder.${dtype}.onnx`, `decoder.${dtype}.safetensors`]) {
      const report = await convert(at('decoder.onnx'), at(output), { dtype, validate: 'run' });
      expect(report.validation.passed).toBe(true);
      expect(report.findings.map(({ code, subject }) => [code, subject])).toContainEqual([
        'OUT_OF_RANGE',
        'mask',
      ]);
      const types = await withModel(at(output), context, async ({ model: { tensors } }) =>
        Object.fromEntries(tensors.map(({ info }) => [info.name, info.dtype])),
      );
      expect(types, output).toEqual({ mask: 'f32', w: dtype });
    }
  });
});

it('--dtype may need the operator set that --opset asks for', async () => {
  const w = new Uint8Array(Float32Array.from([0.3, -0.7, 1.1, 0.2]).buffer);
  const square = { dtype: 'f32', shape: [2, 2] } as const;
  const bytes = await encodeModel({
    opset: 11,
    irVersion: 6,
    inputs: [{ name: 'x', ...square }],
    outputs: [{ name: 'y', ...square }],
    initializers: [{ name: 'w', ...square, raw: w }],
    nodes: [{ op: 'MatMul', inputs: ['x', 'w'], outputs: ['y'] }],
  });
  writeFileSync(at('old.onnx'), bytes);
  await expect(convert(at('old.onnx'), at('never.onnx'), { dtype: 'bf16' })).rejects.toMatchObject({
    code: 'E_UNSUPPORTED',
    hint: expect.stringContaining('--opset') as string,
  });
  const report = await convert(at('old.onnx'), at('raised.onnx'), {
    dtype: 'bf16',
    opset: 13,
    validate: 'run',
  });
  expect(report.validation.passed).toBe(true);
  expect(report.tensors.map(({ name, dtypeOut }) => [name, dtypeOut])).toEqual([['w', 'bf16']]);
});

describe('--graph with --dtype', () => {
  it('casts the weights on their way into the graph', async () => {
    await convert(model, at('half.safetensors'), { dtype: 'f16' });
    const asTheyAre = convert(at('half.safetensors'), at('bound.onnx'), { graph: model });
    await expect(asTheyAre).rejects.toMatchObject({ code: 'E_UNSUPPORTED' });
    const report = await convert(at('half.safetensors'), at('bound.onnx'), { graph: model, dtype: 'f32' });
    expect(report.validation.passed).toBe(true);
    expect(report.tensors.map(({ action, dtypeIn, dtypeOut }) => [action, dtypeIn, dtypeOut])).toEqual(
      report.tensors.map(() => ['cast', 'f16', 'f32']),
    );
    expect((await inspectModel(at('bound.onnx'), {}, context)).dtypes).toHaveProperty('f32');
  });
});

describe('weights next to a reference', () => {
  const validate = (input: string, reference: string, tolerance?: number) =>
    validateFile(
      input,
      { level: 'weights', device: 'cpu', reference, ...(tolerance === undefined ? {} : { tolerance }) },
      context,
    );

  it('must be equal, or rounded to their type', async () => {
    await convert(model, at('full.safetensors'));
    await convert(model, at('rounded.safetensors'), { dtype: 'bf16' });
    await convert(at('rounded.safetensors'), at('widened.safetensors'), { dtype: 'f32' });
    expect((await validate(at('full.safetensors'), at('full.safetensors'))).passed).toBe(true);
    expect((await validate(at('rounded.safetensors'), at('full.safetensors'))).passed).toBe(true);
    const widened = await validate(at('widened.safetensors'), at('full.safetensors'));
    expect(widened.passed).toBe(false);
    expect(widened.findings[0]).toMatchObject({ code: 'VALUES_DIFFER', severity: 'error' });
    expect((await validate(at('widened.safetensors'), at('full.safetensors'), 0.01)).passed).toBe(true);
    expect((await validate(at('widened.safetensors'), at('full.safetensors'), 1e-6)).passed).toBe(false);
  });

  it('must have the same names', async () => {
    await convert(at('full.safetensors'), at('part.safetensors'), { include: [/^fc/] });
    const { passed, findings } = await validate(at('part.safetensors'), at('full.safetensors'));
    expect(passed).toBe(false);
    expect(new Set(findings.map(({ code }) => code))).toEqual(new Set(['TENSOR_MISSING']));
    const other = await validate(at('full.safetensors'), at('part.safetensors'));
    expect(new Set(other.findings.map(({ code }) => code))).toEqual(new Set(['TENSOR_UNEXPECTED']));
  });

  it('cannot be run by diff', async () => {
    await expect(diff(model, at('full.safetensors'), true)).rejects.toMatchObject({ code: 'E_USAGE' });
  });
});

it('a format without versions says so', async () => {
  expect((await inspectModel(at('full.safetensors'), {}, context)).formatVersion).toBeNull();
});

describe('an output that is a folder to be made', () => {
  const shards = path.join(tmpdir(), `mlser-shards-${process.pid}`);
  afterAll(() => rmSync(shards, { recursive: true, force: true }));
  const convert = (options: { tolerance?: number; to?: string }) =>
    convertModel(
      'fixtures/trained/digits_cnn/model.safetensors',
      `${shards}/`,
      { validate: 'structure', device: 'cpu', shardSize: 20_000, ...options },
      testContext(1),
    );

  it('is made, and holds the shards', async () => {
    const report = await convert({});
    expect(report.validation.passed).toBe(true);
    expect(readdirSync(shards).sort((a, b) => (a < b ? -1 : 1))).toEqual([
      'model-00001-of-00002.safetensors',
      'model-00002-of-00002.safetensors',
      'model.safetensors.index.json',
    ]);
    rmSync(shards, { recursive: true });
  });

  it('does not stay when nothing was written', async () => {
    await expect(convert({ to: 'onnx' })).rejects.toMatchObject({ code: 'E_UNSUPPORTED' });
    expect(existsSync(shards)).toBe(false);
  });
});
