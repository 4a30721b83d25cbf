import { describe, expect, it } from 'vitest';
import type { DeltaBase } from '../../../src/core/format.js';
import { type Model, tensorMap } from '../../../src/core/model.js';
import type { Prediction } from '../../../src/core/prediction.js';
import { memoryTensor, readTensor, type TensorSource } from '../../../src/core/tensor.js';
import { isMlserError } from '../../../src/errors.js';
import { encodeManifest } from '../../../src/formats/mlck/encode.js';
import { encodeFooter } from '../../../src/formats/mlck/frame.js';
import { FEATURE_DELTA, FEATURE_PREDICTED, FOOTER_BYTES } from '../../../src/formats/mlck/layout.js';
import type { Manifest, TensorRecord } from '../../../src/formats/mlck/manifest.js';
import { reader } from '../../../src/formats/mlck/reader.js';
import { adamSecond, adamWeight } from '../../../src/kernels/reference/adam.js';
import { hashModel } from '../../../src/operations/hashes.js';
import { bytesOf, floats } from '../../kernels/samples.js';
import { testContext } from '../../support/context.js';
import { memoryFiles } from '../../support/memory-files.js';
import { mutations } from '../../support/mutate.js';
import { manifestOf, write } from './files.js';

const f32 = (...values: number[]): number[] => values.map(Math.fround);
const WEIGHT = f32(0.999, -0.01, 0.5, 1e-8);
const SECOND = f32(0.1, 0.95, 0.05);
const PREDICTIONS: ReadonlyMap<string, Prediction> = new Map([
  ['w', { kind: 'adam-weight', first: 'm', second: 'v', scalars: WEIGHT }],
  ['v', { kind: 'adam-second', first: 'm', scalars: SECOND }],
]);

type Values = Record<'w' | 'm' | 'v', Float32Array>;

/** The first step, or the one after another: as the reference computes it, but for a few elements. */
function step(count: number, before?: Values): Values {
  const seed = before ? Math.round((before.m[0] ?? 0) * 1e6) : 1;
  const m = floats('weights', count, seed);
  const square = floats('weights', count, seed + 1).map((value) => value * value);
  if (!before) return { w: floats('weights', count, 7), m, v: square };
  const v = adamSecond(before.v, before.m, m, SECOND);
  const w = adamWeight(before.w, m, v, WEIGHT);
  for (let i = 0; i < count; i += 999) [w[i], v[i]] = [i, i / 3];
  return { w, m, v };
}

/** Three tensors; what they are predicted from stands behind them. */
const modelOf = (values: Values, other: readonly TensorSource[] = []): Model => ({
  format: 'test',
  tensors: [
    ...Object.entries(values).map(([name, array]) =>
      memoryTensor({ name, dtype: 'f32', shape: [array.length] }, bytesOf(array)),
    ),
    ...other,
  ].sort((a, b) => (a.info.name < b.info.name ? 1 : -1)),
  aliases: new Map(),
  metadata: new Map(),
  findings: [],
});

async function against(
  base: Model,
  predictions: ReadonlyMap<string, Prediction> = PREDICTIONS,
): Promise<DeltaBase> {
  const { tensors: hashes, content } = await hashModel(base, testContext(1));
  const depth = (base.delta?.depth ?? 0) + 1;
  return { model: base, content, hashes, info: { base: content, depth }, predictions };
}

const opened = (bytes: Uint8Array, base: Model | undefined, threads = 1): Promise<Model> =>
  reader.read(memoryFiles('d.mlck', new Map([['d.mlck', bytes]])), { threads, findBase: async () => base });

async function contents(model: Model): Promise<Record<string, Uint8Array>> {
  const all: Record<string, Uint8Array> = {};
  for (const tensor of model.tensors) all[tensor.info.name] = await readTensor(tensor);
  return all;
}

const SMALL = 3000;
const first = step(SMALL);
const second = step(SMALL, first);
const [base, next] = [modelOf(first), modelOf(second)];
const delta = await write(next, { delta: await against(base) });

/** The delta with another manifest, which its footer agrees with. */
async function manifestly(
  change: (records: TensorRecord[], manifest: Manifest) => Partial<Manifest> | readonly TensorRecord[],
  features = FEATURE_DELTA | FEATURE_PREDICTED,
): Promise<Uint8Array> {
  const manifest = await manifestOf(delta);
  const found = change([...manifest.tensors], manifest);
  const changed = Array.isArray(found) ? { tensors: found as TensorRecord[] } : found;
  const bytes = await encodeManifest({ ...manifest, ...changed });
  const view = new DataView(delta.buffer, delta.byteOffset + delta.byteLength - FOOTER_BYTES);
  const offset = Number(view.getBigUint64(0, true));
  return Buffer.concat([delta.subarray(0, offset), bytes, encodeFooter(offset, bytes, features)]);
}

/** One record changed. */
const withRecord = (name: string, change: (record: TensorRecord) => Partial<TensorRecord>) =>
  manifestly((records) =>
    records.map((record) => (record.name === name ? { ...record, ...change(record) } : record)),
  );

describe('tensors that build on predictions', () => {
  it('take what was not foreseen, and come back', async () => {
    const { tensors } = await manifestOf(delta);
    const stored = new Map(tensors.map((record) => [record.name, record.storedLengths[0] ?? 0]));
    expect(tensors.map(({ name }) => name)).toEqual(['w', 'v', 'm']);
    expect(stored.get('w')).toBeLessThan(80);
    expect(stored.get('v')).toBeLessThan(80);
    expect(await contents(await opened(delta, base))).toEqual(await contents(next));
  });

  it('come back where nothing was foreseen rightly', async () => {
    const wrong: [string, Prediction][] = [...PREDICTIONS].map(([name, prediction]) => [
      name,
      { ...prediction, scalars: prediction.scalars.map((value) => -value) },
    ]);
    const bytes = await write(next, { delta: await against(base, new Map(wrong)) });
    expect(await contents(await opened(bytes, base))).toEqual(await contents(next));
    expect(bytes.byteLength).toBeGreaterThan(delta.byteLength);
  });

  it('may have several chunks, lie on top of each other, and be pulled in parts, at any number of threads', async () => {
    const count = 1_050_001;
    let values = step(count);
    let below = modelOf(values);
    for (let depth = 1; depth <= 3; depth++) {
      values = step(count, values);
      const wanted = modelOf(values);
      const written = await against(below);
      const bytes = await write(wanted, { delta: written }, 1);
      expect(Buffer.compare(bytes, await write(wanted, { delta: written }, 2)), 'the same file').toBe(0);
      expect(bytes.byteLength).toBeLessThan(count * 4.2);
      below = await opened(bytes, below, depth);
      expect(below.delta?.depth).toBe(depth);
      for (const tensor of below.tensors) {
        const whole = bytesOf(values[tensor.info.name as keyof Values]);
        expect(Buffer.compare(await readTensor(tensor), whole), tensor.info.name).toBe(0);
        const [start, end] = [(1 << 20) - 400, (1 << 20) + 804];
        const parts: Uint8Array[] = [];
        for await (const part of tensor.stream({ start, end })) parts.push(part);
        expect(Buffer.compare(Buffer.concat(parts), whole.subarray(start, end))).toBe(0);
      }
    }
  });

  it('say what changed since the base', async () => {
    const changed = new Map<string, number>();
    const { writer } = await import('../../../src/formats/mlck/writer.js');
    const { memoryOutput } = await import('../../support/memory-files.js');
    await writer.write(next, memoryOutput('d.mlck'), {
      ...testContext(1),
      options: { delta: await against(base) },
      stored: (tensors) => {
        for (const tensor of tensors) changed.set(tensor.name, tensor.changed);
      },
    });
    for (const [name, bytes] of changed) expect(bytes, name).toBeGreaterThan(SMALL * 3.9);
  });

  it('are not predicted from a twin, an alias, another length, or in a circle', async () => {
    const extra = new Float32Array(SMALL).fill(1);
    const tensor = (name: string, values = second.m): TensorSource =>
      memoryTensor({ name, dtype: 'f32', shape: [values.length] }, bytesOf(values));
    const old = modelOf(first, [tensor('a', extra), tensor('short', extra.subarray(1)), tensor('b', extra)]);
    const now = modelOf(second, [tensor('a'), tensor('short', extra.subarray(2)), tensor('b')]);
    const tied = { ...now, aliases: new Map([['b', 'w']]) };
    const from = (one: string, two = 'v'): Prediction => ({
      ...{ kind: 'adam-weight', scalars: WEIGHT, first: one, second: two },
    });
    for (const prediction of [
      from('a'),
      from('b'),
      from('short'),
      from('none'),
      from('m', 'none'),
      from('m', 'w'),
      from('v'),
    ]) {
      const predictions = new Map([['w', prediction], ...[...PREDICTIONS].slice(1)]);
      const bytes = await write(tied, { delta: await against(old, predictions) });
      const { tensors } = await manifestOf(bytes);
      const w = tensors.find(({ name }) => name === 'w');
      expect(w?.prediction, prediction.first).toBeUndefined();
      expect((await contents(await opened(bytes, old)))['v']).toEqual(bytesOf(second.v));
    }
  });
});

describe('damage to what is predicted from', () => {
  const failed = { code: 'E_INTEGRITY' };
  const broken = async (model: Model, name: string): Promise<Uint8Array> =>
    readTensor(tensorMap(model).get(name)!);

  it('in the file is noticed in what follows from it', async () => {
    const record = (await manifestOf(delta)).tensors.find(({ name }) => name === 'm')!;
    const copy = Uint8Array.from(delta);
    copy[record.offset + 100] = (copy[record.offset + 100] ?? 0) ^ 1;
    const model = await opened(copy, base);
    for (const name of ['w', 'v', 'm']) await expect(broken(model, name), name).rejects.toMatchObject(failed);
  });

  it.each(['w', 'm', 'v'] as const)('in the base (%s) is noticed in what follows from it', async (of) => {
    const other = { ...first, [of]: first[of].map((value) => value * 1.5) };
    const model = await opened(delta, modelOf(other));
    for (const name of { w: ['w'], m: ['v', 'w'], v: ['v', 'w'] }[of])
      await expect(broken(model, name), name).rejects.toMatchObject(failed);
  });

  it('in the numbers is noticed', async () => {
    for (const name of ['w', 'v']) {
      const bytes = await withRecord(name, ({ prediction }) => ({
        prediction: { ...prediction!, scalars: prediction!.scalars.map((value) => value * 1.001) },
      }));
      await expect(broken(await opened(bytes, base), name)).rejects.toMatchObject(failed);
    }
  });

  it('is no reason not to tell names; without a base, bytes are refused', async () => {
    const model = await opened(delta, undefined);
    expect(model.tensors.map(({ info }) => info.name)).toEqual(['w', 'v', 'm']);
    for (const name of ['w', 'v'])
      await expect(broken(model, name)).rejects.toMatchObject({ code: 'E_NOT_FOUND' });
  });
});

describe('a manifest that lies about predictions is refused:', () => {
  const weight = (change: Partial<Extract<Prediction, { kind: 'adam-weight' }>>) =>
    withRecord('w', () => ({
      prediction: { ...(PREDICTIONS.get('w') as Extract<Prediction, { kind: 'adam-weight' }>), ...change },
    }));
  const cases: Record<string, () => Promise<Uint8Array>> = {
    'a tensor that is not there': () => weight({ first: 'none' }),
    'a second one that is not there': () => weight({ second: '' }),
    itself: () => weight({ first: 'w' }),
    'itself, as the second one': () => weight({ second: 'w' }),
    'a first moment that is predicted': () => weight({ first: 'v' }),
    'a circle': () => withRecord('m', () => ({ base: 'm', prediction: PREDICTIONS.get('v')! })),
    'too few numbers': () => weight({ scalars: [1, 2, 3] }),
    'too many numbers': () => weight({ scalars: [1, 2, 3, 4, 5] }),
    'far too many numbers': () => weight({ scalars: new Array(1000).fill(1) }),
    'no base tensor': () => withRecord('w', () => ({ base: undefined })),
    'another length': () =>
      withRecord('m', () => ({ shape: [4], byteLength: 16, crcs: [0], storedLengths: [8] })),
    'another type': () => withRecord('m', () => ({ dtype: 'i32' })),
    'a type that is not predicted': () => withRecord('w', () => ({ dtype: 'i32' })),
    'an alias': () =>
      manifestly((records) =>
        records.map((record) => (record.name === 'm' ? { ...record, aliasOf: 'v' } : record)),
      ),
    'a twin': () => withRecord('m', () => ({ sameBytesAs: 'v' })),
    'a tensor with the bytes of the base': () =>
      withRecord('w', ({ rawCrcs }) => ({ sameAsBase: true, rawCrcs })),
    'a footer without the feature': () => manifestly((records) => records, FEATURE_DELTA),
    'the feature without predictions': () =>
      manifestly((records) => records.map((record) => ({ ...record, prediction: undefined }))),
    'no delta': () => manifestly(() => ({ delta: undefined }), FEATURE_PREDICTED),
  };

  it.each(Object.entries(cases))('%s', async (_, make) => {
    await expect(make().then((bytes) => opened(bytes, undefined))).rejects.toMatchObject({
      code: 'E_MALFORMED',
    });
  });

  it('anything in it that was changed ends in a model or a coded error', async () => {
    const view = new DataView(delta.buffer, delta.byteOffset + delta.byteLength - FOOTER_BYTES);
    const offset = Number(view.getBigUint64(0, true));
    const codes = new Set<string>();
    for (const copy of mutations(delta.subarray(offset, -FOOTER_BYTES), 400, 'predicted')) {
      const footer = encodeFooter(offset, copy, FEATURE_DELTA | FEATURE_PREDICTED);
      const bytes = Buffer.concat([delta.subarray(0, offset), copy, footer]);
      await opened(bytes, base)
        .then(contents)
        .catch((error: unknown) => {
          if (!isMlserError(error)) throw error;
          codes.add(error.code);
        });
    }
    expect([...codes]).toEqual(expect.arrayContaining(['E_MALFORMED', 'E_INTEGRITY']));
  });

  it('kinds of newer versions, by name', async () => {
    const kind = 'of a newer version' as 'adam-second';
    const bytes = await withRecord('w', () => ({ prediction: { kind, first: 'm', scalars: [] } }));
    await expect(opened(bytes, base)).rejects.toMatchObject({ code: 'E_UNSUPPORTED' });
  });

  it('a moment that the base lacks', async () => {
    const lacking = { ...base, tensors: base.tensors.filter(({ info }) => info.name !== 'm') };
    await expect(opened(delta, lacking)).rejects.toMatchObject({ code: 'E_BASE_MISMATCH' });
  });
});
