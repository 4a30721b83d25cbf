import { writeFileSync } from 'node:fs';

import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { type DType, tensorBytes } from '../../../src/core/dtype.js';

import { memoryTensor, readTensor } from '../../../src/core/tensor.js';
import { layOut } from '../../../src/formats/safetensors/layout.js';

import { withModel } from '../../../src/operations/open.js';

import {
  applied,
  contentOf,
  context,
  type Form,
  failure,
  get,
  modelOf,
  newFolder,
  noise,
  write,
} from '../../support/dialects.js';

describe('TRL deltas', () => {
  const small: readonly Form[] = [['w', 'bf16', [8]]];
  const from = modelOf(small);

  function fileOf(
    indices: readonly [DType, ArrayBufferLike, count?: number],
    values: readonly [DType, number],
    metadata: Readonly<Record<string, string>> = {},
    ends: readonly [string, string] = ['.indices', '.values'],
  ): string {
    const [dtype, buffer] = indices;
    const bytes = new Uint8Array(buffer);
    const count = indices[2] ?? bytes.length / (tensorBytes(dtype, [1]) || 1);
    const tensors = [
      memoryTensor({ name: `w${ends[0]}`, dtype, shape: [count] }, bytes),
      memoryTensor(
        { name: `w${ends[1]}`, dtype: values[0], shape: [values[1]] },
        noise(tensorBytes(values[0], [values[1]]), 9),
      ),
    ];
    const { header, placed } = layOut(tensors, new Map(Object.entries({ sparse: 'True', ...metadata })));
    const data = placed.map(({ tensor }) => (tensor === tensors[0] ? bytes : noise(tensor.byteLength, 9)));
    const file = path.join(newFolder(), 'delta.safetensors');
    writeFileSync(file, Buffer.concat([header, ...data]));
    return file;
  }
  const outcome = (file: string): Promise<string> => failure(applied(from, file, contentOf));
  const i32 = (...values: number[]) => ['i32', Int32Array.from(values).buffer] as const;
  const GAP = ['.idx', '.val'] as const;

  it('have the published names, types and metadata', async () => {
    const to = modelOf(small, (_, bytes) => {
      bytes[15] = ~(bytes[15] ?? 0);
      bytes[2] = ~(bytes[2] ?? 0);
    });
    const { main } = await write(get('trl-sparse'), from, to, { version: 11, baseVersion: 10 });
    await withModel(main, {}, async ({ model }) => {
      expect(model.tensors.map(({ info }) => info)).toEqual([
        { name: 'w.indices', dtype: 'i32', shape: [2] },
        { name: 'w.values', dtype: 'bf16', shape: [2] },
      ]);
      const indices = await readTensor(model.tensors[0]!);
      expect([...new Int32Array(indices.buffer)]).toEqual([1, 7]);
      expect(Object.fromEntries(model.metadata)).toMatchObject({
        format: 'sparse_weight_patch',
        sparse: 'True',
        model_version: '11',
        prev_model_version: '10',
        sparsity: '0.75',
        total_changed_elements: '2',
        total_elements: '8',
        changed_params: '["w"]',
      });
    });
    const none = await write(get('trl-sparse'), from, from);
    await withModel(none.main, {}, async ({ model }) =>
      expect(model.tensors.map(({ info }) => info.name)).toEqual(['__empty_delta__']),
    );
  });

  it.each([
    ['negative', i32(-1, 7), 'E_MALFORMED w'],
    ['out of the tensor', i32(0, 8), 'E_MALFORMED w'],
    ['twice there', i32(3, 3), 'E_MALFORMED w'],
    ['out of order', i32(4, 3), 'E_MALFORMED w'],
    ['of another type', ['i64', BigInt64Array.of(0n, 7n).buffer] as const, 'E_UNSUPPORTED w'],
    ['of another number', i32(0, 1, 7), 'E_MALFORMED w'],
  ])('refuse indices that are %s', async (_, indices, expected) => {
    expect(await outcome(fileOf(indices, ['bf16', 2]))).toBe(expected);
  });

  it('read indices that are right', async () => {
    expect(await outcome(fileOf(i32(0, 7), ['bf16', 2]))).toBe('no error');
  });

  it('read gaps, and refuse those that lead out of the tensor', async () => {
    const encoding = { encoding: 'gap_delta' };
    const gaps16 = (...values: number[]) => ['u16', Uint16Array.from(values).buffer] as const;
    const gaps32 = (...values: number[]) => ['u32', Uint32Array.from(values).buffer] as const;
    const read = (indices: readonly [DType, ArrayBufferLike], how: Record<string, string> = encoding) =>
      outcome(fileOf(indices, ['bf16', 2], how, GAP));
    expect(await read(gaps16(0, 6))).toBe('no error');
    expect(await read(gaps32(3, 0))).toBe('no error');
    expect(await read(gaps16(0, 7))).toBe('E_MALFORMED w');
    expect(await read(gaps32(0, 0xffffffff))).toBe('E_MALFORMED w');
    expect(await read(i32(0, 7), { encoding: 'raw' })).toBe('no error');
    expect(await read(gaps16(0, 6), { encoding: 'raw' })).toBe('E_UNSUPPORTED w');
    const nvcomp = ['u8', new ArrayBuffer(2)] as const;
    expect(await read(nvcomp, { encoding: 'nvcomp_cascaded' })).toBe('E_UNSUPPORTED w');
  });

  it('put gaps of both widths where they belong', async () => {
    const forms: readonly Form[] = [['w', 'bf16', [300_000]]];
    const large = modelOf(forms);
    const file = fileOf(
      ['u32', Uint32Array.of(5, 199_999, 0).buffer],
      ['bf16', 3],
      { encoding: 'gap_delta' },
      GAP,
    );
    const want = await readTensor(large.tensors[0]!);
    const values = noise(6, 9);
    for (const [i, place] of [5, 200_005, 200_006].entries())
      want.set(values.subarray(i * 2, i * 2 + 2), place * 2);
    await applied(large, file, async (result) =>
      expect(Buffer.compare(await readTensor(result.tensors[0]!), want)).toBe(0),
    );
  });

  it('refuse values of another type than the base, and more of them than it has elements', async () => {
    expect(await outcome(fileOf(i32(0, 7), ['f32', 2]))).toBe('E_BASE_MISMATCH w');
    expect(await outcome(fileOf(i32(...Array(9).keys()), ['bf16', 9]))).toBe('E_BASE_MISMATCH w');
  });

  it('refuse metadata that says something else than the tensors', async () => {
    for (const metadata of [
      { changed_params: '["v"]' },
      { changed_params: '[]' },
      { changed_params: '{' },
      { total_changed_elements: '3' },
    ])
      expect(await outcome(fileOf(i32(0, 7), ['bf16', 2], metadata))).toBe('E_MALFORMED');
    expect(await outcome(fileOf(i32(0, 7), ['bf16', 2], {}, ['.indices', '.other']))).toBe(
      'E_MALFORMED w.indices',
    );
    expect(await outcome(fileOf(i32(0, 7), ['bf16', 2], { checksum_sha256: '0'.repeat(64) }))).toBe(
      'E_BASE_MISMATCH',
    );
  });

  it('say that a checksum over other tensors was not compared', async () => {
    const file = fileOf(i32(0, 7), ['bf16', 2], { checksum_sha256: '0'.repeat(64), total_elements: '9' });
    await withModel(file, {}, async (opened) => {
      const dialect = get('trl-sparse');
      const findings = await dialect.verify?.(await dialect.apply(from, opened, context), opened, context);
      expect(findings?.map(({ code }) => code)).toEqual(['CHECKSUM_NOT_COMPARED']);
    });
  });

  it('have no place for elements that are no bytes', async () => {
    const packed = modelOf([['w', 'f4_e2m1', [4]]]);
    expect(await failure(write(get('trl-sparse'), packed, packed))).toBe('E_UNSUPPORTED w');
    const main = (await write(get('slime-xor'), packed, packed)).main;
    await applied(packed, main, contentOf);
  });
});
