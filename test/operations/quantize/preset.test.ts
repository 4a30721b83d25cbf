import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { main } from '../../../src/cli/main.js';
import { withModel } from '../../../src/operations/open.js';
import { type PresetOptions, quantizePreset } from '../../../src/operations/quantize/preset.js';
import { quantizeModel } from '../../../src/operations/quantize/quantize.js';
import type { PresetReport } from '../../../src/operations/quantize/report.js';
import { chunksOf, stemFor } from '../../../src/operations/quantize/transformers-js.js';
import { fakeIo, mlser } from '../../support/cli.js';
import { testContext } from '../../support/context.js';
import { schemaErrors } from '../../support/schema.js';

const BERT = path.resolve('fixtures/transformers/tiny-bert/onnx/model.onnx');
const CNN = path.resolve('fixtures/trained/digits_cnn/model.onnx');
const DIGITS = path.resolve('fixtures/trained/digits_cnn/test.npz');
const NAMES = ['', '_fp16', '_quantized', '_int8', '_uint8', '_q4', '_q4f16', '_bnb4'];

const root = mkdtempSync(path.join(tmpdir(), 'mlser-preset-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
let count = 0;
const fresh = (): string => path.join(root, `m${count++}`);

const preset = (input: string, folder: string, more: Partial<PresetOptions> = {}): Promise<PresetReport> =>
  quantizePreset(
    input,
    folder,
    { preset: 'transformers.js', validate: 'weights', device: 'cpu', sync: false, ...more },
    testContext(),
  );

/** Types of the stored tensors whose name matches, and the operators of the graph. */
const contents = (
  file: string,
  name: RegExp,
): Promise<{ types: string[]; ops: ReadonlyMap<string, number> }> =>
  withModel(file, {}, async ({ model }) => ({
    types: [
      ...new Set(model.tensors.filter(({ info }) => name.test(info.name)).map(({ info }) => info.dtype)),
    ],
    ops: model.graph?.ops ?? new Map(),
  }));

describe('integers of 8 bits', () => {
  it('are unsigned by default where the model has Conv, and Conv has no others', async () => {
    const folder = fresh();
    const report = await preset(CNN, folder, { validate: 'run', inputs: DIGITS, labels: 'y' });
    const at = (suffix: string): string => path.join(folder, 'onnx', `model${suffix}.onnx`);
    expect(report.findings.map(({ code }) => code)).toEqual(['Q8_UNSIGNED']);
    expect(readFileSync(at('_quantized')).equals(readFileSync(at('_uint8')))).toBe(true);
    expect((await contents(at('_uint8'), /_quantized$/)).types).toEqual(['u8']);
    const { types, ops } = await contents(at('_int8'), /_quantized$/);
    expect(new Set(types)).toEqual(new Set(['i8', 'u8']));
    expect(ops.get('ConvInteger')).toBeGreaterThan(0);
    // Counted on images that the classifier has not seen.
    for (const { dtype, outcome, accuracy = 0, accuracyDrop = 0, beforeMs, afterMs } of report.variants) {
      expect(outcome, dtype).toBe('written');
      expect(accuracy, dtype).toBeGreaterThan(0.96);
      expect(accuracyDrop, dtype).toBeLessThanOrEqual(/4/.test(dtype) ? 0.02 : 0.005);
      if (dtype !== 'fp32')
        expect(
          [beforeMs, afterMs].every((ms) => (ms ?? 0) > 0),
          dtype,
        ).toBe(true);
    }
  });

  it('are signed by default where it has none', async () => {
    const folder = fresh();
    const report = await preset(BERT, folder);
    const at = (suffix: string): string => path.join(folder, 'onnx', `model${suffix}.onnx`);
    expect(report.findings.map(({ code }) => code)).toEqual(['Q8_SIGNED']);
    expect(readFileSync(at('_quantized')).equals(readFileSync(at('_int8')))).toBe(true);
    expect((await contents(at('_quantized'), /^onnx::MatMul.*_quantized$/)).types).toEqual(['i8']);
    expect((await contents(at('_uint8'), /^onnx::MatMul.*_quantized$/)).types).toEqual(['u8']);
  });

  it('may have a scale a channel, which four bits are not told of', async () => {
    const [plain, channels] = [fresh(), fresh()];
    await preset(BERT, plain);
    await preset(BERT, channels, { perChannel: true });
    const same = (name: string): boolean =>
      readFileSync(path.join(plain, 'onnx', name)).equals(readFileSync(path.join(channels, 'onnx', name)));
    expect(same('model_quantized.onnx')).toBe(false);
    expect(same('model_q4.onnx')).toBe(true);
  });
});

describe('integers of 4 bits', () => {
  it('are multiplied by an operator of their own; q4f16 computes in half precision around them', async () => {
    const folder = fresh();
    await preset(BERT, folder);
    const at = (suffix: string): string => path.join(folder, 'onnx', `model${suffix}.onnx`);
    const q4 = await contents(at('_q4'), /^onnx::MatMul.*_scales$/);
    const half = await contents(at('_q4f16'), /^onnx::MatMul.*_scales$/);
    const bnb4 = await contents(at('_bnb4'), /_absmax$/);
    expect([q4.types, half.types, bnb4.types]).toEqual([['f32'], ['f16'], ['f32']]);
    // 12 products, and the two Gemm of the head.
    expect(q4.ops.get('com.microsoft::MatMulNBits')).toBe(14);
    expect(half.ops.get('com.microsoft::MatMulNBits')).toBe(14);
    expect(bnb4.ops.get('com.microsoft::MatMulBnb4')).toBe(12);
    // Tables of embeddings stay in float, and no cast stands around the products.
    expect((await contents(at('_bnb4'), /word_embeddings\.weight$/)).types).toEqual(['f32']);
    expect((half.ops.get('Cast') ?? 0) - (q4.ops.get('Cast') ?? 0)).toBeLessThanOrEqual(3);
    // The variant is what its scheme writes alone.
    const alone = path.join(folder, 'alone.onnx');
    const options = { validate: 'weights', device: 'cpu', block: 32, sync: false } as const;
    await quantizeModel(BERT, alone, { ...options, scheme: 'int4-weights+fp16' }, testContext());
    expect(readFileSync(alone).equals(readFileSync(at('_q4f16')))).toBe(true);
  });
});

describe('names and places', () => {
  it('a model in the folder stays, its variants come beside it', async () => {
    const folder = fresh();
    mkdirSync(path.join(folder, 'onnx'), { recursive: true });
    const own = path.join(folder, 'onnx/model.onnx');
    copyFileSync(BERT, own);
    const report = await preset(own, folder);
    expect(report.variants[0]).toMatchObject({ dtype: 'fp32', outcome: 'source', bytes: 139469 });
    expect(readFileSync(own).equals(readFileSync(BERT))).toBe(true);
    expect(new Set(readdirSync(path.join(folder, 'onnx')))).toEqual(
      new Set(NAMES.map((n) => `model${n}.onnx`)),
    );
    // The folder of the graphs may be named itself.
    const again = await preset(own, path.join(folder, 'onnx'), { force: true });
    expect(again.output).toBe(path.join(folder, 'onnx'));
  });

  it('a model whose data files have other names is told to move', async () => {
    const folder = fresh();
    mkdirSync(path.join(folder, 'onnx'), { recursive: true });
    const own = path.join(folder, 'onnx/model.onnx');
    await quantizeModel(
      BERT,
      own,
      { scheme: 'fp16', validate: 'none', device: 'cpu', externalData: true, exclude: [/^(?!.*word)/] },
      testContext(),
    );
    const report = await preset(own, folder);
    expect(report.variants[0]?.findings.map(({ code }) => code)).toEqual(['DATA_FILE_NAME']);
  });

  it('parts of a model keep their names, others are called model', () => {
    const names = ['decoder_model_merged', 'encoder_model', 'model', 'vision_encoder', 'embed_tokens'];
    for (const name of names) expect(stemFor(`${name}.onnx`, '/x')).toBe(name);
    expect(stemFor('bert-base.onnx', '/x')).toBe('model');
    expect(stemFor('my_supermodel.onnx', '/x')).toBe('model');
    expect(stemFor('generation.onnx', '/x/onnx')).toBe('generation');
  });

  it('there are as many data files as the client loads', () => {
    const { name } = chunksOf('m.onnx', 1);
    expect([name(0), name(1), name(99)]).toEqual(['m.onnx_data', 'm.onnx_data_1', 'm.onnx_data_99']);
    expect(() => name(100)).toThrow(expect.objectContaining({ code: 'E_LIMIT' }));
  });

  it('data files of a larger model go with it, and no others', async () => {
    const folder = fresh();
    const split = { externalData: true, shardSize: 4_000 };
    const data = (name: string): string[] =>
      readdirSync(path.join(folder, 'onnx')).filter((file) => file.startsWith(`${name}.onnx_data`));
    const first = await preset(BERT, folder, split);
    const { 'model_int8.onnx': chunks = 0 } = first.externalData;
    expect(chunks).toBeGreaterThan(2);
    expect(data('model_int8')).toHaveLength(chunks);
    // What two variants share is copied, and each has data files of its own.
    const joined = (name: string): Buffer =>
      Buffer.concat(data(name).map((file) => readFileSync(path.join(folder, 'onnx', file))));
    expect(joined('model_quantized').equals(joined('model_int8'))).toBe(true);
    const alone = path.join(folder, 'onnx/model_int8.onnx');
    const own = path.join(fresh(), 'model_int8.onnx');
    mkdirSync(path.dirname(own));
    await quantizeModel(
      BERT,
      own,
      {
        ...{ scheme: 'int8-dynamic', validate: 'none', device: 'cpu', sync: false, externalData: true },
        dataFiles: chunksOf('model_int8.onnx', 4_000),
      },
      testContext(),
    );
    expect(readFileSync(alone).equals(readFileSync(own))).toBe(true);

    writeFileSync(path.join(folder, 'onnx/other.onnx_data_1'), 'mine');
    const second = await preset(BERT, folder, { externalData: true, force: true });
    expect(second.externalData['model_int8.onnx']).toBe(1);
    expect(data('model_int8')).toEqual(['model_int8.onnx_data']);
    await preset(BERT, folder, { force: true });
    expect(readdirSync(path.join(folder, 'onnx')).filter((name) => name.includes('_data'))).toEqual([
      'other.onnx_data_1',
    ]);
  });

  it('nothing is written where one file stands in the way', async () => {
    const folder = fresh();
    mkdirSync(path.join(folder, 'onnx'), { recursive: true });
    writeFileSync(path.join(folder, 'onnx/model_q4.onnx'), 'mine');
    await expect(preset(BERT, folder)).rejects.toMatchObject({ code: 'E_EXISTS' });
    expect(readdirSync(path.join(folder, 'onnx'))).toEqual(['model_q4.onnx']);
  });

  it('a plan writes nothing, not even folders', async () => {
    const folder = fresh();
    const report = await preset(BERT, folder, { dryRun: true });
    expect(report.variants.every(({ outcome }) => outcome === 'planned')).toBe(true);
    expect(existsSync(folder)).toBe(false);
    expect(schemaErrors('quantize-preset', report)).toEqual([]);
  });
});

describe('models that have no variants', () => {
  it('are refused before anything is written', async () => {
    const folder = fresh();
    const weights = path.resolve('fixtures/trained/digits_cnn/model.safetensors');
    await expect(preset(weights, folder)).rejects.toMatchObject({ code: 'E_UNSUPPORTED' });
    const quantized = path.resolve('fixtures/onnx/digits_mlp.nbits4.onnx');
    await expect(preset(quantized, folder)).rejects.toMatchObject({ code: 'E_UNSUPPORTED' });
    expect(existsSync(folder)).toBe(false);
  });
});

describe('mlser quantize --preset', () => {
  const args = (folder: string, ...more: string[]): string[] => [
    ...['quantize', BERT, folder, '--preset', 'transformers.js', '--no-sync'],
    ...more,
  ];

  it('exits 1 where a variant failed, and tells it; the rest is there', () => {
    const folder = fresh();
    const ran = mlser(args(folder, '--tolerance', '0.03'));
    expect(ran.code).toBe(1);
    expect(ran.out).toMatch(/5 files for transformers\.js, 3 failed/);
    expect(ran.out).toMatch(/q4 +model_q4\.onnx.*failed, not written/);
    expect(ran.err).toMatch(/OUTPUT_DIFFERS.*q4f16: /);
    expect(readdirSync(path.join(folder, 'onnx'))).toHaveLength(5);
  });

  it('has a JSON report as its schema says, and a page', () => {
    const folder = fresh();
    const page = path.join(root, 'page.html');
    const ran = mlser(args(folder, '--external-data', '--json', '--validate', 'weights', '--report', page));
    expect([ran.code, ran.err]).toEqual([0, '']);
    const report: PresetReport = JSON.parse(ran.out);
    expect(schemaErrors('quantize-preset', report)).toEqual([]);
    expect(Object.keys(report.externalData)).toHaveLength(8);
    expect(readFileSync(page, 'utf8')).toContain('model_bnb4.onnx');
  });

  it('leaves no room for what it decides', async () => {
    const folder = fresh();
    for (const more of [
      ['--scheme', 'fp16'],
      ['--block', '32'],
      ['--set', 'a=keep'],
      ['--no-keep-io'],
      ['--to', 'onnx'],
    ]) {
      const io = fakeIo();
      expect(await main(args(folder, ...more), io)).not.toBe(0);
      expect(io.text().err).toContain(`${more[0]} does not go with --preset`);
    }
    const io = fakeIo();
    expect(await main(['quantize', BERT, folder, '--preset', 'other'], io)).not.toBe(0);
    expect(io.text().err).toContain('use transformers.js');
    const other = fakeIo();
    const words = ['quantize', BERT, `${folder}.onnx`, '--scheme', 'fp16', '--shard-size', '1MB'];
    expect(await main(words, other)).not.toBe(0);
    expect(other.text().err).toContain('--shard-size goes with --preset');
    expect(existsSync(folder)).toBe(false);
  });
});
