import path from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Model } from '../../../src/core/model.js';
import { onnx } from '../../../src/formats/onnx/index.js';
import { reader } from '../../../src/formats/onnx/reader.js';
import { diskFiles } from '../../../src/io/disk.js';
import { refusal } from './read.js';
import { bytes, int, len, model, text } from './wire.js';

const open = (name: string): Promise<Model> => reader.read(diskFiles(path.join('fixtures/onnx', name)), {});

describe('fixtures', () => {
  it('names tensors of sub-graphs by their node, and apart', async () => {
    const opened = await open('if_initializers.onnx');
    expect(opened.tensors.map(({ info }) => info.name)).toEqual(['c', 'branch/w', 'branch/w#2']);
    expect(opened.graph?.subgraphs).toBe(2);
    expect(Object.fromEntries(opened.graph?.ops ?? [])).toEqual({ Constant: 1, If: 1, MatMul: 4 });
  });

  it('counts operators of other domains apart', async () => {
    const opened = await open('digits_mlp.nbits4.onnx');
    expect(opened.graph?.ops.get('com.microsoft::MatMulNBits')).toBe(3);
    expect(opened.graph?.opsets.get('com.microsoft')).toBe(1);
  });

  it('describes inputs and outputs', async () => {
    const { graph, formatVersion } = await open('mlp.ts13.onnx');
    expect(formatVersion).toBe('IR 7');
    expect(graph?.inputs).toEqual([{ name: 'x', dtype: 'f32', shape: ['batch', 16] }]);
    expect(graph?.outputs).toEqual([{ name: 'y', dtype: 'f32', shape: ['batch', 10] }]);
    expect(graph?.producer).toBe('pytorch 2.13.0');
  });

  it('opens external data in one file and in many', async () => {
    const one = await open('external_onefile/model.onnx');
    const many = await open('external_manyfiles/model.onnx');
    expect(new Set(one.tensors.map(({ location }) => location?.file))).toEqual(new Set(['weights.bin']));
    expect(new Set(many.tensors.map(({ location }) => location?.file)).size).toBeGreaterThan(10);
    expect(one.tensors.every(({ recipe }) => recipe?.path.endsWith('weights.bin'))).toBe(true);
  });

  it('reads nodes out of order with a finding', async () => {
    const { findings } = await open('mlp.fp16_unsorted.onnx');
    expect(findings.map(({ code }) => code)).toEqual(['NODES_UNSORTED']);
  });

  it('says that an empty file is empty', async () => {
    const { memoryFiles } = await import('../../support/memory-files.js');
    const error = await refusal(
      reader.read(memoryFiles('m.onnx', new Map([['m.onnx', new Uint8Array()]])), {}),
    );
    expect(error.message).toBe('m.onnx is empty (0 bytes)');
  });
});

describe('types of values', () => {
  it('are written out', async () => {
    const { valueInfo } = await import('../../../src/formats/onnx/summary.js');
    const { create } = await import('../../../src/formats/onnx/schema.js');
    const tensor = create('TypeProto', { tensorType: create('TypeProtoTensor', { elemType: 1 }) });
    const of = (type: ReturnType<typeof create<'TypeProto'>>): string =>
      valueInfo(create('ValueInfoProto', { name: 'v', type })).dtype;
    expect(of(tensor)).toBe('f32');
    expect(of(create('TypeProto', { sequenceType: create('TypeProtoSequence', { elemType: tensor }) }))).toBe(
      'sequence(f32)',
    );
    expect(of(create('TypeProto', { optionalType: create('TypeProtoOptional', { elemType: tensor }) }))).toBe(
      'optional(f32)',
    );
    expect(
      of(create('TypeProto', { mapType: create('TypeProtoMap', { keyType: 7, valueType: tensor }) })),
    ).toBe('map(i64, f32)');
  });
});

describe('recognition', () => {
  const sniff = (file: Uint8Array, name = 'm.onnx'): number => onnx.sniff(file, name, file.length);

  it('is certain of a model with its extension, likely without', () => {
    expect(sniff(model())).toBe(3);
    expect(sniff(model(), 'm.bin')).toBe(2);
    expect(sniff(bytes(text(2, 'pytorch'), int(1, 8)))).toBe(1);
  });

  it('is certain from the head of a large model', () => {
    const large = model([len(5, text(8, 'w'), len(9, new Uint8Array(200_000)))]);
    expect(onnx.sniff(large.subarray(0, 65536), 'm.onnx', large.length)).toBe(3);
  });

  it('leaves other files alone', () => {
    for (const other of ['PK\x03\x04', 'version https://git-lfs', '<html>', '\x80\x02}q', '{"a":1}'])
      expect(sniff(Buffer.from(other, 'latin1'), 'm.bin')).toBe(0);
    expect(sniff(new Uint8Array(), 'm.bin')).toBe(0);
  });
});
