import { describe, expect, it } from 'vitest';
import { decodeMessage } from '../../../src/formats/onnx/decode.js';
import { encodeToBytes } from '../../../src/formats/onnx/encode.js';
import type { ModelProto } from '../../../src/formats/onnx/schema.js';
import { memorySource } from '../../../src/io/memory.js';
import type { ByteSource } from '../../../src/io/source.js';
import { refusal } from './read.js';
import { bytes, fixed32, int, len, packed, tag, text, varint } from './wire.js';

const decode = async (...parts: readonly Uint8Array[]): Promise<ModelProto> =>
  (await decodeMessage('ModelProto', memorySource(bytes(...parts), 'm.onnx'))).message;
const fails = (...parts: readonly Uint8Array[]) => refusal(decode(...parts));
const attribute = (...parts: readonly Uint8Array[]): Uint8Array => len(7, len(1, len(5, ...parts)));

describe('the wire format', () => {
  it('takes fields in any order, the last of a scalar, and merges messages', async () => {
    const message = await decode(
      len(7, text(2, 'one'), len(11, text(1, 'x'))),
      int(1, 3),
      len(7, text(2, 'two'), len(11, text(1, 'z'))),
      int(1, 8),
    );
    expect(message.irVersion).toBe(8n);
    expect(message.graph?.name).toBe('two');
    expect(message.graph?.input.map(({ name }) => name)).toEqual(['x', 'z']);
  });

  it('takes repeated scalars packed, unpacked and mixed', async () => {
    const message = await decode(attribute(int(8, -1), packed(8, [2n ** 63n - 1n, 300]), int(8, 5)));
    expect(message.graph?.node[0]?.attribute[0]?.ints).toEqual([-1n, 2n ** 63n - 1n, 300n, 5n]);
    const floats = await decode(
      attribute(fixed32(7, 1.5), len(7, fixed32(7, 2).subarray(1), fixed32(7, -0).subarray(1))),
    );
    expect(floats.graph?.node[0]?.attribute[0]?.floats).toEqual([1.5, 2, -0]);
  });

  it('keeps what it does not know, groups too, and writes it back', async () => {
    const odd = [
      int(99, 5),
      text(100, 'later'),
      fixed32(101, 1),
      bytes(tag(102, 1), new Uint8Array(8)),
      bytes(tag(103, 3), int(1, 1), tag(5, 3), tag(5, 4), text(2, 'in'), tag(103, 4)),
      text(1, 'ir_version as text'),
      bytes(tag(7, 0), varint(3)),
      len(5, [1, 2, 3]),
    ];
    const message = await decode(...odd);
    expect(message.irVersion).toBeUndefined();
    expect(message.graph).toBeUndefined();
    expect(message.unknown).toEqual(odd);
    expect(encodeToBytes('ModelProto', message)).toEqual(bytes(...odd));
  });

  it('treats an enum value out of range as unknown', async () => {
    const message = await decode(len(7, len(5, int(14, 7))));
    expect(message.graph?.initializer[0]?.dataLocation).toBeUndefined();
    expect(message.graph?.initializer[0]?.unknown).toEqual([int(14, 7)]);
  });

  it('lets the last member of a oneof win', async () => {
    const type = await decode(len(7, len(11, len(2, len(1, int(1, 1)), len(4)))));
    expect(type.graph?.input[0]?.type?.tensorType).toBeUndefined();
    expect(type.graph?.input[0]?.type?.sequenceType).toBeDefined();
  });

  it('takes varints that are longer than needed', async () => {
    expect((await decode(Uint8Array.of(0x88, 0x80, 0x00, 0x88, 0x80, 0x80, 0x00))).irVersion).toBe(8n);
  });

  it('keeps text that is not UTF-8 and refuses such names', async () => {
    const doc = len(6, [0x61, 0xff]);
    const { message, findings } = await decodeMessage('ModelProto', memorySource(doc));
    expect(findings.map(({ code }) => code)).toEqual(['NOT_UTF8']);
    expect(message.unknown).toEqual([doc]);
    const long = len(6, new Uint8Array(100_000).fill(0xff));
    expect((await decodeMessage('ModelProto', memorySource(long))).message.unknown).toEqual([long]);
    expect((await fails(len(7, len(1, len(3, [0xff]))))).message).toContain('name is not UTF-8');
  });
});

describe('refusals', () => {
  const cases: readonly [string, Uint8Array, string, RegExp][] = [
    ['field number 0', int(0, 1), 'E_MALFORMED', /field number 0/],
    ['wire type 6', tag(14, 6), 'E_MALFORMED', /wire type 6 of field 14/],
    ['a group that is not closed', tag(99, 3), 'E_MALFORMED', /group 99 is not closed/],
    ['a group that was not opened', tag(99, 4), 'E_MALFORMED', /did not begin/],
    ['a group closed by another', bytes(tag(99, 3), tag(98, 4)), 'E_MALFORMED', /closed by 98/],
    ['an open varint', Uint8Array.of(0x08), 'E_TRUNCATED', /ends inside a varint/],
    ['a varint of 11 bytes', bytes([8], new Uint8Array(10).fill(0x80), [1]), 'E_MALFORMED', /more than 10/],
    ['a tag of more than 32 bits', varint(2n ** 40n), 'E_MALFORMED', /field number/],
    ['a length past the file', bytes(tag(6, 2), varint(2n ** 53n + 1n)), 'E_TRUNCATED', /9007199254740993/],
    [
      'a length past its message',
      bytes(len(7, len(1, tag(3, 2), varint(5))), new Uint8Array(20).fill(8)),
      'E_MALFORMED',
      /longer than its message/,
    ],
    ['packed floats of 5 bytes', len(7, len(5, len(4, new Uint8Array(5)))), 'E_MALFORMED', /multiple of 4/],
    [
      'a packed varint that does not end',
      bytes(attribute(len(8, [0x80])), int(1, 8)),
      'E_MALFORMED',
      /ends inside/,
    ],
  ];
  it.each(cases)('%s', async (_, file, code, message) => {
    const error = await fails(file);
    expect(error.code).toBe(code);
    expect(error.message).toMatch(message);
    expect(error.hint).toBeDefined();
    expect(error.details['file']).toBe('m.onnx');
  });

  it('nests 100 messages and not one more, sequences and groups alike', async () => {
    const types = (depth: number): Uint8Array =>
      depth === 0 ? new Uint8Array() : len(4, len(1, types(depth - 1)));
    // graph, input and type are three; a sequence is two.
    await decode(len(7, len(11, len(2, types(48)))));
    expect((await fails(len(7, len(11, len(2, types(49)))))).message).toContain('PROTOBUF_DEPTH');
    const groups = (depth: number): Uint8Array =>
      depth === 0 ? new Uint8Array() : bytes(tag(50, 3), groups(depth - 1), tag(50, 4));
    await decode(groups(100));
    expect((await fails(groups(101))).code).toBe('E_LIMIT');
  });
});

describe('laziness', () => {
  it('reads around the tensors', async () => {
    const weight = 4 * 1024 * 1024;
    const head = len(
      7,
      ...[0, 1, 2].map((i) =>
        len(5, text(8, `w${i}`), int(2, 1), int(1, weight / 4), len(9, new Uint8Array(weight))),
      ),
    );
    let read = 0;
    const inner = memorySource(bytes(int(1, 8), head), 'm.onnx');
    const counting: ByteSource = {
      ...inner,
      read(offset, length) {
        read += length;
        return inner.read(offset, length);
      },
    };
    const { message } = await decodeMessage('ModelProto', counting);
    expect(message.graph?.initializer.map(({ data }) => data[0]?.length)).toEqual([weight, weight, weight]);
    expect(read).toBeLessThan(4 * 64 * 1024 + 1);
  });
});
