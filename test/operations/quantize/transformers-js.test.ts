import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { env, ModelRegistry, type PipelineType, pipeline } from '@huggingface/transformers';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { quantizePreset } from '../../../src/operations/quantize/preset.js';
import type { PresetReport } from '../../../src/operations/quantize/report.js';
import { testContext } from '../../support/context.js';

/** The client itself loads what the preset writes, from a folder and without a network. */
const MODEL = path.resolve('fixtures/transformers/tiny-bert');
const TEXTS = ['the tensors are exported', 'how are you', 'jump over the fox and the box', 'hello 12 67?'];
const TASK = 'text-classification' satisfies PipelineType;

/** How far a score may be from that of f32: the fixture has random weights, so that every bit shows in them. */
const BOUNDS = {
  ...{ fp32: 0, fp16: 1e-3, q8: 0.02, int8: 0.02, uint8: 0.02 },
  ...{ q4: 0.08, q4f16: 0.08, bnb4: 0.08 },
} as const;
type DType = keyof typeof BOUNDS;
const DTYPES = Object.keys(BOUNDS) as DType[];
const SUFFIXES = ['', '_fp16', '_quantized', '_int8', '_uint8', '_q4', '_q4f16', '_bnb4'];

const root = mkdtempSync(path.join(tmpdir(), 'mlser-client-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** A model folder with everything but graphs. */
function folderFor(name: string): string {
  const folder = path.join(root, name);
  cpSync(MODEL, folder, { recursive: true, filter: (file) => path.basename(file) !== 'onnx' });
  return folder;
}

const write = (
  folder: string,
  more: Partial<Parameters<typeof quantizePreset>[2]> = {},
  input = path.join(MODEL, 'onnx/model.onnx'),
): Promise<PresetReport> =>
  quantizePreset(
    input,
    folder,
    { preset: 'transformers.js', validate: 'weights', device: 'cpu', sync: false, ...more },
    testContext(),
  );

/** Scores by text, in the order of the labels. */
async function scores(name: string, options: object): Promise<number[][]> {
  const classify = await pipeline(TASK, name, options);
  try {
    const found = (await classify(TEXTS, { top_k: 3 })) as unknown as { label: string; score: number }[][];
    return found.map((one) => one.sort((a, b) => (a.label < b.label ? -1 : 1)).map(({ score }) => score));
  } finally {
    await classify.dispose();
  }
}

const farthest = (a: readonly (readonly number[])[], b: readonly (readonly number[])[]): number =>
  Math.max(...a.flatMap((row, i) => row.map((x, j) => Math.abs(x - (b[i]?.[j] ?? Number.NaN)))));

let plain: PresetReport;
let chunked: PresetReport;
beforeAll(async () => {
  env.allowRemoteModels = false;
  env.localModelPath = `${root}/`;
  env.fetch = () => Promise.reject(new Error('nothing may be fetched'));
  plain = await write(folderFor('plain'));
  chunked = await write(folderFor('chunked'), {
    externalData: true,
    shardSize: 40_000,
    validate: 'structure',
  });
});

describe('the files of --preset transformers.js', () => {
  it('have the names that the client looks for', () => {
    expect(new Set(readdirSync(path.join(root, 'plain/onnx')))).toEqual(
      new Set(SUFFIXES.map((suffix) => `model${suffix}.onnx`)),
    );
    expect(plain.variants.map(({ dtype, outcome }) => [dtype, outcome])).toEqual(
      DTYPES.map((dtype) => [dtype, 'written']),
    );
    expect(plain.externalData).toEqual({});
  });

  it.each(DTYPES)('are loaded by it and classify as f32 does: %s', async (dtype) => {
    const f32 = await scores('plain', { dtype: 'fp32' });
    const found = await scores('plain', { dtype });
    expect(found.map((row) => row.length)).toEqual(TEXTS.map(() => 3));
    expect(farthest(found, f32)).toBeLessThanOrEqual(BOUNDS[dtype]);
    if (dtype !== 'fp32') expect(farthest(found, f32)).toBeGreaterThan(0);
  });

  it('get smaller', () => {
    const bytes = new Map(plain.variants.map((variant) => [variant.dtype, variant.bytes]));
    const size = (dtype: DType): number => bytes.get(dtype) ?? Number.NaN;
    expect(size('fp16')).toBeLessThan(size('fp32') * 0.7);
    expect(size('q8')).toBeLessThan(size('fp16'));
    expect(size('q4f16')).toBeLessThan(size('q4'));
  });
});

describe('data files of --preset transformers.js --external-data', () => {
  it('have the names of the client, counted in the report', () => {
    const names = readdirSync(path.join(root, 'chunked/onnx'));
    expect(chunked.externalData['model.onnx']).toBe(3);
    for (const [file, count] of Object.entries(chunked.externalData))
      expect(names.filter((name) => name.startsWith(`${file}_data`))).toEqual(
        Array.from({ length: count }, (_, i) => `${file}_data${i === 0 ? '' : `_${i}`}`),
      );
    expect(Object.keys(chunked.externalData)).toHaveLength(DTYPES.length);
  });

  it.each(DTYPES)('are loaded by it: %s', async (dtype) => {
    const { externalData: use_external_data_format } = chunked;
    const found = await scores('chunked', { dtype, use_external_data_format });
    expect(found).toEqual(await scores('plain', { dtype }));
  });

  it('are named in config.json as the report says', async () => {
    const folder = folderFor('configured');
    cpSync(path.join(root, 'chunked/onnx'), path.join(folder, 'onnx'), { recursive: true });
    const file = path.join(folder, 'config.json');
    const config = JSON.parse(readFileSync(file, 'utf8'));
    const withData = (use_external_data_format: object): void =>
      writeFileSync(
        file,
        JSON.stringify({ ...config, 'transformers.js_config': { use_external_data_format } }),
      );
    withData(chunked.externalData);
    expect(await scores('configured', { dtype: 'q4' })).toEqual(await scores('plain', { dtype: 'q4' }));
    for (const dtype of DTYPES) {
      const files = await ModelRegistry.get_model_files('configured', { dtype });
      const graphs = files.filter((name) => name !== 'config.json');
      expect(graphs.length, dtype).toBeGreaterThan(1);
      for (const name of graphs) expect(existsSync(path.join(folder, name)), name).toBe(true);
    }
  });

  it('are needed: the weights are in them', async () => {
    const folder = folderFor('without');
    cpSync(path.join(root, 'chunked/onnx'), path.join(folder, 'onnx'), { recursive: true });
    rmSync(path.join(folder, 'onnx/model_q4.onnx_data'));
    await expect(scores('without', { dtype: 'q4' })).rejects.toThrow(/model_q4\.onnx_data/);
  });
});

/** The runtime of browsers, as the client depends on it, which runs in Node as well. */
describe('onnxruntime-web', () => {
  interface Web {
    readonly env: { readonly wasm: { numThreads: number } };
    readonly InferenceSession: {
      create(
        model: Uint8Array,
        options: object,
      ): Promise<{
        run(feeds: object): Promise<{ readonly logits: { readonly data: Float32Array } }>;
        release(): Promise<void>;
      }>;
    };
    readonly Tensor: new (
      type: string,
      data: BigInt64Array | Float32Array,
      dims: readonly number[],
    ) => object;
  }
  const client = createRequire(createRequire(import.meta.url).resolve('@huggingface/transformers'));
  const web = client('onnxruntime-web') as Web;
  web.env.wasm.numThreads = 1;

  /** Runs a graph of a folder, with its data files as a browser would hand them over. */
  async function run(folder: string, file: string, feeds: object): Promise<number[]> {
    const at = (name: string): string => path.join(root, folder, 'onnx', name);
    const names = readdirSync(at('')).filter((name) => name.startsWith(`${file}_`));
    const session = await web.InferenceSession.create(readFileSync(at(file)), {
      executionProviders: ['wasm'],
      externalData: names.map((name) => ({ path: name, data: readFileSync(at(name)) })),
    });
    const { logits } = await session.run(feeds);
    await session.release();
    return [...logits.data];
  }

  const ids = (values: readonly number[]) =>
    new web.Tensor('int64', BigInt64Array.from(values, BigInt), [1, values.length]);
  const TOKENS = {
    input_ids: ids([2, 128, 131, 130, 3]),
    attention_mask: ids([1, 1, 1, 1, 1]),
    token_type_ids: ids([0, 0, 0, 0, 0]),
  };

  it('runs every variant with its data files as buffers', async () => {
    const f32 = await run('chunked', 'model.onnx', TOKENS);
    expect(f32).toHaveLength(3);
    for (const suffix of SUFFIXES.slice(1)) {
      const found = await run('chunked', `model${suffix}.onnx`, TOKENS);
      expect(found, suffix).toHaveLength(3);
      expect(farthest([found], [f32]), suffix).toBeLessThan(suffix === '_fp16' ? 0.002 : 0.1);
    }
  });

  it('computes from every variant of a model with Conv what onnxruntime does', async () => {
    await write(path.join(root, 'cnn'), {}, path.resolve('fixtures/trained/digits_cnn/model.onnx'));
    const image = Float32Array.from({ length: 64 }, (_, i) => ((i * 7) % 17) / 16);
    const dims = [1, 1, 8, 8];
    for (const suffix of SUFFIXES) {
      const file = `model${suffix}.onnx`;
      const found = await run('cnn', file, { x: new web.Tensor('float32', image, dims) });
      const session = await InferenceSession.create(path.join(root, 'cnn/onnx', file));
      const native = await session.run({ x: new Tensor('float32', image, dims) });
      await session.release();
      const wanted = Array.from(native['logits']?.data as Float32Array);
      const reach = Math.max(...wanted.map(Math.abs));
      expect(found, suffix).toHaveLength(10);
      // Activations in 8 bits may fall on either side of a border between two integers.
      expect(farthest([found], [wanted]), suffix).toBeLessThan(
        reach * (/int8|quant/.test(suffix) ? 0.05 : 0.005),
      );
    }
  });
});

describe('variants that fail', () => {
  it('are told and not written, and stop no other', async () => {
    const folder = path.join(root, 'strict');
    // Four bits move the outputs by more than that; eight and sixteen do not.
    const report = await write(folder, { validate: 'run', tolerance: 0.03 });
    const outcomes = Object.fromEntries(report.variants.map(({ dtype, outcome }) => [dtype, outcome]));
    expect(outcomes).toEqual({
      ...{ fp32: 'written', fp16: 'written', q8: 'written', int8: 'written', uint8: 'written' },
      ...{ q4: 'failed', q4f16: 'failed', bnb4: 'failed' },
    });
    for (const { file, outcome, findings, files } of report.variants) {
      expect(existsSync(path.join(folder, 'onnx', file)), file).toBe(outcome === 'written');
      expect(files.length > 0, file).toBe(outcome === 'written');
      expect(findings.some(({ severity }) => severity === 'error')).toBe(outcome === 'failed');
    }
  });
});
