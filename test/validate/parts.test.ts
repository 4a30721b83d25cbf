import { copyFileSync, mkdirSync, symlinkSync } from 'node:fs';
import { afterAll, describe, expect, it } from 'vitest';
import { partition } from '../../src/graph/partition.js';
import { quantizeModel } from '../../src/operations/quantize/quantize.js';
import { startRuntime } from '../../src/runtime/process.js';
import type { SessionSettings } from '../../src/runtime/protocol.js';
import type { Value } from '../../src/runtime/values.js';
import { inParts } from '../../src/validate/open-session.js';
import { proveWeights } from '../../src/validate/proof.js';
import { type Runnable, runnable } from '../../src/validate/runnable.js';
import { testContext } from '../support/context.js';
import { open, scratch } from './support.js';

const runtime = startRuntime();
const folder = scratch();
afterAll(async () => {
  await runtime.close();
  folder.remove();
});
const settings: SessionSettings = { providers: ['cpu'], threads: 1, lean: true };
const digits = 'fixtures/trained/digits_cnn';
const images: ReadonlyMap<string, Value> = new Map([
  [
    'x',
    {
      type: 'float32',
      dims: [3, 1, 8, 8],
      data: Float32Array.from({ length: 192 }, (_, i) => (i % 17) / 16),
    },
  ],
]);

async function openRunnable(file: string): Promise<Runnable> {
  const { model, files } = await open(file);
  const target = runnable(model, files);
  if (!target) throw new Error('not runnable');
  return target;
}

describe('a graph run in parts', () => {
  it('gives what it gives as a whole', async () => {
    const target = await openRunnable(`${digits}/model.onnx`);
    const parts = partition(target.model, 4096);
    expect(parts?.length).toBeGreaterThan(2);
    const nodes = parts?.reduce((sum, part) => sum + part.nodes.length, 0);
    expect(nodes).toBe(target.graph.nodes);
    const session = inParts(target, runtime, settings, parts ?? []);
    expect(session.inputs).toEqual([{ name: 'x', type: 'float32', shape: ['batch', 1, 8, 8] }]);
    const whole = await runtime.create({ path: `${digits}/model.onnx` }, settings, 'whole');
    const { outputs } = await session.run(images);
    expect(outputs).toEqual((await whole.run(images)).outputs);
    await session.release();
  });

  it.each(['int8-weights', 'palette-4', 'nf4'])('hands on no weights that %s turns back', async (scheme) => {
    const file = folder.at(`${scheme}.onnx`);
    const options = { scheme, validate: 'structure', device: 'cpu' } as const;
    await quantizeModel(`${digits}/model.onnx`, file, options, testContext());
    const target = await openRunnable(file);
    const parts = partition(target.model, 60_000) ?? [];
    expect(parts.length).toBeGreaterThan(1);
    // Each part gives the one activation that the next one takes.
    expect(parts.map(({ gives }) => gives.length)).toEqual(parts.map(() => 1));
    const session = inParts(target, runtime, settings, parts);
    const whole = await runtime.create({ path: file }, settings, 'whole');
    expect((await session.run(images)).outputs).toEqual((await whole.run(images)).outputs);
    await session.release();
  });

  it('is not cut where there is nothing to gain', async () => {
    const target = await openRunnable(`${digits}/model.onnx`);
    expect(partition(target.model, 1 << 20)).toBeUndefined();
  });
});

describe.skipIf(process.platform === 'win32')('weights behind a link out of the folder', () => {
  it('are handed over, since the runtime does not follow it', async () => {
    mkdirSync(folder.at('blobs'));
    mkdirSync(folder.at('snapshot'));
    copyFileSync(`${digits}/model.safetensors`, folder.at('blobs/0a1b'));
    symlinkSync('../blobs/0a1b', folder.at('snapshot/model.safetensors'));
    const { model, files } = await open(folder.at('snapshot/model.safetensors'));
    const proof = await proveWeights(model, files, runtime, testContext());
    expect(proof).toMatchObject({ read: 0, fed: model.tensors.length, findings: [] });
  });

  it('are loaded as a whole by a graph', async () => {
    copyFileSync(`${digits}/model.onnx`, folder.at('blobs/2c3d'));
    symlinkSync('../blobs/2c3d', folder.at('snapshot/model.onnx'));
    const target = await openRunnable(folder.at('snapshot/model.onnx'));
    const session = inParts(target, runtime, settings, partition(target.model, 4096) ?? []);
    expect((await session.run(images)).outputs.get('logits')?.dims).toEqual([3, 10]);
  });
});
