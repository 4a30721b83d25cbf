import { readFileSync } from 'node:fs';
import protobuf from 'protobufjs';
import { describe, expect, it } from 'vitest';
import { DATA } from '../../../src/formats/onnx/data-span.js';
import { decodeMessage } from '../../../src/formats/onnx/decode.js';
import { ONNX_DTYPES, onnxType, onnxTypeOf } from '../../../src/formats/onnx/dtypes.js';
import { encodeToBytes } from '../../../src/formats/onnx/encode.js';
import { ENUMS, SCHEMA } from '../../../src/formats/onnx/schema.js';
import { memorySource } from '../../../src/io/memory.js';

const { root } = protobuf.parse(readFileSync('schemas/onnx.proto', 'utf8'), { keepCase: false });
/** TypeProto.Tensor is TypeProtoTensor in our table. */
const flatName = (type: protobuf.ReflectionObject): string =>
  type.fullName.replace(/^\.onnx\./, '').replaceAll('.', '');

function messages(namespace: protobuf.NamespaceBase): protobuf.Type[] {
  return namespace.nestedArray.flatMap((object) =>
    object instanceof protobuf.Type
      ? [object, ...messages(object)]
      : object instanceof protobuf.Namespace
        ? messages(object)
        : [],
  );
}

describe('the schema table', () => {
  root.resolveAll();
  const types = messages(root);
  const dataFields: ReadonlySet<number> = new Set(Object.values(DATA));

  it('has the messages of schemas/onnx.proto', () => {
    expect(new Set(Object.keys(SCHEMA))).toEqual(new Set(types.map(flatName)));
  });

  it.each(types.map((type) => [flatName(type), type] as const))('%s has the same fields', (name, type) => {
    const ours = Object.entries(SCHEMA[name as keyof typeof SCHEMA]).map(([key, field]) => [key, field]);
    const theirs = type.fieldsArray
      .filter(({ id }) => name !== 'TensorProto' || !dataFields.has(id))
      .map((field) => [
        field.name,
        {
          id: field.id,
          type:
            field.resolvedType instanceof protobuf.Type
              ? flatName(field.resolvedType)
              : field.type.split('.').at(-1),
          many: field.repeated,
          choice: field.partOf !== null && field.partOf !== undefined,
        },
      ]);
    expect(new Map(ours as [string, unknown][])).toEqual(new Map(theirs as [string, unknown][]));
  });

  it('has the enums without gaps', () => {
    for (const [name, max] of Object.entries(ENUMS)) {
      const values = Object.values(root.lookupEnum(name).values).sort((a, b) => a - b);
      expect(values).toEqual(Array.from({ length: max + 1 }, (_, i) => i));
    }
  });

  it('maps every data type to one of ours and back', () => {
    const { values } = root.lookupEnum('onnx.TensorProto.DataType');
    for (const [name, id] of Object.entries(values).filter(([, id]) => id > 0)) {
      const type = onnxType(id)!;
      expect(type.onnx).toBe(name);
      expect(onnxTypeOf(type.dtype)).toBe(type);
    }
    expect(ONNX_DTYPES.size).toBe(Object.keys(values).length - 1);
  });
});

describe('against protobufjs', () => {
  const ModelProto = root.lookupType('onnx.ModelProto');
  const plain = (bytes: Uint8Array): unknown =>
    ModelProto.toObject(ModelProto.decode(bytes), { longs: String, bytes: Array, arrays: true });

  it.each(['mlp.ts13', 'mlp.dynamo21', 'control_flow.ts17', 'digits_mlp.nbits4', 'if_initializers'])(
    '%s is decoded and encoded to the same message, and to the same bytes',
    async (name) => {
      const file = Uint8Array.from(readFileSync(`fixtures/onnx/${name}.onnx`));
      // A source that keeps everything in memory, so that the encoder has all bytes.
      const { message } = await decodeMessage('ModelProto', memorySource(file));
      const { size, parts } = await import('../../../src/formats/onnx/encode.js').then(({ encodeMessage }) =>
        encodeMessage('ModelProto', message),
      );
      const written = new Uint8Array(size);
      for (const part of parts) {
        if ('bytes' in part) written.set(part.bytes, part.at);
        else {
          let at = part.at;
          for await (const chunk of part.content.stream()) {
            written.set(chunk, at);
            at += chunk.length;
          }
        }
      }
      expect(plain(written)).toEqual(plain(file));
      expect(Buffer.compare(written, file)).toBe(0);
    },
  );

  it('encodes values at their edges as protobufjs reads them', async () => {
    const { create } = await import('../../../src/formats/onnx/schema.js');
    const message = create('ModelProto', {
      irVersion: -1n,
      modelVersion: -(2n ** 63n),
      docString: 'ключ 𝔘 '.repeat(100),
      graph: create('GraphProto', {
        node: [
          create('NodeProto', {
            attribute: [
              create('AttributeProto', {
                name: 'a',
                type: 7,
                ints: [0n, 127n, 128n, 2n ** 53n + 1n, 2n ** 63n - 1n, -1n],
              }),
              create('AttributeProto', { name: 'b', type: 6, floats: [0, -0, 1.5, Infinity] }),
              create('AttributeProto', { name: 'c', type: 3, s: Uint8Array.of(0, 255) }),
            ],
          }),
        ],
        input: [
          create('ValueInfoProto', {
            type: create('TypeProto', { tensorType: create('TypeProtoTensor', { elemType: -5 }) }),
          }),
        ],
      }),
    });
    const bytes = encodeToBytes('ModelProto', message);
    const read = ModelProto.decode(bytes);
    expect(Buffer.compare(ModelProto.encode(read).finish(), bytes)).toBe(0);
    expect((await decodeMessage('ModelProto', memorySource(bytes))).message).toEqual(message);
  });
});
