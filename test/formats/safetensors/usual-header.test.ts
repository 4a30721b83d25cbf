import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isMlserError } from '../../../src/errors.js';
import { readHeader } from '../../../src/formats/safetensors/header.js';
import { usualHeader } from '../../../src/formats/safetensors/usual-header.js';
import { memorySource } from '../../../src/io/memory.js';

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);

/** What the header says, or how it is refused. */
async function read(header: Uint8Array, dataBytes: number): Promise<unknown> {
  const file = new Uint8Array(8 + header.length + dataBytes);
  new DataView(file.buffer).setBigUint64(0, BigInt(header.length), true);
  file.set(header, 8);
  try {
    const { entries, metadata, findings } = await readHeader(memorySource(file));
    return { entries, metadata, findings: findings.filter(({ code }) => code !== 'HEADER_LEADING_SPACE') };
  } catch (error) {
    if (!isMlserError(error)) throw error;
    // Places of a header with one more byte in front are one further on.
    return error.message.replace(/\d+/g, '#');
  }
}

/** With a space in front nothing is usual any more: the strict reader's word. */
async function asStrict(text: string, dataBytes = 4): Promise<void> {
  const [bytes, spaced] = [utf8(text), utf8(` ${text}`)];
  expect(usualHeader(spaced, '__metadata__')).toBe(undefined);
  expect(await read(bytes, dataBytes), text).toEqual(await read(spaced, dataBytes));
}

const A = '"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}';

describe('a header read at once', () => {
  it('is what all writers make', () => {
    for (const text of [
      `{${A}}`,
      `{"__metadata__":{"format":"pt"},${A}}   `,
      '{}',
      `{"é":{"dtype":"U8","shape":[],"data_offsets":[0,1]}}`,
    ])
      expect(usualHeader(utf8(text), '__metadata__'), text).toBeDefined();
  });

  it.each([
    `{${A},${A}}`,
    `{${A.replace('[1]', '[1.0]')}}`,
    `{${A.replace('[1]', '[1e0]')}}`,
    `{${A.replace('[1]', '[-0]')}}`,
    `{${A.replace('[1]', '[-1]')}}`,
    `{${A.replace('[1]', '[true]')}}`,
    `{${A.replace('[1]', '[9007199254740993]')}}`,
    `{${A.replace('[1]', '[9007199254740992]')}}`,
    `{${A.replace('[1]', '[1],"shape":[1]')}}`,
    `{${A.replace('[1]', '[1],"other":[{}]')}}`,
    `{${A.replace('[0,4]', '[0,4,4]')}}`,
    `{${A.replace('[0,4]', '[0]')}}`,
    `{${A.replace('F32', 'F99')}}`,
    `{${A.replace('"a"', '"\\ud800"')}}`,
    `{${A.replace('"a"', '"\\u0061"')}}`,
    `{${A.replace('"a"', '"__proto__"')}}`,
    `{"2":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"1":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}}`,
    `{"1":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"2":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}}`,
    `{"__metadata__":null,${A}}`,
    `{"__metadata__":{"a":1},${A}}`,
    `{"__metadata__":{"a":"1","a":"2"},${A}}`,
    `{"__metadata__":{},"__metadata__":{},${A}}`,
    `{${A}}\n`,
    `{${A}}x`,
    `{${A}`,
    '[]',
    'null',
    '',
  ])('gives nothing but what the strict reader does: %s', async (text) => {
    if (text !== '') await asStrict(text);
    expect(usualHeader(utf8(''), '__metadata__')).toBe(undefined);
  });

  it('leaves a header as deep as it is long to the strict reader', async () => {
    const deep = `{"a":${'['.repeat(300_000)}${']'.repeat(300_000)}}`;
    expect(usualHeader(utf8(deep), '__metadata__')).toBe(undefined);
    await asStrict(deep);
  });

  it('never differs from it, whatever one byte becomes', async () => {
    const text = `{"__metadata__":{"k":"v"},${A},"b":{"dtype":"I16","shape":[2,3],"data_offsets":[4,16]}}`;
    await fc.assert(
      fc.asyncProperty(
        fc.nat(text.length - 1),
        fc.constantFrom(...'{}[]":,0129.-eEaF \\\t\u0001'),
        fc.boolean(),
        async (at, what, insert) => asStrict(text.slice(0, at) + what + text.slice(insert ? at : at + 1), 16),
      ),
      { numRuns: 1500, seed: 7 },
    );
  });
});
