import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import type { DType } from '../../../src/core/dtype.js';
import type { WriteOptions } from '../../../src/core/format.js';
import type { Model } from '../../../src/core/model.js';
import { memoryTensor, readTensor, renamed } from '../../../src/core/tensor.js';
import { DTYPE_PAIRS, NUMPY_DTYPES } from '../../../src/formats/npz/dtypes.js';
import { npy, npz } from '../../../src/formats/npz/index.js';
import type { InputFiles } from '../../../src/io/files.js';
import { readZipDirectory } from '../../../src/io/zip/directory.js';
import { testContext } from '../../support/context.js';
import { memoryFiles, memoryOutput } from '../../support/memory-files.js';
import { dtypeOf } from '../../support/reference-dtypes.js';

const fixtures = path.resolve('fixtures/npz');
const load = (file: string): Uint8Array => readFileSync(path.join(fixtures, file));
const filesOf = (name: string, bytes: Uint8Array): InputFiles => memoryFiles(name, new Map([[name, bytes]]));
const readNpz = async (bytes: Uint8Array): Promise<Model> =>
  (await npz.reader()).read(filesOf('a.npz', bytes), {});
const readNpy = async (bytes: Uint8Array): Promise<Model> =>
  (await npy.reader()).read(filesOf('a.npy', bytes), {});

async function write(format: typeof npz, model: Model, options: WriteOptions = {}): Promise<Uint8Array> {
  const output = memoryOutput('a');
  await (await format.writer?.())?.write(model, output, { ...testContext(1), options });
  return output.bytes();
}
const check = async (format: typeof npz, model: Model): Promise<[string, string][]> => {
  const findings = (await format.writer?.())?.check(model, {}) ?? [];
  return findings.map(({ code, severity }) => [severity, code]);
};
const modelOf = (...tensors: Model['tensors']): Model => ({
  format: 'memory',
  tensors,
  aliases: new Map(),
  metadata: new Map(),
  findings: [],
});
const tensor = (name: string, dtype: DType = 'u8', shape: readonly number[] = [2]) =>
  memoryTensor(
    { name, dtype, shape },
    new Uint8Array(32).subarray(
      0,
      shape.reduce((a, b) => a * b, 1),
    ),
  );

interface Fact {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly sha256: string;
}
const facts = (file: string): readonly Fact[] =>
  (JSON.parse(readFileSync(path.join(fixtures, `${file}.json`), 'utf8')) as { tensors: Fact[] }).tensors;

async function summary(model: Model): Promise<Fact[]> {
  const list: Fact[] = [];
  for (const t of model.tensors) {
    const hash = createHash('sha256')
      .update(await readTensor(t))
      .digest('hex');
    list.push({ name: t.info.name, dtype: t.info.dtype, shape: t.info.shape, sha256: hash });
  }
  return list;
}
const expected = (file: string): Fact[] =>
  facts(file).map(({ name, dtype, shape, sha256 }) => ({ name, dtype: dtypeOf(dtype), shape, sha256 }));

const archives = readdirSync(fixtures).filter((f) => /^(?!non_|object_).*\.npz$/.test(f));
const arrays = readdirSync(path.join(fixtures, 'npy')).filter((f) => f.endsWith('.npy'));

describe('what numpy wrote', () => {
  it.each(archives)('%s: names in order, types, shapes and bytes', async (file) => {
    const model = await readNpz(load(file));
    expect(await summary(model)).toEqual(expected(file));
    expect(model.findings).toEqual([]);
  });
  it.each(arrays)('npy/%s', async (file) => {
    const [found] = await summary(await readNpy(load(`npy/${file}`)));
    expect(found).toEqual({ ...expected(`npy/${file}`)[0], name: 'array' });
  });
  it('that is no number is refused by name', async () => {
    await expect(readNpz(load('non_numeric.npz'))).rejects.toMatchObject({
      code: 'E_UNSUPPORTED',
      details: { entry: 'unicode.npy' },
    });
    await expect(readNpz(load('object_array.npz'))).rejects.toMatchObject({
      code: 'E_UNSAFE',
      details: { entry: 'obj.npy' },
    });
  });
});

describe('opening', () => {
  it('reads one range an entry, and gives ranges of the file', async () => {
    const bytes = load('dtypes.npz');
    const files = filesOf('a.npz', bytes);
    const source = await files.open('a.npz');
    let reads = 0;
    const counted: InputFiles = {
      ...files,
      open: async () => ({
        ...source,
        read(offset, length) {
          reads++;
          return source.read(offset, length);
        },
      }),
    };
    const model = await (await npz.reader()).read(counted, {});
    expect(reads).toBeLessThanOrEqual(model.tensors.length + 1);
    const location = model.tensors[1]?.location;
    expect(location?.file).toBe('a.npz');
    expect(Buffer.from(await readTensor(model.tensors[1]!))).toEqual(
      Buffer.from(bytes.subarray(location!.offset, location!.offset + model.tensors[1]!.byteLength)),
    );
  });

  it('knows an npz and an npy by content', () => {
    expect(npz.sniff(load('dtypes.npz'), 'x', 1)).toBe(3);
    expect(npz.sniff(new Uint8Array(10), 'x.NPZ', 10)).toBe(1);
    expect(npz.sniff(Buffer.from(`PK\x03\x04${'\0'.repeat(40)}`), 'x.npz', 44)).toBe(2);
    expect(npz.sniff(Buffer.from(`PK\x03\x04${'\0'.repeat(40)}`), 'x.pt', 44)).toBe(0);
    expect(npy.sniff(load('npy/float32.npy'), 'x', 1)).toBe(3);
    expect(npy.sniff(new Uint8Array(), 'x.npy', 0)).toBe(1);
    expect(npy.sniff(new Uint8Array(10), 'x', 10)).toBe(0);
  });
});

describe('damage to the data is found when it is read', () => {
  it.each([
    ['dtypes.npz', 'stored'],
    ['orders.npz', 'in another order'],
    ['dtypes_compressed.npz', 'deflated'],
  ])('%s (%s)', async (file) => {
    const bytes = load(file);
    const zip = await readZipDirectory(await filesOf('a', bytes).open('a'));
    for (const member of zip.members) {
      const damaged = new Uint8Array(bytes);
      const back = member.method === 0 ? 1 : Math.floor(member.compressedSize / 2);
      const at = (await member.dataOffset()) + member.compressedSize - back;
      damaged[at] = (damaged[at] ?? 0) ^ 0x40;
      const name = member.name.slice(0, -4);
      const pull = async (): Promise<unknown> => {
        const model = await readNpz(damaged);
        return readTensor(model.tensors.find((t) => t.info.name === name)!);
      };
      await expect(pull(), name).rejects.toMatchObject({
        code: expect.stringMatching(/E_INTEGRITY|E_MALFORMED|E_UNSUPPORTED|E_TRUNCATED/),
      });
    }
  });
});

describe('writing', () => {
  it.each([false, true])(
    'gives the same model back, the same bytes each time (compress: %s)',
    async (compress) => {
      for (const file of archives) {
        const model = await readNpz(load(file));
        const bytes = await write(npz, model, { compress });
        expect(Buffer.compare(bytes, await write(npz, await readNpz(bytes), { compress }))).toBe(0);
        expect(await summary(await readNpz(bytes))).toEqual(expected(file));
      }
    },
  );

  it('aligns the data of stored arrays to 64 bytes', async () => {
    const model = await readNpz(await write(npz, await readNpz(load('convnet_state_dict.npz'))));
    for (const t of model.tensors) expect((t.location?.offset ?? 1) % 64).toBe(0);
  });

  it.each(['float32.npy', 'scalar.npy', 'empty.npy', 'int64.npy', 'bool.npy', 'complex64.npy'])(
    'makes the bytes that numpy.save makes: %s',
    async (file) => {
      const bytes = load(`npy/${file}`);
      expect(Buffer.compare(await write(npy, await readNpy(bytes)), bytes)).toBe(0);
    },
  );

  it('maps types one to one', () => {
    expect(new Set(DTYPE_PAIRS.map(([code]) => code)).size).toBe(DTYPE_PAIRS.length);
    expect(NUMPY_DTYPES.size).toBe(DTYPE_PAIRS.length);
  });

  it('says what is lost and what cannot be', async () => {
    expect(await check(npz, modelOf(tensor('a'), tensor('/layer/b', 'f64')))).toEqual([]);
    expect(await check(npz, modelOf(tensor('a', 'bf16'), tensor('b', 'q4_0'), tensor('c', 'i4')))).toEqual(
      Array(3).fill(['error', 'DTYPE_UNSUPPORTED']),
    );
    for (const name of ['../x', 'a/../b', 'C:\\x', 'a\0', '\ud800', 'x'.repeat(70_000)])
      expect(await check(npz, modelOf(tensor(name))), name.slice(0, 9)).toEqual([
        ['error', 'NAME_UNSUPPORTED'],
      ]);
    expect(await check(npz, modelOf(tensor('a'), tensor('a.npy')))).toEqual([['error', 'NAME_UNSUPPORTED']]);
    const rich: Model = {
      ...modelOf(tensor('a'), tensor('b')),
      aliases: new Map([['b', 'a']]),
      metadata: new Map([['k', 'v']]),
      training: { tree: { kind: 'none' } },
    };
    expect(await check(npz, rich)).toEqual([
      ['warning', 'METADATA_DROPPED'],
      ['warning', 'TRAINING_DROPPED'],
      ['info', 'ALIAS_EXPANDED'],
    ]);
    expect(await check(npy, modelOf(tensor('array')))).toEqual([]);
    expect(await check(npy, modelOf(tensor('w')))).toEqual([['error', 'NPY_NO_NAME']]);
    expect(await check(npy, modelOf(tensor('a'), tensor('b')))).toEqual([['error', 'NPY_ONE_TENSOR']]);
  });

  it('keeps names as data, whatever they are', async () => {
    const names = ['', '__proto__', 'a/b', '/abs', 'with.npy', 'ключ', ' '];
    const model = await readNpz(
      await write(npz, modelOf(...names.map((name) => renamed(tensor('x'), name)))),
    );
    expect(model.tensors.map((t) => t.info.name)).toEqual(names);
    expect(model.findings.map((f) => f.code)).toEqual(['NAME_LIKE_PATH']);
  });

  it('of nothing is an empty archive', async () => {
    const bytes = await write(npz, modelOf());
    expect(bytes.byteLength).toBe(22);
    expect((await readNpz(bytes)).tensors).toEqual([]);
    expect(npz.sniff(bytes, 'a.npz', 22)).toBe(2);
  });
});
