import { describe, expect, it } from 'vitest';
import { type ArrayHeader, readHeader } from '../../../src/formats/npz/header.js';
import { parseLiteral } from '../../../src/formats/npz/literal.js';
import { encodeHeader } from '../../../src/formats/npz/write-header.js';

function array(text: string, options: { version?: number; data?: number; length?: number } = {}): Uint8Array {
  const { version = 1, data = 24 } = options;
  const header = Buffer.from(text, version === 3 ? 'utf8' : 'latin1');
  const start = Buffer.alloc(version === 1 ? 10 : 12);
  start.write('\x93NUMPY', 'latin1');
  start.writeUInt8(version, 6);
  const length = options.length ?? header.byteLength;
  if (version === 1) start.writeUInt16LE(length, 8);
  else start.writeUInt32LE(length, 8);
  return Buffer.concat([start, header, Buffer.alloc(data)]);
}
const read = (bytes: Uint8Array): Promise<ArrayHeader> =>
  readHeader(async (length) => bytes.subarray(0, length), bytes.byteLength, { file: 'a.npy' });
const dict = (descr: string, shape = '(6,)', fortran = 'False'): string =>
  `{'descr': ${descr}, 'fortran_order': ${fortran}, 'shape': ${shape}, }`;

describe('npy headers', () => {
  it.each([1, 2, 3])('version %i', async (version) => {
    const header = await read(array(dict("'<f4'", '(2, 3)'), { version }));
    expect(header).toMatchObject({
      dtype: 'f32',
      shape: [2, 3],
      fortran: false,
      bigEndian: false,
      byteLength: 24,
    });
    expect(header.version).toBe(`${version}.0`);
  });

  it.each([
    ["'>i8'", 'i64', true],
    ["'=f4'", 'f32', false],
    ["'f4'", 'f32', false],
    ["'|b1'", 'bool', false],
    ["'?'", 'bool', false],
    ["'float64'", 'f64', false],
    ["u'<u2'", 'u16', false],
    ["'>c8'", 'c64', true],
  ])('descr %s', async (descr, dtype, bigEndian) => {
    expect(await read(array(dict(descr, '(1,)')))).toMatchObject({ dtype, bigEndian, findings: [] });
  });

  it.each([
    ["'|V2'", 'u16'],
    ["'|V1'", 'u8'],
  ])('descr %s keeps the bits and says that the type is lost', async (descr, dtype) => {
    const header = await read(array(dict(descr, '(3,)')));
    expect(header.dtype).toBe(dtype);
    expect(header.findings.map((f) => f.code)).toEqual(['NPY_TYPE_LOST']);
  });

  it('takes odd but legal text: other order, quotes, white space, no padding, a long header', async () => {
    const odd = `  {"shape" :\n\t( 6 ,),'fortran_order':True ,"descr":'<f4'}`;
    expect(await read(array(odd))).toMatchObject({ shape: [6], fortran: true });
    expect(await read(array(dict("'<f4'") + ' '.repeat(50_000)))).toMatchObject({ shape: [6] });
    expect(await read(array(dict("'<f4'", '()')))).toMatchObject({ shape: [], byteLength: 4 });
  });

  it('takes the long integers of Python 2 with a warning, before version 3', async () => {
    const header = await read(array(dict("'<f4'", '(2L, 3L)')));
    expect(header.shape).toEqual([2, 3]);
    expect(header.findings.map((f) => f.code)).toEqual(['NPY_PYTHON2_HEADER']);
    await expect(read(array(dict("'<f4'", '(2L, 3L)'), { version: 3 }))).rejects.toMatchObject({
      code: 'E_MALFORMED',
    });
  });

  it.each<[string, string, Uint8Array]>([
    ['E_UNSAFE', 'objects', array(dict("'|O'"))],
    ['E_UNSAFE', 'objects in a record', array(dict("[('a', '<f4'), ('o', '|O')]"))],
    ['E_UNSUPPORTED', 'records', array(dict("[('a', '<f4'), ('b', [('c', '<i2')])]"))],
    ['E_UNSUPPORTED', 'a subarray', array(dict("('<f4', (2,))"))],
    ['E_UNSUPPORTED', 'strings', array(dict("'<U4'"))],
    ['E_UNSUPPORTED', 'dates', array(dict("'<M8[ns]'"))],
    ['E_UNSUPPORTED', 'extended precision', array(dict("'<f16'"))],
    ['E_UNSUPPORTED', 'version 4', array(dict("'<f4'"), { version: 4 })],
    ['E_MALFORMED', 'an unknown type', array(dict("'<f3'"))],
    ['E_MALFORMED', 'a wide void', array(dict("''"))],
    ['E_MALFORMED', 'a missing key', array("{'descr': '<f4', 'shape': (6,)}")],
    [
      'E_MALFORMED',
      'a key too many',
      array("{'descr': '<f4', 'fortran_order': False, 'shape': (6,), 'x': 1}"),
    ],
    [
      'E_MALFORMED',
      'a key twice',
      array("{'descr': '<f4', 'descr': '<f8', 'fortran_order': False, 'shape': (6,)}"),
    ],
    ['E_MALFORMED', 'no dictionary', array("('<f4', False, (6,))")],
    ['E_MALFORMED', 'text after it', array(`${dict("'<f4'")} x`)],
    ['E_MALFORMED', 'a call', array(dict("'<f4'", '__import__("os").getpid()'))],
    ['E_MALFORMED', 'an expression', array(dict("'<f4'", '(2*3,)'))],
    ['E_MALFORMED', 'an open string', array("{'descr: '<f4'}")],
    ['E_MALFORMED', 'deep nesting', array('('.repeat(60_000))],
    ['E_MALFORMED', 'a shape that is no tuple', array(dict("'<f4'", '(6)'))],
    ['E_MALFORMED', 'a boolean dimension', array(dict("'<f4'", '(True,)'))],
    ['E_MALFORMED', 'a negative dimension', array(dict("'<f4'", '(-1, -6)'))],
    ['E_MALFORMED', 'a huge dimension', array(dict("'<f4'", '(1180591620717411303424,)'))],
    ['E_MALFORMED', 'an overflowing shape', array(dict("'<f4'", '(4294967296, 4294967296, 2)'))],
    ['E_MALFORMED', 'order as a number', array(dict("'<f4'", '(6,)', '1'))],
    ['E_MALFORMED', 'bad UTF-8 in version 3', array('\xff', { version: 2 }).with(6, 3)],
    ['E_LIMIT', 'too many dimensions', array(dict("'<f4'", `(${'1, '.repeat(65)})`))],
    ['E_LIMIT', 'a header past the limit', array(dict("'<f4'") + ' '.repeat(1 << 20), { version: 2 })],
    ['E_TRUNCATED', 'missing data', array(dict("'<f4'"), { data: 23 })],
    ['E_TRUNCATED', 'a header past the end', array(dict("'<f4'"), { version: 2, length: 2 ** 32 - 1 })],
    ['E_TRUNCATED', 'half a magic', Buffer.from('\x93NU', 'latin1')],
    ['E_MALFORMED', 'a pickle', Buffer.from('\x80\x04K\x01.', 'latin1')],
    ['E_MALFORMED', 'nothing', new Uint8Array()],
  ])('%s: %s', async (code, _, bytes) => {
    await expect(read(bytes)).rejects.toMatchObject({ code });
  });

  it('reads back what it writes', async () => {
    for (const shape of [[], [0], [5], [2, 3], [1, 2, 3, 4]]) {
      const count = shape.reduce((a, b) => a * b, 1);
      const bytes = encodeHeader({ name: 'x', dtype: 'c128', shape });
      expect(bytes.byteLength % 64).toBe(0);
      const header = await read(Buffer.concat([bytes, Buffer.alloc(count * 16)]));
      expect(header).toMatchObject({ shape, dtype: 'c128', dataOffset: bytes.byteLength });
    }
  });
});

describe('Python literals', () => {
  it('tells tuples from brackets', () => {
    expect(parseLiteral('(1)').value).toEqual({ kind: 'int', value: 1n });
    expect(parseLiteral('(1,)').value).toMatchObject({ kind: 'tuple' });
    expect(parseLiteral('[1, -2.5, None]').value).toMatchObject({
      kind: 'list',
      items: [{ value: 1n }, { kind: 'float', text: '-2.5' }, { kind: 'none' }],
    });
  });
  it.each(['(1 2)', '(,)', '{1}', '{1: 2 3: 4}', "'a", '1x', '1_0', '', '{', '#'])('refuses %s', (text) => {
    expect(() => parseLiteral(text)).toThrow();
  });
});
