import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { type DType, tensorBytes } from '../../../src/core/dtype.js';
import { LIMITS } from '../../../src/core/limits.js';
import { type Model, tensorMap } from '../../../src/core/model.js';
import { memoryTensor, readTensor } from '../../../src/core/tensor.js';
import { layOut } from '../../../src/formats/safetensors/layout.js';
import { stageOutput } from '../../../src/io/staged.js';
import { loadZstd } from '../../../src/kernels/codecs/zstd.js';
import {
  DIALECTS,
  type Dialect,
  type DialectOptions,
  dialectById,
  dialectOf,
} from '../../../src/operations/delta/dialects/index.js';
import { pack, refuseLarge } from '../../../src/operations/delta/dialects/zstd.js';
import { hashModel } from '../../../src/operations/hashes.js';
import { openModel, withModel } from '../../../src/operations/open.js';
import { testContext } from '../../support/context.js';

const scratch = mkdtempSync(path.join(tmpdir(), 'mlser-dialects-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));
const context = testContext(1);
const FIXTURES = path.resolve('fixtures/deltas');

let folders = 0;
const newFolder = (): string => {
  const folder = path.join(scratch, String(folders++));
  mkdirSync(folder);
  return folder;
};

/** Bytes that repeat nowhere soon. */
function noise(length: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let i = 0, state = seed; i < length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes[i] = state >>> 24;
  }
  return bytes;
}

type Form = readonly [name: string, dtype: DType, shape: readonly number[]];
const FORMS: readonly Form[] = [
  ['model.embed', 'bf16', [700, 900]], // more than one chunk of a stream
  ['model.norm', 'f32', [33]],
  ['model.scale', 'f32', []],
  ['model.empty', 'bf16', [0, 4]],
  ['model.é\u{1f600}', 'f64', [3, 5]],
];

function modelOf(forms: readonly Form[], edit: (name: string, bytes: Uint8Array) => void = () => {}): Model {
  return {
    format: 'memory',
    tensors: forms.map(([name, dtype, shape], i) => {
      const bytes = noise(tensorBytes(dtype, shape), i + 1);
      edit(name, bytes);
      return memoryTensor({ name, dtype, shape }, bytes);
    }),
    aliases: new Map(),
    metadata: new Map([['made_by', 'test']]),
    findings: [],
  };
}

const base = modelOf(FORMS);
const CHANGES: Readonly<Record<string, Model>> = {
  nothing: modelOf(FORMS),
  few: modelOf(FORMS, (_, bytes) => {
    for (let at = 1; at < bytes.length; at += 7001) bytes[at] = (bytes[at] ?? 0) ^ 0x81;
  }),
  'the last byte': modelOf(FORMS, (_, bytes) => {
    if (bytes.length > 0) bytes[bytes.length - 1] = ~(bytes.at(-1) ?? 0);
  }),
  'one tensor': modelOf(FORMS, (name, bytes) => {
    if (name === 'model.scale') bytes.reverse();
  }),
  everything: modelOf(FORMS, (_, bytes) => {
    for (let at = 0; at < bytes.length; at++) bytes[at] = ~(bytes[at] ?? 0);
  }),
};

async function write(
  dialect: Dialect,
  from: Model,
  to: Model,
  options: DialectOptions = {},
): Promise<{ folder: string; main: string; codes: string[] }> {
  const folder = newFolder();
  const files = stageOutput(path.join(folder, dialect.file), { force: false, sync: false });
  try {
    const findings = await dialect.write(from, to, files, { ...context, ...options });
    await files.commit();
    const main = path.join(folder, files.main);
    return { folder, main, codes: findings.map(({ code }) => code) };
  } catch (error) {
    await files.abort();
    throw error;
  }
}

/** What `use` sees of the model that a written delta makes of `from`. */
const applied = <T>(from: Model, main: string, use: (result: Model) => Promise<T>): Promise<T> =>
  withModel(main, {}, async (opened) => {
    const dialect = await dialectOf(opened);
    if (!dialect) throw new Error(`${main} is in no dialect`);
    const result = await dialect.apply(from, opened, context);
    await dialect.verify?.(result, opened, context);
    return use(result);
  });
const contentOf = async (model: Model): Promise<string> => (await hashModel(model, context)).content;
const get = (name: string): Dialect => {
  const found = dialectById(name);
  if (!found) throw new Error(name);
  return found;
};
/** The code and the tensor of the error. */
async function failure(work: Promise<unknown>): Promise<string> {
  const error: unknown = await work.then(
    () => 'no error',
    (reason: unknown) => reason,
  );
  const { code, details } = error as { code?: string; details?: { tensor?: string } };
  return code === undefined ? String(error) : [code, details?.tensor].filter(Boolean).join(' ');
}

describe.each(DIALECTS.map((dialect) => [dialect.id, dialect] as const))('%s', (_, dialect) => {
  it.each(Object.entries(CHANGES))('brings back a model of which %s changed', async (_change, next) => {
    const { main } = await write(dialect, base, next);
    await applied(base, main, async (result) => {
      expect(await contentOf(result)).toBe(await contentOf(next));
      expect(result.metadata).toEqual(base.metadata);
      expect(result.tensors.map(({ info }) => info)).toEqual(base.tensors.map(({ info }) => info));
    });
  });

  it('writes the same bytes again, whatever the order of the tensors', async () => {
    const few = CHANGES['few'] ?? base;
    const shuffled = { ...few, tensors: few.tensors.toReversed() };
    const written = [await write(dialect, base, few), await write(dialect, base, shuffled)];
    const [one, two] = written.map(({ folder }) =>
      readdirSync(folder).map((name) => [name, readFileSync(path.join(folder, name)).toString('base64')]),
    );
    expect(two).toEqual(one);
  });

  it('gives parts of a tensor', async () => {
    const next = CHANGES['few'] ?? base;
    const { main } = await write(dialect, base, next);
    const name = 'model.embed';
    const want = await readTensor(tensorMap(next).get(name)!);
    await applied(base, main, async (result) => {
      const tensor = tensorMap(result).get(name)!;
      for (const [start, end] of [
        [0, 2],
        [7000, 7002],
        [7002, 14010],
        [want.length - 100, want.length],
        [500, 500],
      ] as const) {
        const parts: Uint8Array[] = [];
        for await (const chunk of tensor.stream({ start, end })) parts.push(chunk);
        expect(Buffer.concat(parts).equals(want.subarray(start, end))).toBe(true);
      }
    });
  });

  it('leaves unchanged tensors out, and the base as it is', async () => {
    const { main } = await write(dialect, base, CHANGES['one tensor'] ?? base);
    const before = await contentOf(base);
    await applied(base, main, async (result) => {
      const olds = tensorMap(base);
      const other = result.tensors.filter((tensor) => olds.get(tensor.info.name) !== tensor);
      expect(other.map(({ info }) => info.name)).toEqual(['model.scale']);
      await contentOf(result);
    });
    expect(await contentOf(base)).toBe(before);
    await withModel(main, {}, async ({ model }) => expect(model.tensors.length).toBeLessThan(3));
  });

  it('says that it cannot tell of new, gone and reshaped tensors', async () => {
    const more = modelOf([...FORMS, ['more', 'f32', [2]]]);
    const shaped = modelOf(FORMS.map(([name, dtype, shape]) => [name, dtype, shape.toReversed()]));
    expect(await failure(write(dialect, base, more))).toBe('E_UNSUPPORTED more');
    expect(await failure(write(dialect, more, base))).toBe('E_UNSUPPORTED more');
    expect(await failure(write(dialect, base, shaped))).toBe('E_UNSUPPORTED model.embed');
  });

  it('refuses a base that lacks a tensor or has another size, before any byte is read', async () => {
    const { main } = await write(dialect, base, CHANGES['everything'] ?? base);
    const lacks = { ...base, tensors: base.tensors.filter(({ info }) => info.name !== 'model.norm') };
    const small = modelOf(FORMS.map(([name, dtype, shape]) => [name, dtype, shape.map((dim) => dim >> 1)]));
    const nothing = async (): Promise<void> => {};
    expect(await failure(applied(lacks, main, nothing))).toBe('E_BASE_MISMATCH model.norm');
    expect(await failure(applied(small, main, nothing))).toMatch(/^E_BASE_MISMATCH model\./);
  });

  it('finds a base with other bytes', async () => {
    const { main } = await write(dialect, base, CHANGES['few'] ?? base);
    const other = modelOf(FORMS, (name, bytes) => {
      if (name === 'model.norm') bytes[60] = (bytes[60] ?? 0) ^ 1;
    });
    const expected = dialect.verify ? 'E_BASE_MISMATCH' : 'E_INTEGRITY model.norm';
    expect(await failure(applied(other, main, contentOf))).toBe(expected);
  });

  it('reports what a delta has no place for', async () => {
    const other = { ...base, metadata: new Map([['made_by', 'another']]) };
    expect((await write(dialect, base, other)).codes).toContain('METADATA_NOT_CARRIED');
    expect((await write(dialect, base, base)).codes).not.toContain('METADATA_NOT_CARRIED');
    expect(await failure(write(dialect, base, base, { version: 3, baseVersion: 3 }))).toBe('E_USAGE');
  });

  it('takes names apart that were tied, where only one of them changed', async () => {
    const tied = (model: Model): Model => ({ ...model, aliases: new Map([['model.twin', 'model.norm']]) });
    const forms: readonly Form[] = [FORMS[1]!, ['model.twin', 'f32', [33]]];
    const from = tied(modelOf(forms));
    const to = modelOf(forms, (name, bytes) => {
      if (name === 'model.norm') bytes[0] = ~(bytes[0] ?? 0);
    });
    const { main } = await write(dialect, from, to);
    await applied(from, main, async (result) => {
      expect([...result.aliases]).toEqual([]);
      expect(result.findings.map(({ code }) => code)).toEqual(['TIE_BROKEN']);
      expect(await contentOf(result)).toBe(await contentOf(to));
    });
  });
});

describe('fixtures by other programs', () => {
  it.each([
    ['slime-xor', 'slime-xor/model.safetensors.index.json'],
    ['slime-overwrite', 'slime-overwrite'],
    ['trl-sparse', 'trl-indices.safetensors'],
    ['trl-sparse', 'trl-raw.safetensors'],
    ['trl-sparse', 'trl-gap.safetensors'],
  ])('%s: %s', async (id, file) => {
    const from = await openModel(path.join(FIXTURES, 'base.safetensors'));
    const to = await openModel(path.join(FIXTURES, 'next.safetensors'));
    try {
      await withModel(path.join(FIXTURES, file), {}, async (opened) =>
        expect((await dialectOf(opened))?.id).toBe(id),
      );
      await applied(from.model, path.join(FIXTURES, file), async (result) =>
        expect(await contentOf(result)).toBe(await contentOf(to.model)),
      );
      // Applied twice, a difference undoes itself; new values stay what they are.
      expect(await failure(applied(to.model, path.join(FIXTURES, file), contentOf))).toMatch(
        id === 'slime-xor' ? /^E_INTEGRITY / : /^no error$/,
      );
    } finally {
      await from.close();
      await to.close();
    }
  });

  it.each([
    ['slime-xor', 'model.safetensors.index.json'],
    ['slime-xor', 'model-00000-of-00002.safetensors'],
    ['slime-overwrite', 'model-00000-of-00001.safetensors'],
    ['.', 'trl-indices.safetensors'],
  ])('%s/%s gives the model or a coded error, whichever byte is damaged', async (folder, file) => {
    const copy = newFolder();
    for (const name of readdirSync(path.join(FIXTURES, folder)))
      if (/\.(safetensors|json)$/.test(name))
        copyFileSync(path.join(FIXTURES, folder, name), path.join(copy, name));
    const main = path.join(copy, folder === '.' ? file : 'model.safetensors.index.json');
    const whole = readFileSync(path.join(copy, file));
    const from = await openModel(path.join(FIXTURES, 'base.safetensors'));
    const want = await withModel(path.join(FIXTURES, 'next.safetensors'), {}, ({ model }) =>
      contentOf(model),
    );
    const outcomes = new Map<string, number>();
    for (let at = 0; at < whole.length; at += Math.ceil(whole.length / 150)) {
      const damaged = Buffer.from(whole);
      damaged[at] = (damaged[at] ?? 0) ^ (1 << (at % 8));
      writeFileSync(path.join(copy, file), damaged);
      const outcome = await failure(
        applied(from.model, main, async (result) => expect(await contentOf(result)).toBe(want)),
      );
      expect(outcome).toMatch(/^(E_[A-Z_]+|no error|Error: .* is in no dialect)/);
      const code = outcome.split(' ')[0] ?? '';
      outcomes.set(code, (outcomes.get(code) ?? 0) + 1);
    }
    await from.close();
    expect([...outcomes.keys()].filter((code) => code.startsWith('E_')).length).toBeGreaterThan(0);
  });

  it('are in no dialect if they are whole models', async () => {
    for (const file of ['base.safetensors', 'next.safetensors'])
      await withModel(path.join(FIXTURES, file), {}, async (opened) =>
        expect(await dialectOf(opened)).toBeUndefined(),
      );
  });
});

describe('slime deltas', () => {
  const SHARD = 'model-00000-of-00001.safetensors';
  const INDEX = 'model.safetensors.index.json';
  const small: readonly Form[] = [['w', 'bf16', [8]]];
  const from = modelOf(small);

  /** A delta of one tensor with this content, as it stands. */
  async function folderOf(
    content: Uint8Array,
    metadata: Readonly<Record<string, unknown>> = {},
    digest = '0'.repeat(8),
    packed?: Uint8Array,
  ): Promise<string> {
    const folder = newFolder();
    const blob = packed ?? (await pack(content));
    const tensor = memoryTensor({ name: 'w', dtype: 'u8', shape: [blob.length] }, blob);
    const { header } = layOut([tensor], new Map(digest === '' ? [] : [['w', digest]]));
    writeFileSync(path.join(folder, SHARD), Buffer.concat([header, blob]));
    const index = {
      metadata: {
        version: '000001',
        base_version: '000000',
        delta_encoding: 'overwrite',
        compression_format: 'zstd',
        checksum_format: 'adler32',
        ...metadata,
      },
      weight_map: { w: SHARD },
    };
    writeFileSync(path.join(folder, INDEX), JSON.stringify(index));
    return folder;
  }
  const overwrite = (count: number, positions: readonly number[], values: readonly number[]): Uint8Array =>
    Buffer.concat([Buffer.from(Uint32Array.of(count, ...positions).buffer), Uint8Array.from(values)]);
  const outcome = (folder: string): Promise<string> => failure(applied(from, folder, contentOf));

  it('have the published index', async () => {
    const to = modelOf(small, (_, bytes) => bytes.fill(3));
    for (const [id, encoding] of [
      ['slime-xor', 'xor'],
      ['slime-overwrite', 'overwrite'],
    ] as const) {
      const { folder } = await write(get(id), from, to, { baseVersion: 41, checksum: 'blake3' });
      expect(readdirSync(folder).sort()).toEqual([SHARD, INDEX]);
      expect(JSON.parse(readFileSync(path.join(folder, INDEX), 'utf8'))).toEqual({
        metadata: {
          version: '000042',
          base_version: '000041',
          delta_encoding: encoding,
          compression_format: 'zstd',
          checksum_format: 'blake3',
        },
        weight_map: { w: SHARD },
      });
      await applied(from, folder, async (result) =>
        expect(await contentOf(result)).toBe(await contentOf(to)),
      );
    }
    const { folder } = await write(get('slime-xor'), from, from);
    expect(readdirSync(folder)).toEqual([INDEX]);
  });

  it('name the tensor whose checksum is wrong', async () => {
    for (const id of ['slime-xor', 'slime-overwrite']) {
      const to = modelOf(small, (_, bytes) => bytes.fill(3));
      const { folder } = await write(get(id), from, to, { checksum: 'xxh3-128' });
      const file = path.join(folder, SHARD);
      const text = readFileSync(file, 'latin1');
      const digest = /"w":"([0-9a-f]{32})"/.exec(text)?.[1] ?? '';
      const tampered = digest.replace(/.$/, (last) => (last === '0' ? '1' : '0'));
      writeFileSync(file, text.replace(digest, tampered), 'latin1');
      expect(await outcome(folder)).toBe('E_INTEGRITY w');
    }
  });

  it('are read where positions are right', async () => {
    const folder = await folderOf(overwrite(0, [], []));
    expect(await outcome(folder)).toBe('E_INTEGRITY w'); // the checksum is not
  });

  it.each([
    ['twice', overwrite(2, [3, 3], [1, 2]), 'E_MALFORMED w'],
    ['out of order', overwrite(2, [4, 3], [1, 2]), 'E_MALFORMED w'],
    ['out of the tensor', overwrite(1, [16], [1]), 'E_MALFORMED w'],
    ['far out of the tensor', overwrite(1, [0xffffffff], [1]), 'E_MALFORMED w'],
    ['too few for their count', overwrite(0xffffffff, [3], [1]), 'E_MALFORMED w'],
    ['too many for their count', overwrite(0, [3], [1]), 'E_MALFORMED w'],
    ['without all their values', overwrite(2, [3, 4], [1]), 'E_BASE_MISMATCH w'],
    [
      'more than there are bytes',
      overwrite(17, [...Array(17).keys()], Array(17).fill(1)),
      'E_BASE_MISMATCH w',
    ],
    ['cut off', Uint8Array.of(1, 0), 'E_BASE_MISMATCH w'],
  ])('refuse positions %s', async (_, content, expected) => {
    expect(await outcome(await folderOf(content))).toBe(expected);
  });

  it.each([
    [{ compression_format: 'lz4' }, 'E_UNSUPPORTED'],
    [{ checksum_format: 'md5' }, 'E_UNSUPPORTED'],
    [{ checksum_format: 'blake3' }, 'E_MALFORMED w'], // a digest of another length
    [{ base_version: 'first' }, 'E_MALFORMED'],
    [{ base_version: '000001' }, 'E_MALFORMED'],
    [{ version: undefined }, 'E_MALFORMED'],
    [{ compression_format: 7 }, 'E_MALFORMED'],
  ])('refuse an index that says %j', async (metadata, expected) => {
    expect(await outcome(await folderOf(overwrite(0, [], []), metadata))).toBe(expected);
  });

  it('refuse a tensor without checksum, and what is no zstd frame', async () => {
    const content = overwrite(0, [], []);
    expect(await outcome(await folderOf(content, {}, ''))).toBe('E_MALFORMED w');
    const packed = await pack(content);
    for (const broken of [new Uint8Array(), Uint8Array.of(1, 2, 3, 4, 5, 6, 7), packed.subarray(0, -1)])
      expect(await outcome(await folderOf(content, {}, undefined, broken))).toBe('E_MALFORMED w');
    // A frame that claims to be of petabytes asks for nothing.
    const huge = Buffer.alloc(20);
    huge.set([0x28, 0xb5, 0x2f, 0xfd, 0xe0]);
    huge.writeBigUInt64LE(1n << 50n, 5);
    expect(await outcome(await folderOf(content, {}, undefined, huge))).toBe('E_BASE_MISMATCH w');
  });

  it('refuse a tensor that would pass our memory', () => {
    const limit = LIMITS.DELTA_ZSTD_BYTES;
    expect(() => refuseLarge('w', limit)).toThrow(/DELTA_ZSTD_BYTES/);
    expect(() => refuseLarge('w', limit / 2 - (1 << 24))).not.toThrow();
  });

  it('pack into one frame, which says its length', async () => {
    const packed = await pack(new Uint8Array(300_000));
    expect((await loadZstd()).decompress(packed, 300_000)?.length).toBe(300_000);
    expect(packed[4]! >> 6).toBeGreaterThan(0);
  });

  it('are folders with a name of their own', async () => {
    const files = stageOutput(path.join(newFolder(), 'my.safetensors'), { force: false });
    expect(await failure(get('slime-xor').write(from, from, files, context))).toBe('E_USAGE');
    await files.abort();
  });
});

describe('TRL deltas', () => {
  const small: readonly Form[] = [['w', 'bf16', [8]]];
  const from = modelOf(small);

  function fileOf(
    indices: readonly [DType, ArrayBufferLike, count?: number],
    values: readonly [DType, number],
    metadata: Readonly<Record<string, string>> = {},
    ends: readonly [string, string] = ['.indices', '.values'],
  ): string {
    const [dtype, buffer] = indices;
    const bytes = new Uint8Array(buffer);
    const count = indices[2] ?? bytes.length / (tensorBytes(dtype, [1]) || 1);
    const tensors = [
      memoryTensor({ name: `w${ends[0]}`, dtype, shape: [count] }, bytes),
      memoryTensor(
        { name: `w${ends[1]}`, dtype: values[0], shape: [values[1]] },
        noise(tensorBytes(values[0], [values[1]]), 9),
      ),
    ];
    const { header, placed } = layOut(tensors, new Map(Object.entries({ sparse: 'True', ...metadata })));
    const data = placed.map(({ tensor }) => (tensor === tensors[0] ? bytes : noise(tensor.byteLength, 9)));
    const file = path.join(newFolder(), 'delta.safetensors');
    writeFileSync(file, Buffer.concat([header, ...data]));
    return file;
  }
  const outcome = (file: string): Promise<string> => failure(applied(from, file, contentOf));
  const i32 = (...values: number[]) => ['i32', Int32Array.from(values).buffer] as const;
  const GAP = ['.idx', '.val'] as const;

  it('have the published names, types and metadata', async () => {
    const to = modelOf(small, (_, bytes) => {
      bytes[15] = ~(bytes[15] ?? 0);
      bytes[2] = ~(bytes[2] ?? 0);
    });
    const { main } = await write(get('trl-sparse'), from, to, { version: 11, baseVersion: 10 });
    await withModel(main, {}, async ({ model }) => {
      expect(model.tensors.map(({ info }) => info)).toEqual([
        { name: 'w.indices', dtype: 'i32', shape: [2] },
        { name: 'w.values', dtype: 'bf16', shape: [2] },
      ]);
      const indices = await readTensor(model.tensors[0]!);
      expect([...new Int32Array(indices.buffer)]).toEqual([1, 7]);
      expect(Object.fromEntries(model.metadata)).toMatchObject({
        format: 'sparse_weight_patch',
        sparse: 'True',
        model_version: '11',
        prev_model_version: '10',
        sparsity: '0.75',
        total_changed_elements: '2',
        total_elements: '8',
        changed_params: '["w"]',
      });
    });
    const none = await write(get('trl-sparse'), from, from);
    await withModel(none.main, {}, async ({ model }) =>
      expect(model.tensors.map(({ info }) => info.name)).toEqual(['__empty_delta__']),
    );
  });

  it.each([
    ['negative', i32(-1, 7), 'E_MALFORMED w'],
    ['out of the tensor', i32(0, 8), 'E_MALFORMED w'],
    ['twice there', i32(3, 3), 'E_MALFORMED w'],
    ['out of order', i32(4, 3), 'E_MALFORMED w'],
    ['of another type', ['i64', BigInt64Array.of(0n, 7n).buffer] as const, 'E_UNSUPPORTED w'],
    ['of another number', i32(0, 1, 7), 'E_MALFORMED w'],
  ])('refuse indices that are %s', async (_, indices, expected) => {
    expect(await outcome(fileOf(indices, ['bf16', 2]))).toBe(expected);
  });

  it('read indices that are right', async () => {
    expect(await outcome(fileOf(i32(0, 7), ['bf16', 2]))).toBe('no error');
  });

  it('read gaps, and refuse those that lead out of the tensor', async () => {
    const encoding = { encoding: 'gap_delta' };
    const gaps16 = (...values: number[]) => ['u16', Uint16Array.from(values).buffer] as const;
    const gaps32 = (...values: number[]) => ['u32', Uint32Array.from(values).buffer] as const;
    const read = (indices: readonly [DType, ArrayBufferLike], how: Record<string, string> = encoding) =>
      outcome(fileOf(indices, ['bf16', 2], how, GAP));
    expect(await read(gaps16(0, 6))).toBe('no error');
    expect(await read(gaps32(3, 0))).toBe('no error');
    expect(await read(gaps16(0, 7))).toBe('E_MALFORMED w');
    expect(await read(gaps32(0, 0xffffffff))).toBe('E_MALFORMED w');
    expect(await read(i32(0, 7), { encoding: 'raw' })).toBe('no error');
    expect(await read(gaps16(0, 6), { encoding: 'raw' })).toBe('E_UNSUPPORTED w');
    const nvcomp = ['u8', new ArrayBuffer(2)] as const;
    expect(await read(nvcomp, { encoding: 'nvcomp_cascaded' })).toBe('E_UNSUPPORTED w');
  });

  it('put gaps of both widths where they belong', async () => {
    const forms: readonly Form[] = [['w', 'bf16', [300_000]]];
    const large = modelOf(forms);
    const file = fileOf(
      ['u32', Uint32Array.of(5, 199_999, 0).buffer],
      ['bf16', 3],
      { encoding: 'gap_delta' },
      GAP,
    );
    const want = await readTensor(large.tensors[0]!);
    const values = noise(6, 9);
    for (const [i, place] of [5, 200_005, 200_006].entries())
      want.set(values.subarray(i * 2, i * 2 + 2), place * 2);
    await applied(large, file, async (result) =>
      expect(Buffer.compare(await readTensor(result.tensors[0]!), want)).toBe(0),
    );
  });

  it('refuse values of another type than the base, and more of them than it has elements', async () => {
    expect(await outcome(fileOf(i32(0, 7), ['f32', 2]))).toBe('E_BASE_MISMATCH w');
    expect(await outcome(fileOf(i32(...Array(9).keys()), ['bf16', 9]))).toBe('E_BASE_MISMATCH w');
  });

  it('refuse metadata that says something else than the tensors', async () => {
    for (const metadata of [
      { changed_params: '["v"]' },
      { changed_params: '[]' },
      { changed_params: '{' },
      { total_changed_elements: '3' },
    ])
      expect(await outcome(fileOf(i32(0, 7), ['bf16', 2], metadata))).toBe('E_MALFORMED');
    expect(await outcome(fileOf(i32(0, 7), ['bf16', 2], {}, ['.indices', '.other']))).toBe(
      'E_MALFORMED w.indices',
    );
    expect(await outcome(fileOf(i32(0, 7), ['bf16', 2], { checksum_sha256: '0'.repeat(64) }))).toBe(
      'E_BASE_MISMATCH',
    );
  });

  it('say that a checksum over other tensors was not compared', async () => {
    const file = fileOf(i32(0, 7), ['bf16', 2], { checksum_sha256: '0'.repeat(64), total_elements: '9' });
    await withModel(file, {}, async (opened) => {
      const dialect = get('trl-sparse');
      const findings = await dialect.verify?.(await dialect.apply(from, opened, context), opened, context);
      expect(findings?.map(({ code }) => code)).toEqual(['CHECKSUM_NOT_COMPARED']);
    });
  });

  it('have no place for elements that are no bytes', async () => {
    const packed = modelOf([['w', 'f4_e2m1', [4]]]);
    expect(await failure(write(get('trl-sparse'), packed, packed))).toBe('E_UNSUPPORTED w');
    const main = (await write(get('slime-xor'), packed, packed)).main;
    await applied(packed, main, contentOf);
  });
});

describe('chains', () => {
  it('of deltas lead from the first model to the last', async () => {
    const models = [base, CHANGES['few'] ?? base, CHANGES['everything'] ?? base];
    const first = await write(get('slime-xor'), models[0]!, models[1]!, { baseVersion: 0 });
    const second = await write(get('trl-sparse'), models[1]!, models[2]!);
    const content = await applied(base, first.main, (middle) => applied(middle, second.main, contentOf));
    expect(content).toBe(await contentOf(models[2]!));
    copyFileSync(second.main, path.join(first.folder, 'other.safetensors')); // what lies beside is not asked
    expect(await failure(applied(base, first.main, contentOf))).toBe('no error');
  });
});
