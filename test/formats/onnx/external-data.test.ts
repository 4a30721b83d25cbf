import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { readBytes, refusal, tensorBytes } from './read.js';
import { initializer, int, len, model, text } from './wire.js';

const entry = (key: string, value: string): Uint8Array => len(13, text(1, key), text(2, value));
const external = (keys: readonly (readonly [string, string])[], ...more: readonly Uint8Array[]): Uint8Array =>
  model([initializer('w', 1, [2], int(14, 1), ...keys.map(([key, value]) => entry(key, value)), ...more)]);
const data = Uint8Array.from({ length: 16 }, (_, i) => i);
const side = { 'w.bin': data };
const fails = (...keys: readonly (readonly [string, string])[]) => refusal(readBytes(external(keys), side));
const codes = async (...keys: readonly (readonly [string, string])[]): Promise<string[]> =>
  (await readBytes(external(keys), side)).findings.map(({ code }) => code);

describe('external data', () => {
  it('is a range of its file', async () => {
    const opened = await readBytes(
      external([
        ['location', 'w.bin'],
        ['offset', '8'],
        ['length', '8'],
      ]),
      side,
    );
    expect(await tensorBytes(opened, 'w')).toEqual([...data.subarray(8)]);
    expect(opened.tensors[0]?.location).toEqual({ file: 'w.bin', offset: 8 });
    expect(opened.findings).toEqual([]);
  });

  it('ties tensors that share a range', async () => {
    const place = [entry('location', 'w.bin'), entry('offset', '0'), entry('length', '8')];
    const opened = await readBytes(
      model([
        initializer('a', 1, [2], int(14, 1), ...place),
        initializer('b', 1, [2], int(14, 1), ...place),
        initializer('c', 6, [2], int(14, 1), ...place),
      ]),
      side,
    );
    expect([...opened.aliases]).toEqual([['b', 'a']]);
  });

  it('accepts what is odd with a finding', async () => {
    expect(await codes(['location', 'w.bin'], ['offset', ' +8 '], ['length', '8'])).toEqual([
      'EXTERNAL_NUMBER',
    ]);
    expect(await codes(['location', 'w.bin'], ['__proto__', 'x'], ['length', '8'])).toEqual([
      'EXTERNAL_KEYS',
    ]);
    expect(await codes(['location', 'w.bin'])).toEqual(['EXTERNAL_SIZE']);
    expect(await codes(['location', 'w.bin'], ['basepath', 'x'], ['length', '8'])).toEqual([]);
    expect(Object.prototype).not.toHaveProperty('x');
  });

  it('holds a file against its checksum', async () => {
    const sha1 = createHash('sha1').update(data).digest('hex');
    expect(await codes(['location', 'w.bin'], ['length', '8'], ['checksum', sha1.toUpperCase()])).toEqual([]);
    const error = await fails(['location', 'w.bin'], ['length', '8'], ['checksum', '0'.repeat(40)]);
    expect(error.code).toBe('E_INTEGRITY');
    expect(error.message).toContain(sha1);
  });

  it('holds a large file against its checksum before the first byte is used', async () => {
    const large = new Uint8Array(17 * 1024 * 1024);
    const keys = [
      ['location', 'w.bin'],
      ['length', '8'],
      ['checksum', '1'.repeat(40)],
    ] as const;
    const opened = await readBytes(external(keys), { 'w.bin': large });
    expect(opened.tensors[0]?.recipe).toBeUndefined();
    expect((await refusal(tensorBytes(opened, 'w'))).code).toBe('E_INTEGRITY');
  });

  it.each([
    ['no location', [], 'E_MALFORMED', /without a location/],
    ['a file that is not there', [['location', 'gone.bin']], 'E_NOT_FOUND', /gone\.bin/],
    [
      'two locations',
      [
        ['location', 'w.bin'],
        ['location', 'v.bin'],
      ],
      'E_MALFORMED',
      /two values for location/,
    ],
    [
      'an offset past the end',
      [
        ['location', 'w.bin'],
        ['offset', '9'],
      ],
      'E_TRUNCATED',
      /9 to 17 of w\.bin, which has 16/,
    ],
    [
      'an offset of 2^64',
      [
        ['location', 'w.bin'],
        ['offset', '18446744073709551616'],
      ],
      'E_TRUNCATED',
      /18446744073709551616/,
    ],
    [
      'a short length',
      [
        ['location', 'w.bin'],
        ['length', '4'],
      ],
      'E_MALFORMED',
      /length 4, the shape needs 8/,
    ],
    [
      'a hexadecimal offset',
      [
        ['location', 'w.bin'],
        ['offset', '0x0'],
      ],
      'E_MALFORMED',
      /"0x0" is not a decimal/,
    ],
    [
      'an empty offset',
      [
        ['location', 'w.bin'],
        ['offset', ''],
      ],
      'E_MALFORMED',
      /"" is not a decimal/,
    ],
  ] as const)('refuses %s', async (_, keys, code, message) => {
    const error = await fails(...keys);
    expect(error.code).toBe(code);
    expect(error.message).toMatch(message);
  });

  it('refuses data in two places, and strings outside', async () => {
    const both = external([['location', 'w.bin']], len(9, new Uint8Array(8)));
    expect((await refusal(readBytes(both, side))).message).toContain('stored externally but has raw_data');
    const strings = model([initializer('s', 8, [1], int(14, 1), entry('location', 'w.bin'))]);
    expect((await refusal(readBytes(strings, side))).message).toContain(
      'strings cannot be stored externally',
    );
  });
});
