import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import type { WriteContext, WriteOptions } from '../../../src/core/format.js';
import type { Model } from '../../../src/core/model.js';
import { memoryTensor, type TensorSource } from '../../../src/core/tensor.js';
import type { Finding } from '../../../src/errors.js';
import { decodeMessage } from '../../../src/formats/onnx/decode.js';
import { reader } from '../../../src/formats/onnx/reader.js';
import { skeletonBytes } from '../../../src/formats/onnx/skeleton.js';
import { writer } from '../../../src/formats/onnx/writer.js';
import { encodeModel } from '../../../src/graph/build.js';
import { diskFiles } from '../../../src/io/disk.js';
import type { OutputFiles } from '../../../src/io/files.js';
import { sha256Hex } from '../../../src/io/hashing.js';
import { memorySource } from '../../../src/io/memory.js';
import { stageOutput } from '../../../src/io/staged.js';
import { testContext } from '../../support/context.js';
import { memoryFiles, memoryOutput } from '../../support/memory-files.js';

const folder = mkdtempSync(path.join(tmpdir(), 'mlser-onnx-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const context = (options: WriteOptions, notice?: (finding: Finding) => void): WriteContext => ({
  ...testContext(1),
  options,
  ...(notice ? { notice } : {}),
});
const open = (name: string): Promise<Model> => reader.read(diskFiles(path.join('fixtures/onnx', name)), {});
const facts = (model: Model): Promise<unknown[]> =>
  Promise.all(
    model.tensors.map(async (tensor) => ({ ...tensor.info, sha256: await sha256Hex(tensor.stream()) })),
  );
async function rewritten(
  model: Model,
  options: WriteOptions,
): Promise<{ model: Model; files: OutputFiles & { bytes(name?: string): Uint8Array } }> {
  const files = memoryOutput('out.onnx');
  await writer.write(model, files, context(options));
  return { model: await reader.read(await files.stage(), {}), files };
}
const f32 = (name: string, count: number, fill = 1): TensorSource =>
  memoryTensor(
    { name, dtype: 'f32', shape: [count] },
    new Uint8Array(Float32Array.from({ length: count }, () => fill).buffer),
  );
/** y = x + w, … over tensors that are given. */
async function graphOf(...tensors: readonly TensorSource[]): Promise<Model> {
  const empty = await encodeModel({
    opset: 17,
    inputs: [{ name: 'x', dtype: 'f32', shape: ['n'] }],
    outputs: [{ name: 'y', dtype: 'f32', shape: ['n'] }],
    nodes: [{ op: 'Identity', inputs: ['x'], outputs: ['y'] }],
    initializers: tensors.map(({ info }) => ({ ...info, shape: [0], raw: new Uint8Array() })),
  });
  const opened = await reader.read(memoryFiles('m.onnx', new Map([['m.onnx', empty]])), {});
  const { message } = await decodeMessage('ModelProto', memorySource(empty));
  const graph = message.graph!;
  const proto = {
    ...message,
    graph: {
      ...graph,
      initializer: graph.initializer.map((one, i) => ({ ...one, dims: tensors[i]!.info.shape.map(BigInt) })),
    },
  };
  return { ...opened, graph: { ...opened.graph!, proto }, tensors };
}

const FIXTURES = [
  'mlp.ts13.onnx',
  'mlp.dynamo21.onnx',
  'mlp.bf16.ts17.onnx',
  'control_flow.ts17.onnx',
  'digits_mlp.nbits4.onnx',
  'if_initializers.onnx',
  'external_onefile/model.onnx',
  'external_manyfiles/model.onnx',
];

describe('round trips', () => {
  it.each(FIXTURES)('%s inline and beside', async (name) => {
    const opened = await open(name);
    for (const options of [{}, { externalData: true }]) {
      expect(writer.check(opened, options).filter(({ severity }) => severity === 'error')).toEqual([]);
      const { model } = await rewritten(opened, options);
      expect(await facts(model)).toEqual(await facts(opened));
      const { proto: _was, ...was } = opened.graph!;
      const { proto: _is, ...is } = model.graph!;
      expect(is).toEqual(was);
      expect(model.metadata).toEqual(opened.metadata);
      expect(model.findings).toEqual(opened.findings);
    }
  });

  it('gives the same file where nothing changes', async () => {
    const { readFileSync } = await import('node:fs');
    for (const name of FIXTURES.slice(0, 6)) {
      const { files } = await rewritten(await open(name), {});
      expect(Buffer.compare(files.bytes(), readFileSync(`fixtures/onnx/${name}`)), name).toBe(0);
    }
  });

  it('writes through a staged folder on the disk', async () => {
    const opened = await open('if_initializers.onnx');
    const target = path.join(folder, 'staged.onnx');
    const files = stageOutput(target, { force: false });
    await writer.write(opened, files, context({ externalData: true }));
    await files.commit();
    const back = await reader.read(diskFiles(target), {});
    expect(await facts(back)).toEqual(await facts(opened));
    expect(back.tensors.map(({ location }) => location?.file)).toEqual(Array(3).fill('staged.onnx.data'));
  });
});

describe('external data', () => {
  it('lies in files of the names and sizes that are asked for', async () => {
    const sizes = [300, 300, 400, 3000, 300];
    const tensors = sizes.map((size, i) => f32(`w${i}`, size, i));
    const model = { ...(await graphOf(...tensors)), aliases: new Map([['w4', 'w1']]) };
    const dataFiles = { name: (index: number) => `chunk${index}`, most: 100, bytes: 3000 };
    const { model: back, files } = await rewritten(model, { externalData: true, dataFiles });
    const places = back.tensors.map(({ info, location }) => [info.name, location?.file, location?.offset]);
    // 1200 bytes on a line of 64 and 1200 more; 1600 do not fit; 12000 are more than any file may hold; w4 is w1.
    expect(places).toEqual([
      ['w0', 'chunk0', 0],
      ['w1', 'chunk0', 1216],
      ['w2', 'chunk1', 0],
      ['w3', 'chunk2', 0],
      ['w4', 'chunk0', 1216],
    ]);
    expect(files.bytes('chunk2').length).toBe(12000);
    expect((await facts(back)).slice(0, 4)).toEqual((await facts(model)).slice(0, 4));
    expect(back.aliases).toEqual(model.aliases);
  });

  it('is aligned: pages for large tensors, lines for others, small ones inline', async () => {
    const model = await graphOf(
      f32('a', 300),
      f32('tiny', 3),
      f32('b', 500),
      f32('big', 300_000),
      f32('none', 0),
    );
    const { model: back } = await rewritten(model, { externalData: true });
    const at = new Map(back.tensors.map(({ info, location }) => [info.name, location]));
    expect(at.get('a')).toEqual({ file: 'out.onnx.data', offset: 0 });
    expect(at.get('b')).toEqual({ file: 'out.onnx.data', offset: 1216 });
    expect(at.get('big')).toEqual({ file: 'out.onnx.data', offset: 4096 });
    expect(at.get('tiny')?.file).toBe('out.onnx');
    expect(await facts(back)).toEqual(await facts(model));
  });

  it('stores tied tensors once', async () => {
    const tied = f32('a', 300);
    const model = await graphOf(tied, { ...tied, info: { ...tied.info, name: 'b' } });
    const { model: back, files } = await rewritten(
      { ...model, aliases: new Map([['b', 'a']]) },
      { externalData: true },
    );
    expect([...back.aliases]).toEqual([['b', 'a']]);
    expect(files.bytes('out.onnx.data')).toHaveLength(1200);
  });

  it('never takes a data file that is there', async () => {
    const files = memoryOutput('out.onnx');
    const notices: Finding[] = [];
    const taken = { ...files, main: 'out.onnx', taken: (name: string) => name === 'out.onnx.data' };
    await writer.write(
      await graphOf(f32('a', 300)),
      taken,
      context({ externalData: true }, (one) => notices.push(one)),
    );
    expect(files.bytes('out.1.onnx.data')).toHaveLength(1200);
    expect(notices.map(({ code, subject }) => [code, subject])).toEqual([
      ['DATA_FILE_LEFT', 'out.onnx.data'],
    ]);
  });

  it('is chosen when the file would pass 2 GiB, without building it', async () => {
    const chunk = new Uint8Array(1 << 20);
    const count = 600 * 1024 * 1024;
    const huge: TensorSource = {
      info: { name: 'huge', dtype: 'f32', shape: [count] },
      byteLength: count * 4,
      async *stream() {
        for (let i = 0; i < count * 4; i += chunk.length) yield chunk;
      },
    };
    const sizes = new Map<string, number>();
    const files: OutputFiles = {
      ...memoryOutput('out.onnx'),
      async create(name) {
        const grow = (end: number): void => void sizes.set(name, Math.max(end, sizes.get(name) ?? 0));
        return {
          name,
          get size() {
            return sizes.get(name) ?? 0;
          },
          async writeAt(offset, bytes) {
            grow(offset + bytes.length);
          },
          async append() {},
          extendTo: grow,
        };
      },
    };
    await writer.write(await graphOf(huge), files, context({}));
    expect(sizes.get('out.onnx.data')).toBe(count * 4);
    expect(sizes.get('out.onnx')).toBeLessThan(1000);
    const refused = writer.check(await graphOf(huge), { externalData: false });
    expect(refused.map(({ code }) => code)).toEqual(['PROTOBUF_TOO_LARGE']);
  });

  it('points at bytes that lie in the folder already', async () => {
    const model = await graphOf(f32('w', 300), f32('bias', 2));
    const integers = memoryTensor({ name: 'shape', dtype: 'i64', shape: [1] }, new Uint8Array(8));
    const whole = { ...(await graphOf(...model.tensors, integers)) };
    const proto = whole.graph!.proto as { graph: { initializer: { dataType: number }[] } };
    proto.graph.initializer[2] = { ...proto.graph.initializer[2], dataType: 7 };
    const pointAt = new Map([
      ['w', { file: 'w.safetensors', offset: 128 }],
      ['bias', { file: 'w.safetensors', offset: 1328 }],
      ['shape', { file: 'w.safetensors', offset: 1336 }],
    ]);
    const { message } = await (async () => {
      const files = memoryOutput('out.onnx');
      await writer.write(whole, files, context({ pointAt }));
      return decodeMessage('ModelProto', memorySource(files.bytes()));
    })();
    const external = message.graph?.initializer.map(({ externalData }) =>
      externalData.map(({ value }) => value),
    );
    // Weights are pointed at whatever their size; integers that steer the graph stay in it.
    expect(external).toEqual([['w.safetensors', '128', '1200'], ['w.safetensors', '1328', '8'], []]);
  });
});

describe('what changed', () => {
  it('is written: values, metadata', async () => {
    const opened = await open('mlp.ts13.onnx');
    const [first] = opened.tensors;
    const zeros = memoryTensor(first!.info, new Uint8Array(first!.byteLength));
    const changed = {
      ...opened,
      tensors: [zeros, ...opened.tensors.slice(1)],
      metadata: new Map<string, string | number>([
        ['made by', 'mlser'],
        ['steps', 3],
      ]),
    };
    expect(writer.check(changed, {}).map(({ code }) => code)).toEqual(['METADATA_TEXT']);
    const { model: back } = await rewritten(changed, {});
    expect(await facts(back)).toEqual(await facts(changed));
    expect([...back.metadata]).toEqual([
      ['made by', 'mlser'],
      ['steps', '3'],
    ]);
  });

  it('keeps strings and sparse tensors, untouched or not', async () => {
    const { bytes, initializer, int, len, model, packed, text } = await import('./wire.js');
    const sparse = len(
      15,
      len(1, int(1, 1), int(2, 2), text(8, 's'), len(9, [7])),
      len(2, int(1, 1), int(2, 7), packed(7, [2])),
      int(3, 4),
    );
    const file = model(
      [initializer('t', 8, [2], text(6, 'aé'), text(6, '')), sparse],
      [bytes(text(99, 'unknown'))],
    );
    const opened = await reader.read(memoryFiles('m.onnx', new Map([['m.onnx', file]])), {});
    const untouched = await rewritten(opened, { externalData: true });
    expect(await facts(untouched.model)).toEqual(await facts(opened));
    expect(Buffer.from(untouched.files.bytes()).includes('unknown')).toBe(true);
    const copied = { ...opened, tensors: opened.tensors.map((tensor) => ({ ...tensor })) };
    expect(await facts((await rewritten(copied, {})).model)).toEqual(await facts(opened));
  });
});

describe('check', () => {
  it('refuses weights without a graph', async () => {
    const { graph: _, ...weights } = await open('mlp.ts13.onnx');
    expect(writer.check(weights, {})).toMatchObject([{ code: 'GRAPH_MISSING', severity: 'error' }]);
  });

  it('refuses tensors that do not fit the graph, and says what is dropped', async () => {
    const model = await graphOf(f32('a', 4), f32('b', 4), f32('c', 4));
    const [a, b] = model.tensors;
    const found = writer.check(
      {
        ...model,
        tensors: [
          { ...a!, info: { ...a!.info, dtype: 'i32' } },
          { ...b!, info: { ...b!.info, shape: [2, 2] } },
          f32('extra', 1),
        ],
        aliases: new Map([['b', 'a']]),
      },
      {},
    );
    expect(found.map(({ code, severity, subject }) => [code, severity, subject])).toEqual([
      ['GRAPH_TENSOR_TYPE', 'error', 'a'],
      ['GRAPH_TENSOR_SHAPE', 'error', 'b'],
      ['GRAPH_TENSOR_MISSING', 'error', 'c'],
      ['GRAPH_LEFT_OVER', 'warning', 'extra'],
      ['ALIASES_DROPPED', 'warning', 'aliases'],
    ]);
  });
});

describe('skeleton', () => {
  it('points into the file that was read, and is small', async () => {
    const opened = await open('mlp.dynamo21.onnx');
    const places = new Map(opened.tensors.map((tensor) => [tensor.info.name, tensor]));
    const skeleton = await skeletonBytes(opened, (name) => {
      const { location, byteLength } = places.get(name)!;
      return location && { location: location.file, offset: location.offset, length: byteLength };
    });
    expect(skeleton.length).toBeLessThan(14_000);
    const { readFileSync } = await import('node:fs');
    const side = new Map([
      ['s.onnx', skeleton],
      ['mlp.dynamo21.onnx', Uint8Array.from(readFileSync('fixtures/onnx/mlp.dynamo21.onnx'))],
    ]);
    expect(await facts(await reader.read(memoryFiles('s.onnx', side), {}))).toEqual(await facts(opened));
  });

  it('takes in what has no place', async () => {
    const opened = await open('external_onefile/model.onnx');
    const skeleton = await skeletonBytes(opened, () => undefined);
    const back = await reader.read(memoryFiles('s.onnx', new Map([['s.onnx', skeleton]])), {});
    expect(await facts(back)).toEqual(await facts(opened));
  });
});
