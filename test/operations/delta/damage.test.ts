import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { type Model, tensorMap } from '../../../src/core/model.js';
import { readTensor } from '../../../src/core/tensor.js';
import { isMlserError, type MlserError } from '../../../src/errors.js';
import { decodeManifest } from '../../../src/formats/mlck/decode.js';
import { encodeManifest } from '../../../src/formats/mlck/encode.js';
import { encodeFooter, readFrame } from '../../../src/formats/mlck/frame.js';
import type { TensorRecord } from '../../../src/formats/mlck/manifest.js';
import { reader } from '../../../src/formats/mlck/reader.js';
import { memorySource } from '../../../src/io/memory.js';
import { verifyDelta } from '../../../src/operations/delta/verify.js';
import { withModel } from '../../../src/operations/open.js';
import { checkpointModel } from '../../support/checkpoint-model.js';
import {
  apply,
  checkpoint,
  context,
  create,
  modelOf,
  newFolder,
  noise,
  nudged,
  refusal,
  save,
  tensor,
} from '../../support/deltas.js';
import { memoryFiles } from '../../support/memory-files.js';
import { mutations, prefixes } from '../../support/mutate.js';

const folder = newFolder();
const at = (name: string): string => path.join(folder, name);
const [base, next] = [checkpoint('step0180.pt'), checkpoint('step0200.pt')];

/** A delta with every way to store a tensor, and every kind of metadata and training value. */
function small(): readonly [from: Model, to: Model] {
  const state = checkpointModel();
  const [a, b] = [noise(4000, 3), noise(4000, 4)];
  const from = [
    tensor('few', 'f32', [1000], a),
    tensor('many', 'f32', [1000], b),
    tensor('same', 'f32', [1000], a.slice().reverse()),
  ];
  const to = [
    tensor('few', 'f32', [1000], nudged(a, 400)),
    tensor('many', 'f32', [1000], nudged(b, 4)),
    tensor('same', 'f32', [1000], a.slice().reverse()),
    tensor('zeros', 'f32', [1000], new Uint8Array(4000)),
    tensor('new', 'bf16', [1000], noise(2000, 8)),
  ];
  return [
    { ...state, tensors: [...state.tensors, ...from] },
    { ...state, tensors: [...state.tensors, ...to] },
  ];
}
const [from, to] = small();
const meant = tensorMap(to);
const wanted = new Map<string, Uint8Array>();
let good: Buffer = Buffer.alloc(0);

beforeAll(async () => {
  await save(from, at('from.mlck'));
  await save(to, at('to.mlck'));
  const report = await create(at('from.mlck'), at('to.mlck'), at('small.mlck'));
  const kinds = new Set(report.tensors.map(({ action }) => action));
  expect([...kinds].sort()).toEqual([
    'alias',
    'base',
    'delta',
    'store',
    ...(kinds.has('twin') ? ['twin'] : []),
  ]);
  good = readFileSync(at('small.mlck'));
  for (const [name, each] of meant) wanted.set(name, await readTensor(each));
});

/** Reads all of a damaged delta: the error, or whether it says the same as the whole one. */
async function readAll(bytes: Uint8Array): Promise<MlserError | 'same' | 'other'> {
  try {
    const files = memoryFiles('small.mlck', new Map([['small.mlck', bytes]]));
    const model = await reader.read(files, { findBase: async () => from });
    let same = model.tensors.length === meant.size;
    for (const each of model.tensors) {
      const expected = wanted.get(each.info.name);
      const found = await readTensor(each);
      if (!expected || Buffer.compare(found, expected) !== 0) same = false;
    }
    return same ? 'same' : 'other';
  } catch (error) {
    if (!isMlserError(error)) throw error;
    return error;
  }
}

describe('one byte of a delta', () => {
  it('changed anywhere is a coded error, or means the same', async () => {
    const parts = { header: 0, data: 0, manifest: 0, footer: 0 };
    const manifestAt = Number(good.readBigUInt64LE(good.length - 64));
    for (let i = 0; i < good.length; i += i < 64 || i >= manifestAt ? 1 : 3) {
      const copy = Uint8Array.from(good);
      copy[i] = (copy[i] ?? 0) ^ (1 << (i % 8));
      const found = await readAll(copy);
      expect(found, `byte ${i}`).not.toBe('other');
      if (found === 'same') {
        // What means nothing: the rest of the header, and the gaps between chunks.
        expect(good[i], `byte ${i}`).toBe(0);
        expect(i).toBeLessThan(manifestAt);
        continue;
      }
      if (!isMlserError(found)) continue;
      const part = i < 64 ? 'header' : i < manifestAt ? 'data' : i < good.length - 64 ? 'manifest' : 'footer';
      parts[part]++;
      expect(found.code).toMatch(
        part === 'data' || part === 'manifest'
          ? /^E_INTEGRITY$/
          : /^E_(INTEGRITY|MALFORMED|TRUNCATED|UNSUPPORTED)$/,
      );
      if (part === 'data') expect(found.details, `byte ${i}`).toMatchObject({ tensor: expect.any(String) });
    }
    expect(Math.min(...Object.values(parts))).toBeGreaterThan(9);
  });

  it('of a real one names the tensor, however it is read', async () => {
    await create(base, next, at('real.mlck'));
    const whole = readFileSync(at('real.mlck'));
    const manifestAt = Number(whole.readBigUInt64LE(whole.length - 64));
    for (const share of [0.1, 0.5, 0.9]) {
      const copy = Uint8Array.from(whole);
      const byte = 64 + Math.floor((manifestAt - 128) * share);
      copy[byte] = (copy[byte] ?? 0) ^ 4;
      writeFileSync(at('damaged.mlck'), copy);
      for (const threads of [1, 2]) {
        const error = await refusal(apply(base, [at('damaged.mlck')], at('out.pt'), { ...context, threads }));
        expect(error).toMatchObject({
          code: 'E_INTEGRITY',
          details: { tensor: expect.any(String), chunk: 0 },
        });
        expect(error.message).toContain('damaged.mlck');
      }
      const work = { ...context, bases: [base] };
      const report = await verifyDelta(at('damaged.mlck'), work);
      expect(report).toMatchObject({ passed: false, checks: [{ error: { code: 'E_INTEGRITY' } }] });
    }
  });

  it('of its base is told too', async () => {
    const bytes = Uint8Array.from(readFileSync(at('from.mlck')));
    const place = Buffer.from(bytes).indexOf(noise(4000, 4).subarray(0, 100));
    bytes[place + 50] = (bytes[place + 50] ?? 0) ^ 1;
    writeFileSync(at('from.mlck'), bytes);
    const error = await refusal(apply(at('from.mlck'), [at('small.mlck')], at('out.mlck')));
    expect(error.code).toMatch(/^E_(INTEGRITY|BASE_MISMATCH)$/);
    await save(from, at('from.mlck'));
  });
});

describe('mutations of a delta', () => {
  it('end in a model or in a coded error, quickly, and in little memory', async () => {
    const started = performance.now();
    const counts = new Map<string, number>();
    for (const bytes of [...prefixes(good, 60), ...mutations(good, 600, 'delta')]) {
      const found = await readAll(bytes);
      const outcome = typeof found === 'string' ? found : found.code;
      counts.set(outcome, (counts.get(outcome) ?? 0) + 1);
    }
    expect(counts.get('other')).toBeUndefined();
    expect(counts.get('E_INTEGRITY')).toBeGreaterThan(50);
    expect(counts.get('E_TRUNCATED')).toBeGreaterThan(50);
    expect(performance.now() - started).toBeLessThan(30_000);
    expect(process.memoryUsage().rss).toBeLessThan(700 * 1024 * 1024);
  });

  it('signed again, so that only the meaning is wrong, do too', async () => {
    const { manifest: bytes, manifestOffset, features } = await readFrame(memorySource(good, 'small.mlck'));
    const manifest = await decodeManifest(bytes, 'small.mlck');
    type Change = (record: TensorRecord) => Partial<TensorRecord>;
    const signed = async (change: Change, flags = features): Promise<MlserError | 'same' | 'other'> => {
      const tensors = manifest.tensors.map((record) => ({ ...record, ...change(record) }));
      const encoded = await encodeManifest({ ...manifest, tensors });
      const footer = encodeFooter(manifestOffset, encoded, flags);
      return readAll(Buffer.concat([good.subarray(0, manifestOffset), encoded, footer]));
    };
    expect(await signed(() => ({}))).toBe('same');
    const few = (more: Partial<TensorRecord>) => (record: TensorRecord) =>
      record.name === 'few' ? more : {};
    const same = (more: Partial<TensorRecord>) => (record: TensorRecord) =>
      record.name === 'same' ? more : {};
    for (const [what, change, code] of [
      ['a base that is not there', few({ base: 'no such tensor' }), 'E_BASE_MISMATCH'],
      ['a base of another length', few({ base: 'zeros' }), 'E_BASE_MISMATCH'],
      ['another base', few({ base: 'many' }), 'E_INTEGRITY'],
      ['no base', few({ base: undefined }), 'E_MALFORMED'],
      ['no sums of results', few({ rawCrcs: [] }), 'E_MALFORMED'],
      ['too many sums of results', few({ rawCrcs: [1, 2] }), 'E_MALFORMED'],
      ['another sum of the result', few({ rawCrcs: [1] }), 'E_INTEGRITY'],
      ['another hash', few({ sha256: 'ab'.repeat(32) }), 'E_INTEGRITY'],
      ['a codec that is not known', few({ codecs: [99] }), 'E_UNSUPPORTED'],
      ['the bytes of a base and of another tensor', same({ sameBytesAs: 'few' }), 'E_MALFORMED'],
      ['the bytes of a base that are others', same({ base: 'many' }), 'E_INTEGRITY'],
      ['the bytes of a base that is not there', same({ base: 'x' }), 'E_BASE_MISMATCH'],
      ['the bytes of a base without a sum', same({ rawCrcs: [] }), 'E_MALFORMED'],
    ] as const) {
      const found = await signed(change);
      expect(isMlserError(found) ? found.code : found, what).toBe(code);
    }
    // A footer that says it is no delta, and a manifest that does.
    const plain = await signed(() => ({}), 0);
    expect(plain).toMatchObject({ code: 'E_MALFORMED' });
    for (const codec of [1, 2, 3, 4, 5, 16, 17, 18, 24, 25]) {
      const found = await signed((record) => ({ codecs: record.codecs.map(() => codec) }));
      expect(isMlserError(found), `codec ${codec}: ${found}`).toBe(true);
    }
  });
});

describe('a base that says another type or length', () => {
  it('is refused before a byte is read', async () => {
    const wrong = modelOf([
      tensor('few', 'i32', [1000]),
      tensor('many', 'f32', [999]),
      tensor('same', 'f32', [1000]),
    ]);
    await save(wrong, at('wrong.safetensors'));
    const open = withModel(at('small.mlck'), { bases: [at('wrong.safetensors')] }, async () => {});
    expect(await refusal(open)).toMatchObject({
      code: 'E_BASE_MISMATCH',
      details: { tensor: expect.any(String) },
    });
  });
});
