import { spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import type { Model } from '../../src/core/model.js';
import { memoryTensor } from '../../src/core/tensor.js';
import { isMlserError, MlserError } from '../../src/errors.js';
import { FORMATS } from '../../src/formats/index.js';
import type { OutputFiles } from '../../src/io/files.js';
import { stageOutput } from '../../src/io/staged.js';
import { convertModel } from '../../src/operations/convert.js';
import { openModel } from '../../src/operations/open.js';
import { checkpointModel, weights } from '../support/checkpoint-model.js';
import { testContext } from '../support/context.js';
import { faultyOutput, gaveUp } from '../support/faulty-output.js';
import { sampleModel } from '../support/sample-model.js';

const root = fs.mkdtempSync(path.join(tmpdir(), 'mlser-faults-'));
const mounted: string[] = [];
afterAll(() => {
  for (const folder of mounted) spawnSync('umount', [folder]);
  fs.rmSync(root, { recursive: true, force: true });
});

let folder = root;
let number = 0;
beforeEach(() => {
  folder = path.join(root, String(number++));
  fs.mkdirSync(folder);
});
const at = (name: string): string => path.join(folder, name);
const listing = (): string[] => fs.readdirSync(folder).sort();

/** Formats that hold a model without a graph, and what they are asked to write. */
const targets = FORMATS.filter((format) => format.writer && !['onnx', 'npy'].includes(format.id)).flatMap(
  (format) => {
    const name = `model${format.extensions[0]}`;
    const packs = ['npz', 'mlck'].includes(format.id);
    return [
      { title: format.id, format, name, options: {} },
      ...(packs ? [{ title: `${format.id} compressed`, format, name, options: { compress: true } }] : []),
    ];
  },
);
type Target = (typeof targets)[number];

async function write(target: Target, model: Model, output: OutputFiles): Promise<void> {
  try {
    const writer = await target.format.writer?.();
    await writer?.write(model, output, { ...testContext(1), options: target.options });
    await output.commit();
  } catch (error) {
    await output.abort();
    throw error;
  }
}

describe.each(targets.map((target) => [target.title, target] as const))('%s', (_, target) => {
  it('a sink that fails at write n, for every n: the error comes out, the old file stays, nothing else does', async () => {
    fs.writeFileSync(at(target.name), 'old');
    for (let n = 0; ; n++) {
      expect(n).toBeLessThan(500);
      const output = faultyOutput(stageOutput(at(target.name), { force: true }), n);
      const error = await write(target, sampleModel('f32'), output).then(
        () => undefined,
        (reason: unknown) => reason,
      );
      expect(listing(), `write ${n}`).toEqual([target.name]);
      if (error === undefined) {
        expect(output.operations()).toBe(n);
        expect(n).toBeGreaterThan(2);
        break;
      }
      expect(error, `write ${n}`).toBe(gaveUp);
      expect(fs.readFileSync(at(target.name), 'utf8')).toBe('old');
    }
    const opened = await openModel(at(target.name));
    expect(opened.model.tensors.map(({ info }) => info.name).sort()).toEqual(['layer.bias', 'layer.weight']);
    await opened.close();
  });

  it('a source that fails half-way leaves nothing', async () => {
    const [good, bad] = sampleModel('f32').tensors;
    const refusal = new MlserError('E_INTEGRITY', 'tensor layer.bias is damaged');
    const model: Model = {
      ...sampleModel('f32'),
      tensors: [
        good!,
        {
          ...bad!,
          async *stream() {
            yield new Uint8Array(8);
            throw refusal;
          },
        },
      ],
    };
    await expect(write(target, model, stageOutput(at(target.name), { force: false }))).rejects.toBe(refusal);
    expect(listing()).toEqual([]);
  });
});

/** A native checkpoint of 1.2 MB on the disk: larger than any limit below. */
async function source(name = 'source.mlck'): Promise<string> {
  const file = path.join(root, name);
  if (fs.existsSync(file)) return file;
  const mlck = FORMATS.find((format) => format.id === 'mlck');
  const model = {
    ...checkpointModel(),
    tensors: [memoryTensor({ name: 'w', dtype: 'f32', shape: [300_000] }, weights(300_000))],
    aliases: new Map(),
    metadata: new Map(),
  };
  const { training: _, ...plain } = model;
  const output = stageOutput(file, { force: false });
  await (await mlck?.writer?.())?.write(plain, output, { ...testContext(1), options: {} });
  await output.commit();
  return file;
}
const outputs = ['out.mlck', 'out.safetensors', 'out.npz'];
const structure = { validate: 'structure', device: 'cpu' } as const;

describe('a conversion', () => {
  it('of a damaged file leaves the old output as it was, at any number of threads', async () => {
    const damaged = at('damaged.mlck');
    const bytes = fs.readFileSync(await source());
    bytes[500_000] = (bytes[500_000] ?? 0) ^ 1;
    fs.writeFileSync(damaged, bytes);
    for (const threads of [1, 2])
      for (const name of outputs) {
        fs.writeFileSync(at(name), 'old');
        await expect(
          convertModel(damaged, at(name), { ...structure, force: true }, testContext(threads)),
          `${name}, ${threads} threads`,
        ).rejects.toMatchObject({ code: 'E_INTEGRITY' });
        expect(fs.readFileSync(at(name), 'utf8')).toBe('old');
      }
    expect(listing()).toEqual(['damaged.mlck', ...outputs].sort());
  });

  it('onto its own input needs force, and then gives the same model', async () => {
    const file = at('a.mlck');
    fs.copyFileSync(await source(), file);
    fs.symlinkSync('a.mlck', at('link.mlck'));
    const before = fs.readFileSync(file);
    await expect(convertModel(file, at('link.mlck'), structure, testContext())).rejects.toMatchObject({
      code: 'E_EXISTS',
    });
    await convertModel(file, at('link.mlck'), { ...structure, force: true }, testContext());
    expect(Buffer.compare(fs.readFileSync(file), before)).toBe(0);
    expect(listing()).toEqual(['a.mlck', 'link.mlck']);
  });
});

describe('a disk that is full', () => {
  it('is E_IO with what is free; the old file stays, the new one goes', async (context) => {
    const done = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'none', folder]);
    if (done.status !== 0) context.skip('needs the right to mount a small file system');
    mounted.push(folder);
    for (const threads of [1, 2])
      for (const name of outputs) {
        fs.writeFileSync(at(name), 'old');
        const options = { ...structure, force: true };
        const error = await convertModel(await source(), at(name), options, testContext(threads)).then(
          () => undefined,
          (reason: unknown) => reason,
        );
        expect(isMlserError(error), `${name}: ${error}`).toBe(true);
        expect(error).toMatchObject({ code: 'E_IO', details: { errno: 'ENOSPC' } });
        expect(listing()).toEqual([name]);
        expect(fs.readFileSync(at(name), 'utf8')).toBe('old');
        fs.rmSync(at(name));
      }
    const output = stageOutput(at('x'), { force: false });
    const sink = await output.create('x');
    await expect(sink.append(new Uint8Array(1 << 17))).rejects.toMatchObject({
      code: 'E_IO',
      details: { needed: 1 << 17, free: expect.any(Number) },
      hint: expect.stringContaining('free some space'),
    });
    await output.abort();
    expect(listing()).toEqual([]);
  });
});

const child = path.resolve('test/support/staged-child.js');
const lastLine = (text: string): string => text.trim().split('\n').at(-1) ?? '';

describe('limits of the system', () => {
  it('a file size limit is E_IO (EFBIG); the old file stays, the new one goes', () => {
    fs.writeFileSync(at('a.bin'), 'old');
    const run = spawnSync(
      'sh',
      ['-c', `ulimit -f 100 && exec "$0" "$@"`, process.execPath, child, 'write', at('a.bin'), 'force'],
      {
        encoding: 'utf8',
      },
    );
    expect(run.status, run.stderr).toBe(3);
    expect(JSON.parse(lastLine(run.stdout))).toMatchObject({ code: 'E_IO', errno: 'EFBIG' });
    expect(fs.readFileSync(at('a.bin'), 'utf8')).toBe('old');
    expect(listing()).toEqual(['a.bin']);
  });

  it('a folder that may not be written is refused before any work', (context) => {
    if (process.platform === 'win32') context.skip('modes of folders mean nothing here');
    fs.chmodSync(root, 0o755);
    fs.chmodSync(folder, 0o555);
    const user = process.getuid?.() === 0 ? ['uid=65534'] : []; // root may write anywhere
    const run = spawnSync(process.execPath, [child, 'write', at('a.bin'), ...user], { encoding: 'utf8' });
    fs.chmodSync(folder, 0o755);
    expect(run.status, run.stderr).toBe(3);
    expect(run.stdout).not.toContain('wrote');
    expect(JSON.parse(lastLine(run.stdout))).toMatchObject({
      code: 'E_IO',
      errno: 'EACCES',
      hint: expect.stringContaining('permissions'),
    });
    expect(listing()).toEqual([]);
  });
});
