import { readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { readTensor } from '../../../src/core/tensor.js';
import type { StateNode } from '../../../src/core/training.js';
import { readFile } from '../../../src/formats/pytorch/reader.js';
import { openDisk } from '../../../src/io/disk.js';
import {
  archive,
  assemble,
  contents,
  fixture,
  floats,
  floatTensor,
  openBytes,
  openFixture,
  torchArchive,
  unicode,
} from './support.js';

const codes = (model: { findings: readonly { code: string; subject: string }[] }): string[] =>
  model.findings.map(({ code, subject }) => `${code} ${subject}`);
const entry = (node: StateNode | undefined, ...path: readonly (string | number)[]): StateNode | undefined => {
  for (const part of path) {
    if (node?.kind === 'dict')
      node = node.entries.find(([key]) => 'value' in key && String(key.value) === String(part))?.[1];
    else if (node && 'items' in node) node = node.items[Number(part)];
    else return undefined;
  }
  return node;
};

describe('checkpoints', () => {
  it('summarises the training state and keeps all of it', async () => {
    const { training, tensors } = await openFixture('checkpoint_full.pt');
    expect({ ...training, tree: undefined }).toEqual({
      tree: undefined,
      step: 12,
      epoch: 3,
      loss: 2.3073740005493164,
      learningRate: 0.00025,
      optimizer: 'Adam',
    });
    expect(entry(training?.tree, 'optimizer', 'param_groups', 0, 'betas')).toEqual({
      kind: 'tuple',
      items: [
        { kind: 'float', value: 0.9 },
        { kind: 'float', value: 0.98 },
      ],
    });
    const roles = new Map(tensors.map(({ info, role }) => [info.name, role]));
    expect(roles.get('optimizer.state.0.exp_avg')).toBe('optimizer');
    expect(roles.get('model.conv1.weight')).toBeUndefined();
  });

  it('reads other values as data, and names the classes it does not know', async () => {
    const model = await openFixture('checkpoint_objects.pt');
    expect(codes(model)).toEqual(['OPAQUE_GLOBAL argparse.Namespace', 'OPAQUE_GLOBAL pathlib.PurePosixPath']);
    const at = (...path: (string | number)[]) => entry(model.training?.tree, ...path);
    expect(at('np_scalar')).toEqual({ kind: 'float', value: 1.25 });
    expect(at('np_i')).toEqual({ kind: 'int', value: -9n });
    expect(at('dtype')).toEqual({ kind: 'opaque', type: 'torch.dtype', text: 'torch.bfloat16' });
    expect(at('device')).toEqual({ kind: 'opaque', type: 'torch.device', text: 'cpu' });
    expect(at('cplx')).toEqual({ kind: 'complex', re: 1, im: 2 });
    expect(at('raw')).toEqual({ kind: 'bytes', value: Uint8Array.of(0, 1, 255) });
    expect(at('tags')).toMatchObject({ kind: 'set' });
    expect(at('args', 'lr')).toEqual({ kind: 'float', value: 0.1 });
    expect(at('path')).toEqual({ kind: 'opaque', type: 'pathlib.PurePosixPath', text: "('/', 'data', 'x')" });
    const array = at('np_fortran');
    expect(array?.kind === 'opaque' && JSON.parse(array.text)).toMatchObject({
      descr: '<i2',
      fortran: true,
      shape: [2, 3],
    });
  });

  it('a state dict has no state beside its tensors', async () => {
    for (const name of [
      'mlp_state_dict.pt',
      'legacy_state_dict.pt',
      'tied_lm_state_dict.pt',
      'whole_module.pt',
    ])
      expect((await openFixture(name)).training, name).toBeUndefined();
  });

  it('names tensors by their path', async () => {
    const names = (await openFixture('int_keys.pt')).tensors.map(({ info }) => info.name);
    expect(names).toEqual(['0', '1.w', '(1, 2)', 'a.b/c', '', 'ключ']);
  });
});

describe('tensors', () => {
  it('finds ties, and only ties', async () => {
    expect(new Map((await openFixture('tied_lm_state_dict.pt')).aliases)).toEqual(
      new Map([['head.weight', 'embed.weight']]),
    );
    expect(new Map((await openFixture('shared_views.pt')).aliases)).toEqual(new Map([['tied', 'base']]));
  });

  it('points workers at contiguous bytes, and only at those', async () => {
    const { tensors } = await openFixture('shared_views.pt');
    const has = new Map(tensors.map((tensor) => [tensor.info.name, tensor.recipe !== undefined]));
    expect([has.get('base'), has.get('transposed'), has.get('conj')]).toEqual([true, false, false]);
  });

  it('tells how quantized tensors are to be read', async () => {
    const quantization = (await openFixture('quantized_tensors.pt')).metadata.get('quantization');
    const at = (name: string) =>
      (quantization as ReadonlyMap<string, ReadonlyMap<string, unknown>>).get(name);
    expect(Object.fromEntries(at('quint8') ?? [])).toEqual({
      scheme: 'per_tensor_affine',
      scale: 0.03,
      zero_point: 120,
    });
    expect(at('per_channel_quint8')?.get('zero_point')).toEqual([100, 101, 102, 103, 104, 105]);
    expect(at('per_channel_float_qparams')?.get('scheme')).toBe('per_channel_affine_float_qparams');
  });

  it('gives sparse tensors as their parts', async () => {
    const model = await openFixture('sparse.pt');
    expect(model.tensors.map(({ info }) => info.name)).toEqual([
      'coo.indices',
      'coo.values',
      'csr.crow_indices',
      'csr.col_indices',
      'csr.values',
      'dense',
    ]);
    expect(entry(model.training?.tree, 'coo', 'shape')).toMatchObject({ type: 'torch.Size', text: '[5, 5]' });
  });

  it('reads big-endian storages', async () => {
    const pickle = assemble(
      0x80,
      2,
      `}${unicode('a')}${floatTensor('0', 2, 'K\0', 'K\x02\x85', 'K\x01\x85')}s.`,
    );
    const bytes = Uint8Array.of(0x3f, 0x80, 0, 0, 0x40, 0, 0, 0);
    const model = await openBytes(await torchArchive(pickle, [bytes], { version: '3', byteorder: 'big' }));
    const values = await readTensor(model.tensors[0]!);
    expect(new Float32Array(values.buffer)).toEqual(Float32Array.of(1, 2));
  });

  it.each([
    ['a negative offset', 'J\xff\xff\xff\xff', 'K\x02\x85', 'K\x01\x85', 'E_MALFORMED', /offset -1/],
    ['an offset past the end', 'K\x05', 'K\x02\x85', 'K\x01\x85', 'E_MALFORMED', /needs element 6/],
    ['a negative stride', 'K\x05', 'K\x02\x85', 'J\xff\xff\xff\xff\x85', 'E_MALFORMED', /stride -1/],
    ['sizes without strides', 'K\0', 'K\x02\x85', ')', 'E_MALFORMED', /1 sizes and 0 strides/],
    [
      'a size of 2^62',
      'K\0',
      '\x8a\x08\0\0\0\0\0\0\0\x40\x85',
      'K\0\x85',
      'E_MALFORMED',
      /4611686018427387904/,
    ],
    [
      '4 TiB from 24 bytes',
      'K\0',
      '\x8a\x06\0\0\0\0\0\x01\x85',
      'K\0\x85',
      'E_LIMIT',
      /VIEW_EXPANSION_BYTES/,
    ],
    ['a float as offset', 'G\x3f\xf8\0\0\0\0\0\0', 'K\x02\x85', 'K\x01\x85', 'E_MALFORMED', /not an integer/],
  ])('refuses %s', async (_, offset, size, stride, code, message) => {
    const pickle = assemble(0x80, 2, `}${unicode('a')}${floatTensor('0', 6, offset, size, stride)}s.`);
    const bytes = await torchArchive(pickle, [floats(1, 2, 3, 4, 5, 6)]);
    await expect(openBytes(bytes)).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
  });

  it('refuses a storage of another size, and a missing one', async () => {
    const pickle = assemble(
      0x80,
      2,
      `}${unicode('a')}${floatTensor('0', 6, 'K\0', 'K\x02\x85', 'K\x01\x85')}s.`,
    );
    await expect(openBytes(await torchArchive(pickle, [floats(1, 2)]))).rejects.toMatchObject({
      code: 'E_MALFORMED',
      message: expect.stringMatching(/tensor "a".*8 bytes, needed 24/),
    });
    await expect(openBytes(await torchArchive(pickle))).rejects.toMatchObject({
      code: 'E_MALFORMED',
      message: expect.stringMatching(/tensor "a": record "m\/data\/0" is missing/),
    });
  });

  it('refuses two tensors of one name', async () => {
    const tensor = (key: string) => floatTensor(key, 1, 'K\0', 'K\x01\x85', 'K\x01\x85');
    const pickle = assemble(0x80, 2, `}(K\x01${tensor('0')}${unicode('1')}${tensor('1')}u.`);
    await expect(openBytes(await torchArchive(pickle, [floats(1), floats(2)]))).rejects.toMatchObject({
      code: 'E_UNSUPPORTED',
      message: expect.stringMatching(/named "1"/),
    });
  });
});

describe('containers', () => {
  it('reads files from before torch 1.6', async () => {
    const model = await openFixture('legacy_checkpoint.pt');
    expect(model.formatVersion).toBe('legacy 1001');
    expect(await contents(model)).toEqual(await contents(await openFixture('checkpoint_full.pt')));
  });

  it('reads the weights of TorchScript programs', async () => {
    const model = await openFixture('torchscript_convnet_scripted.pt');
    expect(codes(model)).toEqual(['TORCHSCRIPT_CODE torchscript_convnet_scripted.pt']);
    expect(model.tensors).toHaveLength(15);
  });

  it('reads a pickled module as its state dict', async () => {
    const model = await openFixture('whole_module.pt');
    expect(codes(model)).toEqual(['MODULE_AS_STATE_DICT torch.nn.modules.container.Sequential']);
    const roles = new Map(model.tensors.map(({ info, role }) => [info.name, role]));
    expect(roles.get('0.weight')).toBe('parameter');
    expect(roles.get('1.running_mean')).toBe('buffer');
  });

  it('reads shards through their index', async () => {
    const model = await openFixture('sharded_bin/pytorch_model.bin.index.json');
    expect(model.tensors).toHaveLength(40);
    expect(model.aliases.get('head.weight')).toBe('embed.weight');
  });

  it.each([
    ['no data.pkl', { 'm/other': 'x' }, 'E_MALFORMED', /no data\.pkl/],
    ['two folders', { 'a/data.pkl': 'N.', 'b/data.pkl': 'N.' }, 'E_MALFORMED', /2 folders/],
    ['a version that is no number', { 'm/data.pkl': 'N.', 'm/version': 'abc' }, 'E_MALFORMED', /"abc"/],
    ['a version of the future', { 'm/data.pkl': 'N.', 'm/version': '11' }, 'E_UNSUPPORTED', /version 11/],
    [
      'a byte order',
      { 'm/data.pkl': 'N.', 'm/version': '3', 'm/byteorder': 'middle' },
      'E_MALFORMED',
      /middle/,
    ],
  ])('refuses %s', async (_, records, code, message) => {
    const bytes = await archive(
      new Map(Object.entries(records).map(([name, text]) => [name, Buffer.from(text)])),
    );
    await expect(openBytes(bytes)).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
  });

  it('reads what is odd but clear, and says so', async () => {
    const bytes = await archive(
      new Map([
        ['data.pkl', assemble(0x80, 2, '}.hidden')],
        ['DATA.PKL', Buffer.from('x')],
      ]),
    );
    expect(codes(await openBytes(bytes)).map((code) => code.split(' ')[0])).toEqual([
      'NO_TOP_FOLDER',
      'CASE_TWIN',
      'NO_VERSION',
      'PICKLE_TRAILING_BYTES',
    ]);
  });

  it('refuses plain pickles and old tar files by name', async () => {
    await expect(openBytes(assemble(0x80, 2, '}.'))).rejects.toMatchObject({
      code: 'E_UNSUPPORTED',
      message: expect.stringMatching(/plain pickle/),
    });
    const tar = new Uint8Array(1024);
    tar.set(Buffer.from('sys_info\0'));
    await expect(openBytes(tar)).rejects.toMatchObject({
      code: 'E_UNSUPPORTED',
      message: expect.stringMatching(/tar archive/),
    });
  });
});

describe('laziness', () => {
  it('reads no tensor bytes to open a file', async () => {
    const disk = openDisk(fixture('checkpoint_full.pt'));
    const read: [number, number][] = [];
    const counted = {
      ...disk,
      read: (offset: number, length: number) => {
        read.push([offset, offset + length]);
        return disk.read(offset, length);
      },
    };
    const model = await readFile(counted);
    disk.close();
    // Small files are within the tail that holds the directory; past it, only headers may be touched.
    expect(read.length).toBeLessThan(model.tensors.length + 10);
  });
});

it('every public fixture is covered by a sidecar', () => {
  const files = readdirSync(fixture('.'));
  for (const file of files.filter((name) => name.endsWith('.pt'))) expect(files).toContain(`${file}.json`);
});
