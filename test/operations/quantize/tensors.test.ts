import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { type Model, tensorMap } from '../../../src/core/model.js';
import { memoryTensor, readTensor } from '../../../src/core/tensor.js';
import { castTensor } from '../../../src/kernels/cast.js';
import { compareTensors } from '../../../src/kernels/compare.js';
import { convertModel } from '../../../src/operations/convert.js';
import { withModels } from '../../../src/operations/open.js';
import { type QuantizeOptions, quantizeModel } from '../../../src/operations/quantize/quantize.js';
import type { QuantizeReport } from '../../../src/operations/quantize/report.js';
import { schemeById } from '../../../src/operations/quantize/schemes.js';
import { dequantize } from '../../../src/transforms/dequantize.js';
import { QUANTIZATION_KEY } from '../../../src/transforms/quantized-record.js';
import { testContext } from '../../support/context.js';
import { codes, modelOf, write } from '../../validate/support.js';

const TRAINED = fileURLToPath(new URL('../../../fixtures/trained/digits_cnn/', import.meta.url));
const SOURCE = path.join(TRAINED, 'model.safetensors');
const context = testContext(1);
const folder = mkdtempSync(path.join(tmpdir(), 'mlser-tensors-'));
const at = (name: string): string => path.join(folder, name);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const WEIGHTS = ['conv1.weight', 'conv2.weight', 'conv3.weight', 'fc1.weight', 'fc2.weight'];

const quantize = (
  output: string,
  options: Partial<QuantizeOptions> & { scheme: string },
): Promise<QuantizeReport> =>
  quantizeModel(SOURCE, at(output), { validate: 'run', device: 'cpu', force: true, ...options }, context);

describe('codes in formats without a graph', () => {
  const cases = ['safetensors', 'npz', 'mlck', 'pt'].flatMap((format) =>
    (
      [
        { scheme: 'int8-weights' },
        { scheme: 'int8-weights', symmetric: false },
        { scheme: 'int8-weights', block: 16 },
        { scheme: 'int8-weights', perChannel: false, weightSign: 'unsigned' },
        { scheme: 'int4-weights' },
        { scheme: 'int4-weights', symmetric: false, method: 'mse' },
        { scheme: 'int2-weights' },
        { scheme: 'int2-weights', block: 32, symmetric: false },
        { scheme: 'palette-8', include: [/^fc1/] },
        { scheme: 'palette-6', include: [/^fc|conv3/] },
        { scheme: 'palette-4', block: 8, include: [/^fc1|conv3/] },
        { scheme: 'palette-3' },
        { scheme: 'palette-2', perChannel: true, include: [/^fc1|conv3/] },
        { scheme: 'nf4' },
        { scheme: 'nf4', block: 48 },
        { scheme: 'mxfp4' },
      ] as const
    ).map((options) => ({ format, options, title: [format, ...Object.values(options)].join(' ') })),
  );

  it.each(cases)('are floats again with --dtype: $title', async ({ format, options }) => {
    const stored = at(`stored.${format}`);
    // Starting the runtime takes longer than all the rest.
    const validate = options.scheme === 'int2-weights' || options.scheme === 'palette-3' ? 'run' : 'weights';
    const report = await quantize(`stored.${format}`, { ...options, validate });
    expect(report.validation).toMatchObject({ passed: true });
    const done = report.tensors.filter(({ action }) => action === options.scheme);
    const wanted = WEIGHTS.filter((name) => !('include' in options) || options.include[0].test(name));
    expect(done.map(({ name }) => name).sort()).toEqual(wanted);
    // What is lost besides was no record of ours.
    expect(report.findings.filter(({ code }) => code !== 'METADATA_DROPPED')).toEqual([]);
    expect(JSON.stringify(report.findings)).not.toContain(QUANTIZATION_KEY);
    await convertModel(
      stored,
      at('back.safetensors'),
      { dtype: 'f32', validate: 'weights', device: 'cpu', force: true },
      context,
    );
    await withModels([SOURCE, at('back.safetensors')], context, async ([before, after]) => {
      if (!before || !after) throw new Error('not opened');
      expect(after.model.metadata.has(QUANTIZATION_KEY)).toBe(false);
      const found = tensorMap(after.model);
      expect([...found.keys()].sort()).toEqual([...tensorMap(before.model).keys()].sort());
      const pairs = before.model.tensors.flatMap((a) => {
        const b = found.get(a.info.name);
        return b ? [{ a, b }] : [];
      });
      const differences = await compareTensors(pairs, context);
      pairs.forEach(({ a, b }, i) => {
        expect(b.info).toEqual(a.info);
        // What the report said was lost; the pool sums up short runs in f32.
        const told = done.find(({ name }) => name === a.info.name)?.error;
        const { rmse = 0, maxAbs = 0 } = told ?? {};
        expect(differences[i]?.maxAbs).toBe(maxAbs);
        expect(Math.abs((differences[i]?.rmse ?? 0) - rmse)).toBeLessThanOrEqual(rmse * 1e-6);
      });
    });
  });

  it('two quantizations take their own tensors', async () => {
    await quantize('first.safetensors', { scheme: 'int8-weights', include: [/^fc/] });
    const second = quantizeModel(
      at('first.safetensors'),
      at('second.safetensors'),
      { scheme: 'int4-weights', validate: 'none', device: 'cpu' },
      context,
    );
    await expect(second).rejects.toMatchObject({ code: 'E_UNSUPPORTED' });
    const report = await quantizeModel(
      at('first.safetensors'),
      at('second.safetensors'),
      { scheme: 'int4-weights', requantize: true, exclude: [/^fc/], validate: 'run', device: 'cpu' },
      context,
    );
    const done = report.tensors.flatMap(({ name, action }) => (action === 'int4-weights' ? [name] : []));
    expect(done.sort()).toEqual(['conv1.weight', 'conv2.weight', 'conv3.weight']);
    await withModels([at('second.safetensors')], context, async ([opened]) => {
      if (!opened) throw new Error('not opened');
      const back = await dequantize().apply(opened.model);
      for (const { info } of back.tensors) expect([info.name, info.dtype]).not.toContain('u8');
    });
  });

  it('metadata that does not fit the tensors is refused', async () => {
    await quantize('stored.mlck', { scheme: 'int8-weights' });
    await withModels([at('stored.mlck')], context, async ([opened]) => {
      const { model } = opened ?? {};
      const text = model?.metadata.get(QUANTIZATION_KEY);
      if (!model || typeof text !== 'string') throw new Error('no metadata');
      const changes: readonly ((text: string) => string)[] = [
        () => '{',
        () => '[]',
        () => '{"version":1,"tensors":7}',
        (old) => old.replace('"shape":[32,96]', '"shape":[32,97]'),
        (old) => old.replace('"shape":[32,96]', '"shape":[-1]'),
        (old) => old.replace('"axis":0', '"axis":9'),
        (old) => old.replace('"dtype":"i8"', '"dtype":"f32"'),
        (old) => old.replace('fc1.weight.scale', 'nowhere'),
        (old) => old.replace('"scale":"fc1.weight.scale"', '"scale":"fc2.weight.scale"'),
      ];
      for (const change of changes) {
        const changed = change(text);
        expect(changed).not.toBe(text);
        const metadata = new Map(model.metadata).set(QUANTIZATION_KEY, changed);
        await expect((async () => dequantize().apply({ ...model, metadata }))()).rejects.toMatchObject({
          code: 'E_MALFORMED',
        });
      }
      const newer = new Map(model.metadata).set(QUANTIZATION_KEY, '{"version":3}');
      await expect((async () => dequantize().apply({ ...model, metadata: newer }))()).rejects.toMatchObject({
        code: 'E_UNSUPPORTED',
      });
    });
  });
});

describe('records of codes', () => {
  const open = async (name: string): Promise<{ model: Model; text: string }> =>
    withModels([at(name)], context, async ([opened]) => {
      const { model } = opened ?? {};
      const text = model?.metadata.get(QUANTIZATION_KEY);
      if (!model || typeof text !== 'string') throw new Error('no metadata');
      const tensors = await Promise.all(
        model.tensors.map(async (tensor) => memoryTensor(tensor.info, await readTensor(tensor))),
      );
      return { model: { ...model, tensors }, text };
    });
  const back = async (model: Model, text?: string): Promise<Uint8Array> => {
    const metadata =
      text === undefined ? model.metadata : new Map(model.metadata).set(QUANTIZATION_KEY, text);
    const { tensors } = await dequantize().apply({ ...model, metadata });
    const tensor = tensors.find(({ info }) => info.name === 'fc1.weight');
    if (!tensor) throw new Error('lost');
    return readTensor(tensor);
  };
  const only = { include: [/^fc1/], validate: 'none' } as const;

  it.each([
    ['palette-3', '"bits":3', '"bits":5'],
    ['palette-3', '"bits":3', '"bits":2'],
    ['palette-3', '"bits":3', '"bits":4'],
    ['palette-3', '"codes":"palette"', '"codes":"book"'],
    ['palette-3', '"codes":"palette"', '"codes":"nf4"'],
    ['palette-3', '"shape":[32,96]', '"shape":[32,98]'],
    ['palette-3', '"shape":[32,96]', '"shape":[96]'],
    ['palette-3', '"from":"f32"', '"from":"f16"'],
    ['palette-3', '"axis":0', '"axis":2'],
    ['palette-3', '"axis":0', '"axis":1'],
    ['palette-3', '"block":8', '"block":0'],
    ['palette-3', '"block":8', '"block":16'],
    ['palette-3', '"palette":"fc1.weight.palette"', '"palette":"nowhere"'],
    ['palette-3', '"palette":"fc1.weight.palette"', '"palette":"fc1.bias"'],
    ['palette-3', '"palette":"fc1.weight.palette"', '"palette":7'],
    ['palette-3', '"version":2', '"version":1'],
    ['nf4', '"block":64', '"block":32'],
    ['nf4', '"block":64', '"block":-1'],
    ['nf4', '"block":64,', ''],
    ['nf4', '"codes":"nf4"', '"codes":"mxfp4"'],
    ['nf4', '"scale":"fc1.weight.scale"', '"scale":"fc1.bias"'],
    ['nf4', '"scale":"fc1.weight.scale"', '"scale":null'],
    ['mxfp4', '"codes":"mxfp4"', '"codes":"nf4"'],
    ['mxfp4', '"shape":[32,96]', '"shape":[31,96]'],
  ])('%s: %s is not %s', async (scheme, right, wrong) => {
    const name = `record.${scheme}.safetensors`;
    if (!existsSync(at(name)))
      await quantize(name, { scheme, ...only, ...(scheme === 'palette-3' ? { block: 8 } : {}) });
    const { model, text } = await open(name);
    expect(text).toContain(right);
    await expect(back(model, text.replace(right, wrong))).rejects.toMatchObject({ code: 'E_MALFORMED' });
    expect((await back(model)).length).toBe(32 * 96 * 4);
  });

  it('a code past the end of the palette is refused', async () => {
    await quantize('short.safetensors', { scheme: 'palette-4', ...only });
    const { model } = await open('short.safetensors');
    const table = memoryTensor(
      { name: 'fc1.weight.palette', dtype: 'f32', shape: [1, 9] },
      new Uint8Array(36),
    );
    const tensors = model.tensors.map((tensor) => (tensor.info.name === table.info.name ? table : tensor));
    await expect(back({ ...model, tensors })).rejects.toMatchObject({ code: 'E_MALFORMED' });
  });

  it('a companion that is not there is missed', async () => {
    await quantize('gone.safetensors', { scheme: 'mxfp4', ...only });
    const { model } = await open('gone.safetensors');
    const tensors = model.tensors.filter(({ info }) => info.name !== 'fc1.weight.scale');
    await expect(back({ ...model, tensors })).rejects.toMatchObject({ code: 'E_MALFORMED' });
  });

  it('go along into formats without metadata, and are told from arrays that only have the name', async () => {
    await quantize('source.safetensors', { scheme: 'palette-6', ...only });
    const convert = (from: string, to: string, more = {}) =>
      convertModel(at(from), at(to), { validate: 'run', device: 'cpu', force: true, ...more }, context);
    for (const format of ['npz', 'pt', 'mlck']) {
      expect((await convert('source.safetensors', `moved.${format}`)).validation.passed).toBe(true);
      await convert(`moved.${format}`, 'plain.safetensors', { dtype: 'f32' });
      await withModels(
        [at('source.safetensors'), at('plain.safetensors')],
        context,
        async ([source, plain]) => {
          if (!source || !plain) throw new Error('not opened');
          const direct = await dequantize().apply(source.model);
          expect(plain.model.tensors.map(({ info }) => info.name).sort()).toEqual(
            direct.tensors.map(({ info }) => info.name).sort(),
          );
          for (const tensor of direct.tensors) {
            const other = tensorMap(plain.model).get(tensor.info.name);
            expect(other && Buffer.compare(await readTensor(other), await readTensor(tensor))).toBe(0);
          }
        },
      );
    }
    const { model, text } = await open('source.safetensors');
    const bytes = new TextEncoder().encode(text.slice(0, -1));
    const cut = memoryTensor({ name: QUANTIZATION_KEY, dtype: 'u8', shape: [bytes.length] }, bytes);
    const spoilt = { ...model, metadata: new Map(), tensors: [...model.tensors, cut] };
    await expect(dequantize().apply(spoilt)).rejects.toMatchObject({ code: 'E_MALFORMED' });
  });

  it.each(['safetensors', 'npz'])(
    'follow their tensors through selections and new names: %s',
    async (format) => {
      const convert = (from: string, to: string, more = {}) =>
        convertModel(at(from), at(to), { validate: 'weights', device: 'cpu', force: true, ...more }, context);
      await quantize(`all.${format}`, { scheme: 'int4-weights', symmetric: false, validate: 'none' });
      await convert(`all.${format}`, `some.${format}`, { exclude: [/^(conv|bn)/], prefix: 'a.' });
      await convert(`some.${format}`, 'plain.safetensors', { dtype: 'f32' });
      await convert(`all.${format}`, 'direct.safetensors', { dtype: 'f32' });
      await withModels(
        [at('plain.safetensors'), at('direct.safetensors')],
        context,
        async ([plain, direct]) => {
          if (!plain || !direct) throw new Error('not opened');
          expect(plain.model.tensors.map(({ info }) => info.name).sort()).toEqual([
            'a.fc1.bias',
            'a.fc1.weight',
            'a.fc2.bias',
            'a.fc2.weight',
          ]);
          for (const tensor of plain.model.tensors) {
            const other = tensorMap(direct.model).get(tensor.info.name.slice(2));
            expect(other && Buffer.compare(await readTensor(other), await readTensor(tensor))).toBe(0);
          }
        },
      );
    },
  );

  it('the same bytes from the pool and from a stream, packed as densely as the bits say', async () => {
    for (const [scheme, size] of [
      ['palette-6', (32 * 96 * 6) / 8],
      ['palette-3', (32 * 96 * 3) / 8],
      ['palette-2', (32 * 96 * 2) / 8],
      ['nf4', (32 * 96 * 4) / 8],
      ['mxfp4', (32 * 96 * 4) / 8],
    ] as const) {
      await quantize('pool.safetensors', { scheme, block: 5, ...only });
      const { model: pooled } = await open('pool.safetensors');
      const entry = await schemeById(scheme)?.tensors?.();
      const streamed = await withModels([SOURCE], context, async ([opened]) => {
        const made =
          opened &&
          (await entry?.apply(opened.model, { selects: (name) => name === 'fc1.weight', block: 5 }));
        return Promise.all(
          (made?.model.tensors ?? []).map(async (t) => [t.info.name, await readTensor(t)] as const),
        );
      });
      for (const [name, bytes] of streamed) {
        const other = tensorMap(pooled).get(name);
        expect(other && Buffer.compare(await readTensor(other), bytes)).toBe(0);
        if (name === 'fc1.weight') expect(bytes.length).toBe(size);
      }
    }
  });
});

describe('smaller floats', () => {
  it.each([
    ['fp16', 'f16', 60],
    ['bf16', 'bf16', 50],
    ['fp8-e4m3', 'f8_e4m3fn', 28],
    ['fp8-e5m2', 'f8_e5m2', 23],
  ] as const)('%s in a format without a graph', async (scheme, dtype, quality) => {
    const report = await quantize(`${scheme}.safetensors`, { scheme });
    expect(report.validation.passed).toBe(true);
    const done = report.tensors.filter(({ action }) => action === scheme);
    expect(done.length).toBeGreaterThan(4);
    for (const { error, dtypeOut } of done) {
      expect(dtypeOut).toBe(dtype);
      expect(error?.sqnrDb).toBeGreaterThan(quality);
    }
    await withModels([at(`${scheme}.safetensors`)], context, async ([opened]) => {
      const tensor = opened?.model.tensors.find(({ info }) => info.name === 'fc1.weight');
      expect(tensor?.info.dtype).toBe(dtype);
      expect(tensor && (await readTensor(tensor)).length).toBe(
        (32 * 96 * (dtype.startsWith('f8') ? 8 : 16)) / 8,
      );
    });
  });

  it.each([
    ['fp16', 70_000, undefined],
    ['bf16', 70_000, 70_144],
    ['bf16', 3.4e38, undefined],
    ['fp8-e4m3', 500, 448],
    ['fp8-e5m2', 65_504, 57_344],
    ['fp8-e5m2', 61_000, 57_344],
  ] as const)('%s: %d becomes %s', async (scheme, large, expected) => {
    const values = Float32Array.from({ length: 64 }, (_, i) => (i === 9 ? -large : i));
    const weight = memoryTensor({ name: 'w', dtype: 'f32', shape: [8, 8] }, new Uint8Array(values.buffer));
    await write(modelOf([weight]), at('large.npz'), 'npz');
    const report = await quantizeModel(
      at('large.npz'),
      at('large.safetensors'),
      { scheme, validate: 'weights', device: 'cpu', force: true },
      context,
    );
    expect(report.validation.passed).toBe(true);
    const told = codes(report.findings).includes('OUT_OF_RANGE');
    expect(told).toBe(expected === undefined || (scheme.startsWith('fp8') && large !== 61_000));
    await withModels([at('large.safetensors')], context, async ([opened]) => {
      const tensor = opened?.model.tensors[0];
      if (!tensor) throw new Error('lost');
      expect(tensor.info.dtype === 'f32').toBe(expected === undefined);
      const back = new Float32Array((await readTensor(castTensor(tensor, 'f32'))).slice().buffer);
      expect(back[9]).toBe(expected === undefined ? Math.fround(-large) : -expected);
    });
  });

  it.each(['fp8-e4m3', 'fp8-e5m2'])('%s in a graph', async (scheme) => {
    const report = await quantizeModel(
      path.join(TRAINED, 'model.onnx'),
      at(`${scheme}.onnx`),
      { scheme, validate: 'run', device: 'cpu', inputs: path.join(TRAINED, 'test.npz'), labels: 'y' },
      context,
    );
    expect(report.validation.passed).toBe(true);
    expect(report.accuracyDrop).toBeLessThanOrEqual(0.02);
    expect(report.findings.map(({ code }) => code)).toContain('OPSET_RAISED');
    expect(report.tensors.filter(({ action }) => action === scheme)).toHaveLength(5);
  });
});
