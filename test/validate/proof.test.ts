import { afterAll, describe, expect, it } from 'vitest';
import { DTYPES, type DType, dtypeFacts, tensorBytes } from '../../src/core/dtype.js';
import type { Model } from '../../src/core/model.js';
import { memoryTensor } from '../../src/core/tensor.js';
import { smallFloatValues } from '../../src/kernels/small-floats.js';
import { startRuntime } from '../../src/runtime/process.js';
import { proveWeights } from '../../src/validate/proof.js';
import { readingOf, segmentsOf, sessionsOf } from '../../src/validate/proof-plan.js';
import { testContext } from '../support/context.js';
import { modelOf, open, scratch, tensor, write } from './support.js';

const runtime = startRuntime();
const folder = scratch();
afterAll(async () => {
  await runtime.close();
  folder.remove();
});

const prove = async (file: string, change: (model: Model) => Model = (model) => model) => {
  const { model, files } = await open(file);
  const proof = await proveWeights(change(model), files, runtime, testContext());
  await files.close();
  return proof;
};

/** Every code of small types, a spread of values of the others; finite. */
function sample(dtype: DType, shape: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(tensorBytes(dtype, shape));
  for (let i = 0; i < bytes.length; i++) bytes[i] = (i * 37 + (i >> 8)) & 0xff;
  const { kind, bits } = dtypeFacts(dtype);
  if (kind === 'bool') return bytes.map((byte) => byte & 1);
  if (kind !== 'float' && kind !== 'complex') return bytes;
  const width = (kind === 'complex' ? bits / 2 : bits) / 8;
  if (bits === 8) {
    const values = smallFloatValues(dtype);
    return bytes.map((code) => (Number.isFinite(values[code]) ? code : 1));
  }
  if (bits < 8) return bytes;
  // A top byte below 0x60 keeps exponents small.
  return bytes.map((byte, i) => (i % width === width - 1 ? byte & 0x5f & 0x3f : byte));
}

const SAFETENSORS: readonly DType[] = DTYPES.filter(
  (dtype) => dtypeFacts(dtype).block === 1 && !['str', 'i4', 'i2', 'u4', 'u2', 'c32', 'c128'].includes(dtype),
);

describe('the runtime reads the written bytes', () => {
  it('of every type of a safetensors file', async () => {
    // More than a row, so that there is a rest too.
    const shape = [3, 1024 + 8];
    const known = (await import('../../src/formats/index.js')).formatById('safetensors')?.dtypes;
    const tensors = SAFETENSORS.filter((dtype) => known?.has(dtype)).map((dtype) =>
      memoryTensor({ name: `t.${dtype}`, dtype, shape }, sample(dtype, shape)),
    );
    expect(tensors.length).toBeGreaterThan(12);
    await write(modelOf(tensors), folder.at('all.safetensors'), 'safetensors');
    const proof = await prove(folder.at('all.safetensors'));
    expect(proof.findings).toEqual([]);
    expect(proof.read).toBe(tensors.length);
    expect(proof.fed).toBe(0);
  });

  it('as plain bytes where values are not finite', async () => {
    const tensors = [tensor('mask', [3], [0, -Infinity, NaN]), tensor('w', [2], [1, 2])];
    await write(modelOf(tensors), folder.at('odd.safetensors'), 'safetensors');
    expect(await prove(folder.at('odd.safetensors'))).toEqual({ read: 2, fed: 0, asBytes: 1, findings: [] });
  });

  it('straight out of archives, and handed over where they are compressed', async () => {
    const values = Array.from({ length: 5000 }, (_, i) => Math.fround(Math.sin(i)));
    const model = modelOf([tensor('w', [50, 100], values), tensor('empty', [0, 3], [])]);
    await write(model, folder.at('stored.npz'), 'npz');
    expect(await prove(folder.at('stored.npz'))).toEqual({ read: 1, fed: 0, asBytes: 0, findings: [] });
    await write(model, folder.at('deflated.npz'), 'npz', { compress: true });
    expect(await prove(folder.at('deflated.npz'))).toEqual({ read: 0, fed: 1, asBytes: 0, findings: [] });
  });

  it('and says so when what it reads is not what our reader reads', async () => {
    const values = Array.from({ length: 3000 }, (_, i) => i);
    await write(modelOf([tensor('w', [3000], values)]), folder.at('shifted.safetensors'), 'safetensors');
    const { findings } = await prove(folder.at('shifted.safetensors'), (model) => ({
      ...model,
      tensors: model.tensors.map(({ location, ...rest }) => ({
        ...rest,
        // One element further on: the bytes before it are the header's end.
        ...(location ? { location: { ...location, offset: location.offset - 4 } } : {}),
      })),
    }));
    expect(findings).toMatchObject([{ code: 'RUNTIME_READS_DIFFERENTLY', severity: 'error', subject: 'w' }]);
  });
});

describe('the plan', () => {
  it('cuts a tensor of any size into bounded parts that cover it', () => {
    const huge = memoryTensor({ name: 'w', dtype: 'bf16', shape: [70_001, 1031] }, new Uint8Array());
    const reading = readingOf(huge);
    const segments = segmentsOf(0, reading);
    let at = 0;
    for (const { start, bytes, rows, columns } of segments) {
      expect(start).toBe(at);
      expect(bytes).toBe(rows * columns * 2);
      expect(bytes).toBeLessThanOrEqual(4 * 1024 * 1024);
      at += bytes;
    }
    expect(at).toBe(70_001 * 1031 * 2);
    for (const session of sessionsOf(segments, 64 * 1024 * 1024))
      expect(session.reduce((sum, { bytes }) => sum + bytes, 0)).toBeLessThanOrEqual(64 * 1024 * 1024);
  });
});
