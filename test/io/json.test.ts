import { describe, expect, it } from 'vitest';
import { LIMITS } from '../../src/core/limits.js';
import { MlserError } from '../../src/errors.js';
import { formatJson, parseJson } from '../../src/io/json.js';
import { JSON_DEPTH, JsonReader } from '../../src/io/json-reader.js';
import { hasLoneSurrogate } from '../../src/io/utf8.js';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const parse = (text: string) => parseJson(bytes(text), 'x.json');
const unsigned = (text: string): number | bigint => {
  let value: number | bigint = -1;
  const reader = new JsonReader(bytes(`[${text}]`), 'x.json');
  reader.array(() => {
    value = reader.unsigned('a count');
  });
  return value;
};

describe('strict JSON', () => {
  it('keeps the order of integer-like keys and __proto__ as plain keys', () => {
    const tree = parse('{"10":1,"2":2,"__proto__":{"x":3},"1":4}') as ReadonlyMap<string, unknown>;
    expect([...tree.keys()]).toEqual(['10', '2', '__proto__', '1']);
    expect(Object.prototype).not.toHaveProperty('x');
  });

  it('agrees with JSON.parse on ordinary documents', () => {
    const text = ' {"a":[1,-2.5,1e3,0,true,false,null,"\\u00e9\\n\\ud83d\\ude00/\\/é"],"b":{},"c":[]}\n\t';
    expect(formatJson(parse(text))).toBe(JSON.stringify(JSON.parse(text)));
  });

  it('keeps integers exact and tells them from fractions', () => {
    expect(parse('9007199254740993')).toBe(9007199254740993n);
    expect(parse('-9007199254740993')).toBe(-9007199254740993n);
    expect(parse('9007199254740991')).toBe(9007199254740991);
    expect(unsigned('24')).toBe(24);
    expect(unsigned('0')).toBe(0);
    expect(unsigned(' 18446744073709551615 ')).toBe(18446744073709551615n);
  });

  it.each([
    '24.0',
    '2.4e1',
    '-1',
    '-0',
    '18446744073709551616',
    'true',
    '"24"',
    '[1]',
    'null',
    '01',
    `1${'0'.repeat(999)}`,
  ])('refuses case %# as an unsigned integer', (text) => {
    expect(() => unsigned(text)).toThrow(MlserError);
  });

  it('prints the number that was refused as it stands in the file', () => {
    expect(() => unsigned('18446744073709551616')).toThrow(/18446744073709551616 for a count.*at byte 1/);
  });

  it.each([
    ['', /ends where a value was needed/],
    ['{"a":1', /ends where "," or "}" was needed/],
    ['{"a":1,}', /where a key in double quotes was needed/],
    ["{'a':1}", /where a key in double quotes was needed/],
    ['{a:1}', /where a key in double quotes was needed/],
    ['[1,]', /where a value was needed/],
    ['[1 2]', /where "," or "\]" was needed/],
    ['NaN', /where a value was needed/],
    ['nul', /where a value was needed/],
    ['1.', /where a digit was needed/],
    ['1e', /where a digit was needed/],
    ['01', /where the end was needed/],
    ['+1', /where a value was needed/],
    ['"a', /ends inside a string/],
    ['"\\', /ends inside a string/],
    ['"\\x41"', /wrong escape/],
    ['"\u0001"', /control character/],
    ['{} x', /where the end was needed/],
    ['/**/{}', /where a value was needed/],
    ['"\\ud800"', /half of a surrogate pair/],
    ['"\\udc00\\ud800"', /half of a surrogate pair/],
    ['{"a":1,"\\u0061":2}', /the key "a" twice/],
    ['\ufeff{}', /byte order mark/],
    [`1${'0'.repeat(1000)}`, /number of 1001 characters/],
  ])('refuses document %#', (text, message) => {
    expect(() => parse(text)).toThrow(message);
  });

  it.each([
    [Uint8Array.of(0x22, 0x61, 0xff, 0x22), 2],
    [Uint8Array.of(0x22, 0xc0, 0xaf, 0x22), 1], // overlong
    [Uint8Array.of(0x22, 0xed, 0xa0, 0x80, 0x22), 2], // a surrogate: its second byte is out of range
    [Uint8Array.of(0x22, 0xe2, 0x82), 3], // cut off
    [Uint8Array.from({ length: 10_000 }, (_, i) => (i === 9_000 ? 0xfe : i % 2 ? 0xa9 : 0xc3)), 9_000],
  ])('says where bytes stop being UTF-8', (wrong, at) => {
    expect(() => parseJson(wrong, 'x.json', { base: 8 })).toThrow(`is not valid UTF-8, at byte ${8 + at}`);
  });

  it('bounds nesting, for trees and for skipped values', () => {
    expect(JSON_DEPTH).toBe(LIMITS.JSON_DEPTH);
    const nested = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth);
    expect(() => parse(nested(JSON_DEPTH))).not.toThrow();
    expect(() => parse(nested(JSON_DEPTH + 1))).toThrow(expect.objectContaining({ code: 'E_LIMIT' }));
    const skip = new JsonReader(bytes(nested(100_000)), 'x.json');
    expect(() => skip.skip()).toThrow(/JSON_DEPTH/);
  });

  it('is linear: 200,000 keys and one string of 20 MB of escapes', () => {
    const keys = Array.from({ length: 200_000 }, (_, i) => `"k${i}":${i}`).join(',');
    const text = `{${keys},"long":"${'\\n'.repeat(10_000_000)}"}`;
    const started = performance.now();
    expect((parse(text) as ReadonlyMap<string, unknown>).size).toBe(200_001);
    expect(performance.now() - started).toBeLessThan(10_000);
  });

  it('tells text without a UTF-8 form', () => {
    expect(hasLoneSurrogate('a😀é')).toBe(false);
    expect(hasLoneSurrogate('a\ud83d')).toBe(true);
  });
});
