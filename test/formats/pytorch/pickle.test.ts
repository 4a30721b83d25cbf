import { describe, expect, it } from 'vitest';
import { type PickleMeaning, unpickle } from '../../../src/formats/pytorch/pickle.js';
import {
  PyDict,
  PyGlobal,
  type PyList,
  PyObject,
  type PySet,
  PyTuple,
  type PyValue,
} from '../../../src/formats/pytorch/values.js';
import { assemble, unicode } from './support.js';

const meaning: PickleMeaning = {
  global: (module, name) => new PyGlobal(module, name),
  call: (callable, args) => new PyObject(callable as PyGlobal, args),
  instance: (cls, args) => new PyObject(cls as PyGlobal, args),
  build(object, state) {
    (object as PyObject).state = state;
  },
  persistent: (id) => new PyTuple(['persistent', id]),
};
const run = (...parts: readonly (string | number)[]): PyValue =>
  unpickle(new Uint8Array(assemble(...parts)), 'p', meaning).value;
const items = (value: PyValue): readonly PyValue[] => (value as PyList | PyTuple | PySet).items;
const entries = (value: PyValue) => (value as PyDict).entries;

describe('values', () => {
  it.each<[string, readonly (string | number)[], PyValue]>([
    ['None', ['N.'], null],
    ['True of protocol 0', ['I01\n.'], true],
    ['False of protocol 2', [0x80, 2, 0x89, '.'], false],
    ['INT', ['I-12\n.'], -12n],
    ['LONG', ['L123456789012345678901234567890L\n.'], 123456789012345678901234567890n],
    ['BININT', ['J', 0xff, 0xff, 0xff, 0xff, '.'], -1n],
    ['BININT1', ['K', 255, '.'], 255n],
    ['BININT2', ['M', 0x34, 0x12, '.'], 0x1234n],
    ['LONG1 of 0 bytes', [0x8a, 0, '.'], 0n],
    ['LONG1', [0x8a, 2, 0x00, 0x80, '.'], -32768n],
    ['LONG4', [0x8b, 3, 0, 0, 0, 1, 2, 3, '.'], 0x030201n],
    ['FLOAT', ['F-1e-05\n.'], -1e-5],
    ['FLOAT inf', ['F-inf\n.'], -Infinity],
    ['BINFLOAT', ['G', 0x3f, 0xf8, 0, 0, 0, 0, 0, 0, '.'], 1.5],
    ['STRING', ["S'it\\'s \\x41\\n'\n."], "it's A\n"],
    ['UNICODE', ['V\\u0416\\\\n\n.'], 'Ж\\\\n'],
    ['BINUNICODE', [unicode('ключ'), '.'], 'ключ'],
    ['a lone surrogate', ['X', 4, 0, 0, 0, 'a', 0xed, 0xa0, 0x80, '.'], 'a\ud800'],
    ['SHORT_BINSTRING in UTF-8', ['U', 2, 0xc3, 0xa9, '.'], 'é'],
    ['SHORT_BINSTRING in latin1', ['U', 1, 0xe9, '.'], 'é'],
    ['SHORT_BINUNICODE', [0x8c, 2, 'ab', '.'], 'ab'],
    ['DUP and POP', ['K', 1, '20K', 2, '0.'], 1n],
    ['POP of a mark', ['K', 1, '(0.'], 1n],
    ['POP_MARK', ['K', 1, '(NN1.'], 1n],
  ])('%s', (_, source, value) => {
    expect(run(...source)).toStrictEqual(value);
  });

  it('keeps the bytes of bytes', () => {
    expect(run('C', 3, 0, 255, 10, '.')).toEqual(Uint8Array.of(0, 255, 10));
    expect(run('B', 1, 0, 0, 0, 7, '.')).toEqual(Uint8Array.of(7));
    expect(run(0x96, 2, 0, 0, 0, 0, 0, 0, 0, 1, 2, '.')).toEqual(Uint8Array.of(1, 2));
  });

  it('builds lists, tuples, sets and dictionaries', () => {
    expect(items(run('](K', 1, 'K', 2, 'eK', 3, 'a.'))).toEqual([1n, 2n, 3n]);
    expect(items(run('(K', 1, 'l.'))).toEqual([1n]);
    expect(items(run('NN', 0x86, '.'))).toEqual([null, null]);
    expect(items(run('K', 1, 'K', 2, 'K', 3, 0x87, '.'))).toEqual([1n, 2n, 3n]);
    expect(items(run(0x8f, '(K', 1, 0x90, '.'))).toEqual([1n]);
    expect(entries(run('(K', 1, 'K', 2, 'd.'))).toEqual([[1n, 2n]]);
    expect(entries(run('}(K', 1, 'K', 2, 'K', 3, 'K', 4, 'u.'))).toEqual([
      [1n, 2n],
      [3n, 4n],
    ]);
  });

  it('keys are equal as Python holds them equal, and keep their place', () => {
    const value = run('}K', 1, 'NsX\x01\0\0\x001Ns\x88K', 7, 's.');
    expect(entries(value)).toEqual([
      [1n, 7n],
      ['1', null],
    ]);
  });

  it('shares what the memo shares', () => {
    const [a, b] = items(run(']q', 0, 'h', 0, 0x86, '.'));
    expect(a).toBe(b);
    const list = run(']', 0x94, 'h', 0, 'a.');
    expect(items(list)[0]).toBe(list); // a list in itself
  });

  it('names, calls and states', () => {
    const object = run(unicode('m'), unicode('N'), 0x93, '(K', 1, 't', 0x81, '}b.') as PyObject;
    expect(object.cls.path).toBe('m.N');
    expect(items(object.args)).toEqual([1n]);
    expect(object.state).toBeInstanceOf(PyDict);
    expect((run('cm\nf\n)R.') as PyObject).cls.path).toBe('m.f');
    expect((run('(im\nC\n.') as PyObject).cls.path).toBe('m.C');
    expect((run('(cm\nC\nK', 5, 'o.') as PyObject).args.items).toEqual([5n]);
    expect(items(run('K', 9, 'Q.'))).toEqual(['persistent', 9n]);
  });

  it('tells where the pickle ends', () => {
    expect(unpickle(assemble('N.rest'), 'p', meaning).length).toBe(2);
  });
});

describe('broken pickles', () => {
  it.each<[string, readonly (string | number)[], string, RegExp]>([
    ['nothing', [], 'E_TRUNCATED', /without STOP/],
    ['no STOP', ['N'], 'E_TRUNCATED', /without STOP/],
    ['cut argument', ['X', 9, 0, 0, 0, 'abc'], 'E_TRUNCATED', /9 bytes were needed/],
    ['line without end', ['cos\nsys'], 'E_TRUNCATED', /has no end/],
    ['empty stack', ['.'], 'E_MALFORMED', /stack is empty/],
    ['underflow past a mark', ['K', 1, '(', 0x85, '.'], 'E_MALFORMED', /stack is empty/],
    ['no mark', ['Nt.'], 'E_MALFORMED', /no mark/],
    ['unknown byte', [0xff, '.'], 'E_MALFORMED', /0xff is no pickle opcode/],
    ['memo entry', ['h', 3, '.'], 'E_MALFORMED', /memo entry 3/],
    ['odd pairs', ['}(Nu.'], 'E_MALFORMED', /no value/],
    ['append to dict', ['}Na.'], 'E_MALFORMED', /list/],
    ['set item of list', [']NNs.'], 'E_MALFORMED', /dictionary/],
    ['protocol', [0x80, 6, 'N.'], 'E_MALFORMED', /protocol 6/],
    ['negative length', [0x8b, 0xff, 0xff, 0xff, 0xff, '.'], 'E_MALFORMED', /negative/],
    ['length 2^63', [0x8e, 0, 0, 0, 0, 0, 0, 0, 0x80, '.'], 'E_MALFORMED', /9223372036854775808/],
    ['integer text', ['I0x10\n.'], 'E_MALFORMED', /not an integer/],
    ['float text', ['F1,5\n.'], 'E_MALFORMED', /not a number/],
    ['not UTF-8', ['X', 1, 0, 0, 0, 0xff, '.'], 'E_MALFORMED', /UTF-8/],
    ['frame', [0x95, 9, 0, 0, 0, 0, 0, 0, 0, 'N.'], 'E_TRUNCATED', /frame/],
    ['extension registry', [0x82, 1, '.'], 'E_UNSUPPORTED', /extension registry/],
    ['out-of-band buffer', [0x97, '.'], 'E_UNSUPPORTED', /buffer/],
  ])('%s', (_, source, code, message) => {
    expect(() => run(...source)).toThrow(
      expect.objectContaining({ code, message: expect.stringMatching(message) }),
    );
  });

  it('names the offset', () => {
    expect(() => run('NN0h', 3, '.')).toThrow(
      expect.objectContaining({ details: expect.objectContaining({ file: 'p', offset: 3 }) }),
    );
  });
});
