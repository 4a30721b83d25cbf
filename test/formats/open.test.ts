import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { FormatDescriptor } from '../../src/core/format.js';
import { detectFormat } from '../../src/formats/detect.js';
import { FORMATS, formatById } from '../../src/formats/index.js';
import { openInput, outputPath, pickModel } from '../../src/formats/open.js';
import { diskFiles } from '../../src/io/disk.js';
import { rangeServer } from '../support/range-server.js';
import { safetensorsBytes } from './safetensors/build.js';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'mlser-open-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const put = (name: string, bytes: string | Uint8Array): string => {
  const file = path.join(folder, name);
  writeFileSync(file, bytes);
  return file;
};
const open = async (input: string) => {
  const { files, descriptor } = await openInput(input);
  await files.close();
  return { main: files.main, id: descriptor.id };
};
const GOOD = safetensorsBytes('{"a":{"dtype":"U8","shape":[],"data_offsets":[0,1]}}', 1);

describe('what bytes are', () => {
  it('counts, whatever the name', async () => {
    expect(await open(put('model.data', GOOD))).toMatchObject({ id: 'safetensors' });
    expect(await open(put('model.onnx', GOOD))).toMatchObject({ id: 'safetensors' });
  });

  it.each([
    ['an empty file', '', /is empty \(0 bytes\)/],
    ['zero bytes', new Uint8Array(1024), /holds zero bytes only/],
    ['many zero bytes', new Uint8Array(100_000), /begins with 65536 zero bytes/],
    [
      'a Git LFS pointer',
      'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n',
      /Git LFS pointer/,
    ],
    ['an HTML page', '\n<!DOCTYPE html><html></html>', /HTML page/],
    ['an XML error', '<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', /XML document/],
    ['a gzip archive', gzipSync('x'), /gzip archive/],
    [
      'a tar archive',
      Buffer.concat([Buffer.alloc(257, 1), Buffer.from('ustar\0'), Buffer.alloc(300)]),
      /tar archive/,
    ],
    ['HDF5', Buffer.from('\x89HDF\r\n\x1a\n........', 'latin1'), /HDF5/],
    ['TFLite', Buffer.from('\x1c\0\0\0TFL3........', 'latin1'), /TensorFlow Lite/],
    ['an ELF program', Buffer.from('\x7fELF\x02\x01\x01', 'latin1'), /ELF/],
    ['a PNG', Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'), /PNG/],
    ['JSON', '{"error": "gated"}', /JSON text/],
  ])('%s is told by name under a model extension and under none', async (_, bytes, message) => {
    for (const name of ['m.safetensors', 'm.xyz'])
      await expect(open(put(name, bytes))).rejects.toMatchObject({
        code: 'E_UNKNOWN_FORMAT',
        message: expect.stringMatching(message),
        hint: expect.stringMatching(/./),
      });
  });

  it('go to the reader that the extension names when they are merely broken', async () => {
    const broken = safetensorsBytes('{"a"', 0, 1n << 60n);
    expect(await open(put('m.safetensors', broken))).toMatchObject({ id: 'safetensors' });
    expect(await open(put('m.safetensors', 'plain text'))).toMatchObject({ id: 'safetensors' });
  });

  it('are shown in hexadecimal when nothing comes to mind', async () => {
    await expect(open(put('m.xyz', Uint8Array.of(0xf7, 0xf8, 0xf9)))).rejects.toMatchObject({
      code: 'E_UNKNOWN_FORMAT',
      message: expect.stringContaining('f7 f8 f9'),
    });
  });

  it('are judged by the highest score, then by the extension', async () => {
    const format = (id: string, score: 0 | 1 | 2 | 3, extension: string): FormatDescriptor => {
      const base = FORMATS[0]!;
      return { ...base, id, extensions: [extension], sniff: () => score };
    };
    const detect = async (...formats: FormatDescriptor[]) =>
      (await detectFormat(diskFiles(put('m.b', 'bytes')), formats)).id;
    expect(await detect(format('a', 2, '.a'), format('b', 2, '.b'), format('c', 0, '.c'))).toBe('b');
    expect(await detect(format('a', 3, '.a'), format('b', 2, '.b'))).toBe('a');
    expect(await detect(format('a', 0, '.a'), format('b', 0, '.b'))).toBe('b');
  });
});

describe('what an input may be', () => {
  it('a Hugging Face folder, one file before shards', async () => {
    put('config.json', '{}');
    put('training_args.bin', 'x');
    put('model.safetensors.index.json', '{"weight_map":{}}');
    expect(await open(folder)).toEqual({ main: 'model.safetensors.index.json', id: 'safetensors' });
    expect(await open(`${folder}/`)).toEqual({ main: 'model.safetensors.index.json', id: 'safetensors' });
    put('model.safetensors', GOOD);
    expect(await open(folder)).toEqual({ main: 'model.safetensors', id: 'safetensors' });
  });

  it('a folder with one model under any name', async () => {
    put('README.md', '');
    put('optimizer.pt', '');
    put('weights.safetensors', GOOD);
    expect(await open(folder)).toEqual({ main: 'weights.safetensors', id: 'safetensors' });
  });

  it('a snapshot of the Hugging Face cache, whose files are links', async () => {
    mkdirSync(path.join(folder, 'blobs'));
    mkdirSync(path.join(folder, 'snapshots'));
    put('blobs/0a1b', GOOD);
    symlinkSync('../blobs/0a1b', path.join(folder, 'snapshots/model.safetensors'));
    expect(await open(path.join(folder, 'snapshots'))).toEqual({
      main: 'model.safetensors',
      id: 'safetensors',
    });
  });

  it('no folder that is unclear', () => {
    const pick = (...names: string[]) => pickModel(names, 'dir');
    expect(() => pick('a.safetensors', 'b.safetensors')).toThrow(
      expect.objectContaining({
        code: 'E_USAGE',
        details: { input: 'dir', candidates: ['a.safetensors', 'b.safetensors'] },
      }),
    );
    expect(() => pick('config.json')).toThrow(expect.objectContaining({ code: 'E_NOT_FOUND' }));
    expect(() => pick('model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors')).toThrow(
      /2 shards .* but no \*\.index\.json/,
    );
    expect(pick('x-00001-of-00001.safetensors', 'x.safetensors.index.json')).toBe('x.safetensors.index.json');
  });

  it.each([
    ['a missing file', () => path.join(folder, 'absent.safetensors'), 'E_NOT_FOUND'],
    ['a missing folder', () => path.join(folder, 'absent/x.safetensors'), 'E_NOT_FOUND'],
    ['an empty folder', () => folder, 'E_NOT_FOUND'],
    ['an empty name', () => '', 'E_USAGE'],
    ['a device', () => '/dev/zero', 'E_UNSUPPORTED'],
    ['an unknown protocol', () => 'ftp://example.org/x', 'E_USAGE'],
    [
      'a dangling link',
      () => {
        const link = path.join(folder, 'link.safetensors');
        symlinkSync('nowhere', link);
        return link;
      },
      'E_NOT_FOUND',
    ],
    [
      'a link to itself',
      () => {
        const link = path.join(folder, 'loop.safetensors');
        symlinkSync('loop.safetensors', link);
        return link;
      },
      'E_IO',
    ],
    [
      'a FIFO',
      () => {
        const fifo = path.join(folder, 'pipe.safetensors');
        execFileSync('mkfifo', [fifo]);
        return fifo;
      },
      'E_UNSUPPORTED',
    ],
  ])('not %s', async (_, input, code) => {
    await expect(open(input())).rejects.toMatchObject({ code });
  });

  it('an http address of a file, an index or a folder', async () => {
    const server = await rangeServer();
    const sharded = path.resolve(import.meta.dirname, '../../fixtures/safetensors/sharded');
    try {
      server.files.set('one.safetensors', { bytes: GOOD });
      for (const name of ['model.safetensors.index.json', 1, 2, 3, 4]) {
        const file = typeof name === 'number' ? `model-0000${name}-of-00004.safetensors` : name;
        server.files.set(`hub/${file}`, { bytes: readFileSync(path.join(sharded, file)) });
      }
      expect(await open(`${server.url}one.safetensors`)).toEqual({
        main: 'one.safetensors',
        id: 'safetensors',
      });
      const { files, descriptor } = await openInput(`${server.url}hub/`);
      const model = await (await descriptor.reader()).read(files, {});
      expect(model.tensors).toHaveLength(39);
      expect(model.tensors[0]?.recipe).toBeUndefined();
      expect(files.opened()).toHaveLength(5);
      // model.safetensors is tried first, then the index, then one request a shard
      expect(server.requests.filter((request) => request.path.startsWith('/hub/'))).toHaveLength(6);
      await files.close();
      await expect(open(`${server.url}none/`)).rejects.toMatchObject({ code: 'E_NOT_FOUND' });
      await expect(open(`${server.url}none.safetensors`)).rejects.toMatchObject({ code: 'E_NOT_FOUND' });
    } finally {
      await server.close();
    }
  });
});

describe('where outputs go', () => {
  it('into a folder under the name that loaders look for', () => {
    const safetensors = formatById('safetensors')!;
    expect(outputPath(path.join(folder, 'x.safetensors'), safetensors)).toBe(
      path.join(folder, 'x.safetensors'),
    );
    expect(outputPath(folder, safetensors)).toBe(path.join(folder, 'model.safetensors'));
    expect(outputPath('new/', safetensors)).toBe(path.join('new', 'model.safetensors'));
    expect(outputPath('new/', { ...safetensors, id: 'pytorch' })).toBe(path.join('new', 'pytorch_model.bin'));
  });
});
