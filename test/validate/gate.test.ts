import { readFileSync, writeFileSync } from 'node:fs';
import { afterAll, describe, expect, it } from 'vitest';
import type { Model } from '../../src/core/model.js';
import type { TensorSource } from '../../src/core/tensor.js';
import { diskFiles } from '../../src/io/disk.js';
import { castTensor } from '../../src/kernels/cast.js';
import { type GateRequest, runGate, validateModel } from '../../src/validate/gate.js';
import { aborting, doubling, f32, graph } from '../runtime/models.js';
import { testContext } from '../support/context.js';
import { codes, modelOf, open, scratch, tensor, write } from './support.js';

const folder = scratch();
afterAll(() => folder.remove());
const digits = (name: string): string => `fixtures/trained/digits_cnn/${name}`;
const context = testContext();

const withTensors = (model: Model, change: (tensor: TensorSource) => TensorSource | undefined): Model => ({
  ...model,
  tensors: model.tensors.flatMap((one) => change(one) ?? []),
});

/** The gate on `file` as if it were staged. */
async function gate(
  file: string,
  intended: Model,
  extra: Partial<GateRequest> = {},
  source: { model: Model; files: GateRequest['sourceFiles'] } = { model: intended, files: diskFiles(file) },
) {
  const staged = diskFiles(file);
  try {
    return await runGate({
      level: 'run',
      device: 'cpu',
      source: source.model,
      intended,
      staged,
      sourceFiles: source.files,
      context,
      ...extra,
    });
  } finally {
    await staged.close();
  }
}

describe('the gate over weights', () => {
  const weights = modelOf([
    tensor(
      'a',
      [64, 32],
      Array.from({ length: 2048 }, (_, i) => Math.fround((Math.sin(i) + 2) / 10)),
    ),
    tensor('b', [3], [1, -2, 3]),
  ]);

  it('passes what was written as it was meant', async () => {
    const file = folder.at('good.safetensors');
    await write(weights, file, 'safetensors');
    const { report, findings } = await gate(file, weights);
    expect(findings).toEqual([]);
    expect(report).toEqual({
      level: 'run',
      device: 'cpu',
      passed: true,
      structure: true,
      weights: { checked: 2, equal: 2, lossy: 0, worst: null },
      run: { outputs: [], tensorsRead: 2, tensorsFed: 0 },
    });
  });

  it('sees a single flipped bit', async () => {
    const file = folder.at('flipped.safetensors');
    await write(weights, file, 'safetensors');
    const bytes = readFileSync(file);
    bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
    writeFileSync(file, bytes);
    const { report, findings } = await gate(file, weights);
    expect(report).toMatchObject({ passed: false, structure: true, weights: { checked: 2, equal: 1 } });
    expect(findings).toMatchObject([{ code: 'VALUES_DIFFER', severity: 'error', subject: 'b' }]);
    expect(report.run).toBeUndefined();
  });

  it('sees what is missing, extra, or of another type or shape', async () => {
    const file = folder.at('structure.safetensors');
    await write(
      modelOf([
        tensor('b', [1, 3], [1, -2, 3]),
        castTensor(tensor('c', [1], [1]), 'f16'),
        tensor('d', [1], [1]),
      ]),
      file,
      'safetensors',
    );
    const intended = modelOf([...weights.tensors, tensor('c', [1], [1])]);
    const { report, findings } = await gate(file, intended);
    expect(report).toMatchObject({ passed: false, structure: false });
    expect(new Set(codes(findings))).toEqual(
      new Set(['TENSOR_MISSING', 'TENSOR_SHAPE_DIFFERS', 'TENSOR_DTYPE_DIFFERS', 'TENSOR_UNEXPECTED']),
    );
  });

  it('says that what was written cannot be opened', async () => {
    const file = folder.at('cut.safetensors');
    await write(weights, file, 'safetensors');
    writeFileSync(file, readFileSync(file).subarray(0, 1000));
    const { report, findings } = await gate(file, weights);
    expect(report).toMatchObject({ passed: false, structure: false });
    expect(codes(findings)).toEqual(['CANNOT_REOPEN']);
  });

  it('measures what a conversion lost, and holds it to the rounding of the type', async () => {
    const file = folder.at('half.safetensors');
    // Values that become subnormal halves: rounding by more than a relative bound.
    const source = modelOf([...weights.tensors, tensor('tiny', [3], [1e-6, 3e-8, 0.1])]);
    const intended = withTensors(source, (one) => castTensor(one, 'f16'));
    await write(intended, file, 'safetensors');
    const { report, findings, tensorErrors } = await gate(
      file,
      intended,
      {},
      { model: source, files: diskFiles(file) },
    );
    expect(findings).toEqual([]);
    expect(report).toMatchObject({ passed: true, weights: { checked: 3, equal: 1, lossy: 2 } });
    expect(tensorErrors.get('a')?.maxRel).toBeLessThanOrEqual(2 ** -11);
    expect(tensorErrors.has('b')).toBe(false);
    expect(report.weights?.worst?.name).toBeDefined();

    const wrong = withTensors(source, (one) =>
      castTensor(one.info.name === 'a' ? tensor('a', [64, 32], new Array(2048).fill(0.01)) : one, 'f16'),
    );
    await write(wrong, file, 'safetensors');
    const bad = await gate(file, intended, {}, { model: source, files: diskFiles(file) });
    expect(bad.report.passed).toBe(false);
    expect(bad.findings).toMatchObject([{ code: 'VALUES_DIFFER', subject: 'a' }]);
  });

  it('holds halves that rounding does not explain to every bit, in the same read', async () => {
    const count = 150_000;
    const values = Array.from({ length: count }, (_, i) => Math.sin(i) * 10 ** -(i % 8));
    const [from, to] = [folder.at('from.safetensors'), folder.at('to.safetensors')];
    await write(modelOf([tensor('w', [count], values)]), from, 'safetensors');
    const { model: source, files } = await open(from);
    const intended = withTensors(source, (one) => castTensor(one, 'f16'));
    await write(intended, to, 'safetensors');
    const good = await gate(to, intended, {}, { model: source, files: diskFiles(from) });
    expect(good.findings).toEqual([]);
    expect(good.report).toMatchObject({ passed: true, weights: { checked: 1, lossy: 1 } });
    expect(good.tensorErrors.get('w')?.maxRel).toBeGreaterThan(2 ** -11);

    // The last number, of about 1e-7, is another subnormal one.
    const bytes = readFileSync(to);
    bytes.writeUInt8((bytes.readUInt8(bytes.length - 2) ^ 1) & 0xff, bytes.length - 2);
    writeFileSync(to, bytes);
    const bad = await gate(to, intended, {}, { model: source, files: diskFiles(from) });
    expect(bad.findings).toMatchObject([{ code: 'VALUES_DIFFER', subject: 'w' }]);
    await files.close();
  });

  it('refuses infinities that were finite before', async () => {
    const file = folder.at('overflow.safetensors');
    const source = modelOf([tensor('big', [2], [1e6, 1])]);
    const intended = withTensors(source, (one) => castTensor(one, 'f16'));
    await write(intended, file, 'safetensors');
    const { report, findings } = await gate(file, intended, {}, { model: source, files: diskFiles(file) });
    expect(report.passed).toBe(false);
    expect(codes(findings)).toEqual(['NONFINITE_CREATED']);
  });

  it('stops at the level that was asked for', async () => {
    const file = folder.at('levels.safetensors');
    await write(weights, file, 'safetensors');
    const keys = async (level: GateRequest['level']) =>
      Object.keys((await gate(file, weights, { level })).report);
    expect(await keys('none')).toEqual(['level', 'device', 'passed']);
    expect(await keys('structure')).toEqual(['level', 'device', 'passed', 'structure']);
    expect(await keys('weights')).toEqual(['level', 'device', 'passed', 'structure', 'weights']);
  });

  it('refuses feeds for a model without a graph, and unknown devices', async () => {
    const file = folder.at('usage.safetensors');
    await write(weights, file, 'safetensors');
    await expect(gate(file, weights, { inputs: digits('test.npz') })).rejects.toMatchObject({
      code: 'E_USAGE',
    });
    await expect(gate(file, weights, { device: 'tpu' })).rejects.toMatchObject({ code: 'E_USAGE' });
  });
});

describe('the gate over a graph', () => {
  it('runs it next to its source on real test images', async () => {
    const source = await open(digits('model.onnx'));
    const file = folder.at('digits.onnx');
    await write(source.model, file, 'onnx', { externalData: true });
    const { report, findings } = await gate(
      file,
      source.model,
      { inputs: digits('test.npz'), labels: 'y' },
      source,
    );
    expect(findings).toEqual([]);
    const accuracy = JSON.parse(readFileSync(digits('accuracy.json'), 'utf8')) as Record<string, unknown>;
    expect(accuracy).toBeDefined();
    expect(report).toMatchObject({
      passed: true,
      run: {
        feeds: digits('test.npz'),
        samples: 500,
        reference: 'source',
        outputs: [{ name: 'logits', neededTolerance: 0 }],
      },
      accuracy: { before: 0.986, after: 0.986, samples: 500 },
    });
    await source.files.close();
  });

  it('sees that it behaves differently', async () => {
    const source = await open(digits('model.onnx'));
    const intended = withTensors(source.model, (one) =>
      one.info.name === 'fc2.bias' ? tensor('fc2.bias', one.info.shape, new Array(10).fill(0.5)) : one,
    );
    expect(intended.tensors.some(({ info }) => info.name === 'fc2.bias')).toBe(true);
    const file = folder.at('other.onnx');
    await write(intended, file, 'onnx');
    const { report, findings } = await gate(file, intended, {}, source);
    expect(report.passed).toBe(false);
    expect(findings).toMatchObject([{ code: 'OUTPUT_DIFFERS', subject: 'logits' }]);
    const needed = report.run?.outputs[0]?.neededTolerance ?? 0;
    expect(needed).toBeGreaterThan(1e-3);
    // The tolerance that is reported is the one that passes.
    expect((await gate(file, intended, { tolerance: needed }, source)).report.passed).toBe(true);
    expect((await gate(file, intended, { tolerance: needed * 0.99 }, source)).report.passed).toBe(false);
    await source.files.close();
  });
});

describe('validate', () => {
  const validate = async (file: string, extra: Partial<Parameters<typeof validateModel>[0]> = {}) => {
    const { model, files } = await open(file);
    try {
      return await validateModel({ model, files, level: 'run', device: 'cpu', context, ...extra });
    } finally {
      await files.close();
    }
  };
  const onnx = (name: string, bytes: Uint8Array): string => {
    writeFileSync(folder.at(name), bytes);
    return folder.at(name);
  };

  it('compares with expected outputs, over all samples', async () => {
    const given = { inputs: digits('test.npz'), expected: digits('expected_logits.npz'), tolerance: 1e-4 };
    const { report, findings } = await validate(digits('model.onnx'), given);
    expect(findings).toEqual([]);
    expect(report).toMatchObject({
      passed: true,
      run: { samples: 500, reference: digits('expected_logits.npz') },
    });
    expect(report.run?.outputs).toMatchObject([{ name: 'logits', argmaxAgreement: 1 }]);
    await expect(validate(digits('model.onnx'), { ...given, labels: 'nope' })).rejects.toMatchObject({
      code: 'E_USAGE',
      details: { missing: ['nope'] },
    });
    await expect(
      validate(digits('model.onnx'), { inputs: digits('expected_logits.npz') }),
    ).rejects.toMatchObject({
      code: 'E_USAGE',
      details: { missing: ['x'] },
    });
  });

  it('runs a graph that fixes its batch over any number of samples', async () => {
    const file = onnx('fixed.onnx', await doubling([4, 2]));
    const x = Array.from({ length: 20 }, (_, i) => i);
    await write(modelOf([tensor('x', [10, 2], x)]), folder.at('x.npz'), 'npz');
    await write(
      modelOf([
        tensor(
          'y',
          [10, 2],
          x.map((v) => 2 * v),
        ),
      ]),
      folder.at('y.npz'),
      'npz',
    );
    const { report, findings } = await validate(file, {
      inputs: folder.at('x.npz'),
      expected: folder.at('y.npz'),
    });
    expect(findings).toEqual([]);
    expect(report).toMatchObject({ passed: true, run: { samples: 10, outputs: [{ neededTolerance: 0 }] } });
    await write(
      modelOf([
        tensor(
          'y',
          [10, 2],
          x.map((v, i) => (i === 19 ? 0 : 2 * v)),
        ),
      ]),
      folder.at('z.npz'),
      'npz',
    );
    const other = await validate(file, { inputs: folder.at('x.npz'), expected: folder.at('z.npz') });
    expect(codes(other.findings)).toEqual(['OUTPUT_DIFFERS']);
  });

  it('compares with another model', async () => {
    const reference = await open(onnx('double.onnx', await doubling(['n'])));
    const nodes = [{ op: 'Mul', inputs: ['x', 'two'], outputs: ['y'] }];
    const times = await graph(
      nodes,
      ['f32', ['n']],
      ['f32', ['n']],
      [{ name: 'two', dtype: 'f32', shape: [], raw: f32(2) }],
    );
    expect((await validate(onnx('times.onnx', times), { reference })).report.passed).toBe(true);
    const plus = await graph(
      [{ ...nodes[0], op: 'Add' } as (typeof nodes)[0]],
      ['f32', ['n']],
      ['f32', ['n']],
      [{ name: 'two', dtype: 'f32', shape: [], raw: f32(2) }],
    );
    expect(codes((await validate(onnx('plus.onnx', plus), { reference })).findings)).toEqual([
      'OUTPUT_DIFFERS',
    ]);
    await reference.files.close();
  });

  it('does not run a graph whose outputs would abort the runtime', async () => {
    const { report, findings } = await validate(onnx('int4.onnx', await aborting()));
    expect(report.passed).toBe(false);
    expect(findings).toMatchObject([{ code: 'GRAPH_EDGE_TYPE', severity: 'error', subject: 'y' }]);
  });

  it('says what the runtime cannot run', async () => {
    const nodes = [
      { op: 'Cast', inputs: ['x'], outputs: ['a'], attributes: { to: 16n } },
      { op: 'Sin', inputs: ['a'], outputs: ['b'] },
      { op: 'Cast', inputs: ['b'], outputs: ['y'], attributes: { to: 1n } },
    ];
    const bytes = await graph(nodes, ['f32', [2]], ['f32', [2]]);
    const { report, findings } = await validate(onnx('sin.onnx', bytes));
    expect(report.passed).toBe(false);
    expect(codes(findings)).toEqual(['RUN_FAILED']);
  });

  it('notices outputs that are not finite', async () => {
    const nodes = [
      { op: 'Sub', inputs: ['x', 'x'], outputs: ['zero'] },
      { op: 'Log', inputs: ['zero'], outputs: ['y'] },
    ];
    const bytes = await graph(nodes, ['f32', ['n']], ['f32', ['n']]);
    const { report, findings } = await validate(onnx('log.onnx', bytes));
    expect(report.passed).toBe(true); // made-up feeds may be outside of what it is for
    expect(findings).toMatchObject([{ code: 'NONFINITE_OUTPUT', severity: 'warning' }]);
  });

  it('makes up ids that lie inside the table they index', async () => {
    const nodes = [{ op: 'Gather', inputs: ['table', 'x'], outputs: ['y'] }];
    const bytes = await graph(
      nodes,
      ['i64', ['batch', 'seq']],
      ['f32', ['batch', 'seq', 2]],
      [{ name: 'table', dtype: 'f32', shape: [3, 2], raw: f32(1, 2, 3, 4, 5, 6) }],
    );
    const { report, findings } = await validate(onnx('gather.onnx', bytes));
    expect(findings).toEqual([]);
    expect(report.run?.feeds).toBe('generated');
  });
});
