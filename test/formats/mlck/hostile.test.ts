import { describe, expect, it } from 'vitest';
import type { StateNode } from '../../../src/core/training.js';
import { isMlserError } from '../../../src/errors.js';
import { encodeManifest } from '../../../src/formats/mlck/encode.js';
import { encodeFooter } from '../../../src/formats/mlck/frame.js';
import { FOOTER_BYTES } from '../../../src/formats/mlck/layout.js';
import type { TensorRecord } from '../../../src/formats/mlck/manifest.js';
import { checkpointModel } from '../../support/checkpoint-model.js';
import { mutations, prefixes } from '../../support/mutate.js';
import { sampleModel } from '../../support/sample-model.js';
import { changed, manifestOf, open, readAll, withManifest, write } from './files.js';

const bytes = await write(checkpointModel());
const packed = await write(checkpointModel(), { compress: true });
const plain = await write(sampleModel('f32'));

/** Opening the sample with its records changed. */
const opened = async (
  change: (records: readonly TensorRecord[]) => Partial<TensorRecord>[],
): Promise<unknown> => {
  const record: TensorRecord = { ...(await manifestOf(plain)).tensors[0]! };
  return open(
    await changed(plain, ({ tensors }) => ({ tensors: change(tensors).map((r) => ({ ...record, ...r })) })),
  );
};
const malformed = { code: 'E_MALFORMED' };

describe('a file cut off', () => {
  it('anywhere is refused', async () => {
    for (const whole of [bytes, packed])
      for (const prefix of prefixes(whole, 400)) {
        const code = await open(prefix).then(
          () => 'read',
          (error) => error.code,
        );
        expect(code, `${prefix.byteLength} bytes`).toBe(
          prefix.byteLength < 8 ? 'E_MALFORMED' : 'E_TRUNCATED',
        );
      }
  });

  it('or with something appended is refused', async () => {
    await expect(open(Buffer.concat([bytes, Uint8Array.of(0)]))).rejects.toMatchObject({
      code: 'E_TRUNCATED',
    });
  });
});

describe('damage', () => {
  it('of any byte of header, manifest and footer is noticed', async () => {
    const view = new DataView(bytes.buffer, bytes.byteOffset + bytes.byteLength - FOOTER_BYTES);
    const start = Number(view.getBigUint64(0, true));
    const places = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9];
    for (let at = start; at < bytes.byteLength; at += 3) places.push(at);
    for (const at of places) {
      const copy = Uint8Array.from(bytes);
      copy[at] = (copy[at] ?? 0) ^ (1 << (at % 8));
      await expect(open(copy), `byte ${at}`).rejects.toSatisfy(isMlserError);
    }
  });

  it('of any kind ends in a model or a coded error', async () => {
    let errors = 0;
    for (const [seed, whole] of Object.entries({ bytes, packed, plain }))
      for (const copy of mutations(whole, 300, seed))
        await readAll(copy).catch((error) => {
          if (!isMlserError(error)) throw error;
          errors += 1;
        });
    expect(errors).toBeGreaterThan(600);
  });

  it('inside a manifest whose SHA-256 was made to fit ends in a model or a coded error', async () => {
    const codes = new Set<string>();
    for (const [seed, whole] of Object.entries({ one: bytes, two: packed, three: plain })) {
      const view = new DataView(whole.buffer, whole.byteOffset + whole.byteLength - FOOTER_BYTES);
      const offset = Number(view.getBigUint64(0, true));
      const manifest = whole.subarray(offset, -FOOTER_BYTES);
      for (const copy of [...mutations(manifest, 500, seed), ...prefixes(manifest, 100)])
        await readAll(withManifest(whole, copy)).catch((error) => {
          if (!isMlserError(error)) throw error;
          codes.add(error.code);
        });
    }
    expect([...codes].sort()).toEqual(
      expect.arrayContaining(['E_INTEGRITY', 'E_MALFORMED', 'E_UNSUPPORTED']),
    );
  });
});

describe('a footer that lies', () => {
  it.each([
    [0, 'before the data'],
    [2 ** 40, 'past the end'],
    [bytes.byteLength, 'at the end'],
  ])('with the manifest at %d, %s', async (at) => {
    const manifest = new Uint8Array(16);
    await expect(open(withManifest(bytes, manifest, at))).rejects.toMatchObject(malformed);
  });

  it('with an offset past 2^53 or lengths that overflow', async () => {
    for (const [offset, length] of [
      [2n ** 64n - 1n, 10n],
      [64n, 2n ** 64n - 1n],
      [2n ** 53n - 1n, 2n ** 53n - 1n],
    ] as const) {
      const footer = encodeFooter(64, new Uint8Array());
      const view = new DataView(footer.buffer);
      view.setBigUint64(0, offset, true);
      view.setBigUint64(8, length, true);
      const { crc32 } = await import('../../../src/io/crc32.js');
      view.setUint32(56, crc32(footer.subarray(0, 56)), true);
      await expect(open(Buffer.concat([bytes.subarray(0, -FOOTER_BYTES), footer]))).rejects.toMatchObject(
        malformed,
      );
    }
  });
});

describe('a manifest that lies', () => {
  it.each<[string, (records: readonly TensorRecord[]) => Partial<TensorRecord>[]]>([
    ['two tensors of one name', ([a]) => [a!, a!]],
    ['tensors that overlap', ([a, b]) => [a!, { ...b!, offset: a!.offset + 64 }]],
    ['tensors at one place', ([a, b]) => [a!, { ...b!, offset: a!.offset }]],
    ['an offset inside the header', ([a]) => [{ ...a!, offset: 0 }]],
    ['an offset that is not aligned', ([a]) => [{ ...a!, offset: 100 }]],
    ['an offset past the data', ([a]) => [{ ...a!, offset: 64 * 1000 }]],
    ['an offset past 2^52', ([a]) => [{ ...a!, offset: 2 ** 52 }]],
    ['a length that the shape contradicts', ([a]) => [{ ...a!, byteLength: 196 }]],
    ['a shape that overflows', ([a]) => [{ ...a!, shape: [2 ** 40, 2 ** 40], byteLength: 8 }]],
    ['a shape past the file', ([a]) => [{ ...a!, shape: [2 ** 40], byteLength: 2 ** 42 }]],
    ['no chunk length', ([a]) => [{ ...a!, chunkBytes: 0 }]],
    ['a chunk length that is not aligned', ([a]) => [{ ...a!, chunkBytes: 100 }]],
    ['a chunk length of 1 GiB', ([a]) => [{ ...a!, chunkBytes: 2 ** 30 }]],
    ['chunks without sums', ([a]) => [{ ...a!, crcs: [] }]],
    ['sums without chunks', ([a]) => [{ ...a!, crcs: [1, 2] }]],
    ['codecs without lengths', ([a]) => [{ ...a!, codecs: [1] }]],
    ['more lengths than chunks', ([a]) => [{ ...a!, codecs: [1, 1], storedLengths: [1, 1] }]],
    ['a raw chunk of another length', ([a]) => [{ ...a!, codecs: [0], storedLengths: [100] }]],
    ['a chunk longer than raw', ([a]) => [{ ...a!, codecs: [1], storedLengths: [193] }]],
    ['a chunk of no bytes', ([a]) => [{ ...a!, codecs: [1], storedLengths: [0] }]],
    ['a chunk for an empty tensor', ([a]) => [{ ...a!, shape: [0], byteLength: 0 }]],
    ['an alias of nothing', ([a]) => [{ ...a!, aliasOf: 'x' }]],
    ['an alias of itself', ([a]) => [{ ...a!, aliasOf: a!.name }]],
    [
      'aliases in a circle',
      ([a, b]) => [
        { ...a!, aliasOf: b!.name },
        { ...b!, aliasOf: a!.name },
      ],
    ],
    [
      'an alias of an alias',
      ([a]) => [a!, { ...a!, name: 'b', aliasOf: a!.name }, { ...a!, name: 'c', aliasOf: 'b' }],
    ],
    ['an alias of a later tensor', ([a, b]) => [{ ...a!, aliasOf: b!.name }, b!]],
    ['the bytes of itself', ([a]) => [{ ...a!, sameBytesAs: a!.name }]],
    ['the bytes of a later tensor', ([a, b]) => [{ ...a!, sameBytesAs: b!.name }, b!]],
    ['the bytes of a tensor that differs', ([a, b]) => [a!, { ...b!, sameBytesAs: a!.name }]],
    ['no SHA-256', ([a]) => [{ ...a!, sha256: '' }]],
    ['a short SHA-256', ([a]) => [{ ...a!, sha256: '1234' }]],
  ])('%s', async (_, change) => {
    await expect(opened(change)).rejects.toMatchObject(malformed);
  });

  it('too many dimensions are E_MALFORMED before they are multiplied', async () => {
    const shape = new Array(10_000).fill(1);
    await expect(opened(([a]) => [{ ...a!, shape, byteLength: 4 }])).rejects.toMatchObject(malformed);
  });

  it('claims to unfold far beyond its size: the chunks must fit into the file', async () => {
    const count = 100_000;
    const bomb: Partial<TensorRecord> = {
      shape: [count * (1 << 20)],
      dtype: 'u8',
      byteLength: count * (1 << 20),
      chunkBytes: 1 << 20,
      crcs: new Array(count).fill(0),
      codecs: new Array(count).fill(1),
      storedLengths: new Array(count).fill(1),
    };
    const started = performance.now();
    await expect(opened(() => [bomb])).rejects.toMatchObject({
      code: 'E_MALFORMED',
      message: expect.stringContaining('past the data'),
    });
    expect(performance.now() - started).toBeLessThan(2000);
  });
});

describe('trees that lie', () => {
  type Part = Parameters<typeof encodeManifest>[0];
  const raw = async (extra: Uint8Array): Promise<unknown> => {
    const base: Part = { ...(await manifestOf(plain)), tensors: [], metadata: new Map() };
    return open(withManifest(plain, Buffer.concat([extra, await encodeManifest(base)])));
  };
  /** A node of the metadata: field 2, a message with one varint field. */
  const node = (kind: number, value: number): number[] => [0x12, 2, kind << 3, value];
  it.each([
    ['a count past the end', node(11, 100)],
    ['a huge count', [0x12, 6, 11 << 3, 0xff, 0xff, 0xff, 0xff, 0x0f]],
    ['a root that is no dict', node(1, 1)],
    ['a key that is no text', [...node(11, 1), ...node(1, 1), ...node(1, 1)]],
    ['values left over', [...node(11, 0), ...node(1, 1)]],
    ['a value of two kinds', [0x12, 4, 11 << 3, 0, 1 << 3, 1]],
    ['a value of no kind', [0x12, 0]],
    ['a tuple among metadata', [...node(11, 1), 0x12, 3, 0x2a, 1, 0x61, ...node(9, 0)]],
    ['a message longer than the manifest', [0x12, 0x7f, 1]],
    ['text that is not UTF-8', [0x12, 3, 0x2a, 1, 0xff]],
    ['a field number of 0', [0x02, 0]],
    ['a wire type that does not exist', [0x0f, 0]],
    ['groups without end', new Array(2000).fill(0x4b)],
    ['a key twice', [...node(11, 2), ...[0, 0].flatMap(() => [0x12, 3, 0x2a, 1, 0x61, ...node(1, 1)])]],
  ])('%s', async (_, fields) => {
    await expect(raw(Uint8Array.from(fields))).rejects.toMatchObject(malformed);
  });

  it('a value of a kind that we lack is E_UNSUPPORTED', async () => {
    await expect(raw(Uint8Array.from([...node(11, 0), 0x12, 2, 15 << 3, 0]))).rejects.toMatchObject({
      code: 'E_UNSUPPORTED',
    });
  });

  it('a tree nested beyond the limit is E_LIMIT, without overflowing the stack', async () => {
    const lists = new Array(100_000).fill([0x0a, 2, 8 << 3, 1]).flat(); // Training.tree: lists of one
    const length = [lists.length, lists.length >> 7, lists.length >> 14].map((v, i) =>
      i < 2 ? (v & 0x7f) | 0x80 : v,
    );
    const training = Uint8Array.from([0x1a, ...length, ...lists]);
    await expect(raw(training)).rejects.toMatchObject({ code: 'E_LIMIT', details: { limit: 'TREE_DEPTH' } });
  });

  it('a training state that names tensors the file lacks is read with a warning', async () => {
    const tree: StateNode = { kind: 'list', items: [{ kind: 'tensor', name: 'gone' }] };
    const model = await open(await write({ ...sampleModel('f32'), training: { tree } }));
    expect(model.findings).toMatchObject([{ code: 'TRAINING_TENSOR_MISSING', subject: 'gone' }]);
  });
});
