import { describe, expect, it } from 'vitest';
import { LIMITS } from '../../../src/core/limits.js';
import { flatten } from '../../../src/formats/pytorch/flatten.js';
import { TorchMeaning } from '../../../src/formats/pytorch/globals.js';
import { unpickle } from '../../../src/formats/pytorch/pickle.js';
import { type PyDict, PyList, PyTuple } from '../../../src/formats/pytorch/values.js';
import { assemble, floats, floatTensor, openBytes, openFixture, torchArchive, unicode } from './support.js';

const read = async (...source: readonly (string | number)[]) =>
  openBytes(await torchArchive(assemble(0x80, 2, ...source), [floats(1)]));
const scalar = floatTensor('0', 1, 'K\0', ')', ')');

describe('names that act', () => {
  it.each([
    ['posix', 'system'],
    ['os', 'popen'],
    ['subprocess', 'Popen'],
    ['builtins', 'eval'],
    ['__builtin__', 'exec'],
    ['builtins', 'getattr'],
    ['builtins', '__import__'],
    ['importlib', 'import_module'],
    ['runpy', '_run_code'],
    ['torch.storage', '_load_from_bytes'],
    ['torch', 'load'],
    ['os.path', 'join'],
    ['sys', 'exit'],
    ['_pickle', 'loads'],
  ])('refuses %s.%s even without a call', async (module, name) => {
    await expect(read(`}${unicode('x')}c${module}\n${name}\ns.`)).rejects.toMatchObject({
      code: 'E_UNSAFE',
      details: { global: `${module.replace('__builtin__', 'builtins')}.${name}` },
    });
  });

  it('refuses a call that must not run', async () => {
    await expect(openFixture('unknown_global.pt')).rejects.toMatchObject({ code: 'E_UNSAFE' });
  });

  it('refuses names in two strings as well', async () => {
    await expect(read(unicode('os'), unicode('system'), 0x93, '.')).rejects.toMatchObject({
      code: 'E_UNSAFE',
    });
  });
});

describe('unknown classes', () => {
  it.each([
    ['called', 'cmy.module\nNet\n)R'],
    ['made', 'cmy.module\nNet\n)\x81'],
    ['made the old way', '(imy.module\nNet\n'],
    ['made through copyreg', 'ccopy_reg\n_reconstructor\n(cmy.module\nNet\nc__builtin__\nobject\nNtR'],
  ])('are kept as data when %s', async (_, source) => {
    const model = await read(`}(${unicode('w')}${scalar}${unicode('x')}${source}}${unicode('a')}K\x01sbu.`);
    expect(model.findings).toEqual([
      expect.objectContaining({ code: 'OPAQUE_GLOBAL', severity: 'warning', subject: 'my.module.Net' }),
    ]);
    expect(model.tensors.map(({ info }) => info.name)).toEqual(['w']);
    const tree = model.training?.tree;
    expect(tree?.kind === 'dict' && tree.entries[1]?.[1]).toEqual({
      kind: 'dict',
      ordered: false,
      entries: [
        [
          { kind: 'string', value: 'a' },
          { kind: 'int', value: 1n },
        ],
      ],
    });
  });

  it('give up the tensors in their state', async () => {
    const model = await read(`}${unicode('ema')}cmy\nEMA\n)\x81}${unicode('shadow')}${scalar}sbs.`);
    expect(model.tensors.map(({ info }) => info.name)).toEqual(['ema.shadow']);
  });

  it('do not touch Object.prototype', async () => {
    const model = await read(`}(${unicode('__proto__')}${scalar}${unicode('constructor')}K\x01u.`);
    expect(model.tensors[0]?.info.name).toBe('__proto__');
    expect(Object.getOwnPropertyNames({})).toEqual([]);
  });
});

describe('calls with wrong arguments', () => {
  it.each([
    ['too few', 'ctorch._utils\n_rebuild_tensor_v2\n(NtR', /argument 6 is missing/],
    ['not a storage', 'ctorch._utils\n_rebuild_tensor_v2\n(K\x05K\0))\x89NtR', /not a storage/],
    ['a call of a string', `${unicode('f')})R`, /only a class or a function/],
    [
      'a storage of an unknown class',
      `(${unicode('storage')}ctorch\nFooStorage\n${unicode('0')}${unicode('cpu')}K\x01tQ`,
      /FooStorage/,
    ],
    ['another persistent id', `(${unicode('module')}NNNNtQ`, /only storages/],
    ['a state for a number', 'K\x01}b', /a state for something/],
    [
      'one storage as two types',
      `(${scalar}${scalar.replace('FloatStorage', 'LongStorage')}t`,
      /named as 1 × float32 and as 1 × int64/,
    ],
  ])('%s', async (_, source, message) => {
    await expect(read(`${source}.`)).rejects.toMatchObject({
      code: 'E_MALFORMED',
      message: expect.stringMatching(message),
    });
  });
});

describe('structures', () => {
  const meaning = (): TorchMeaning => new TorchMeaning('t');

  it('a list in itself does not hang', () => {
    const { value } = unpickle(assemble(']q', 0, 'h', 0, 'a.'), 't', meaning());
    expect(flatten(value, new Set(), 't').findings).toMatchObject([{ code: 'CYCLE' }]);
  });

  it('nesting is limited, however it is built', () => {
    let tuple = new PyTuple([]);
    for (let i = 0; i < 100_000; i++) tuple = new PyTuple([tuple]);
    expect(() => flatten(tuple, new Set(), 't')).toThrow(/PICKLE_DEPTH is 1000/);
  });

  it('shared parts are not written out', () => {
    let list = new PyList([1n]);
    for (let i = 0; i < 40; i++) list = new PyList(Array.from({ length: 10 }, () => list));
    const { findings } = flatten(list, new Set(), 't');
    expect(findings).toMatchObject([{ code: 'SHARED_STRUCTURE' }]);
  });

  it('shared parts with tensors are limited', async () => {
    const { value } = unpickle(assemble(`}${unicode('w')}${scalar}s.`), 't', meaning());
    let shared: PyList | PyDict = value as PyDict;
    for (let i = 0; i < 20; i++) shared = new PyList(Array.from({ length: 10 }, () => shared));
    expect(() => flatten(shared, new Set(), 't')).toThrow(
      expect.objectContaining({
        code: 'E_LIMIT',
        details: expect.objectContaining({ limit: 'PICKLE_SHARED' }),
      }),
    );
    expect(LIMITS.PICKLE_SHARED).toBeLessThan(1_000_000);
  });
});
