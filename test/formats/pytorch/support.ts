import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { WriteOptions } from '../../../src/core/format.js';
import type { Model } from '../../../src/core/model.js';
import { reader } from '../../../src/formats/pytorch/reader.js';
import { writer } from '../../../src/formats/pytorch/writer.js';
import { crc32 } from '../../../src/io/crc32.js';
import { diskFiles } from '../../../src/io/disk.js';
import { sha256Hex } from '../../../src/io/hashing.js';
import { finishZip, planZip } from '../../../src/io/zip/writer.js';
import { testContext } from '../../support/context.js';
import { memoryFiles, memoryOutput } from '../../support/memory-files.js';

export const fixture = (name: string): string => path.resolve('fixtures/pytorch', name);
export const fixtureBytes = (name: string): Uint8Array => new Uint8Array(readFileSync(fixture(name)));

export const openFixture = (name: string): Promise<Model> => reader.read(diskFiles(fixture(name)), {});

export const openBytes = (bytes: Uint8Array, name = 'model.pt'): Promise<Model> =>
  reader.read(memoryFiles(name, new Map([[name, bytes]])), {});

/** What is written for a model, and how it reads back. */
export async function written(model: Model, options: WriteOptions = {}, name = 'model.pt') {
  const output = memoryOutput(name);
  await writer.write(model, output, { ...testContext(1), options });
  const files = await output.stage();
  return { output, bytes: output.bytes(), back: await reader.read(files, {}) };
}

/** Name → type, shape and hash of every tensor. */
export async function contents(model: Model): Promise<Map<string, string>> {
  const out = new Map<string, string>();
  for (const tensor of model.tensors) {
    const { name, dtype, shape } = tensor.info;
    out.set(name, `${dtype} [${shape.join()}] ${await sha256Hex(tensor.stream())}`);
  }
  return out;
}

/** A zip archive of these records, stored. */
export async function archive(records: ReadonlyMap<string, Uint8Array>): Promise<Uint8Array> {
  const output = memoryOutput('a.zip');
  const sink = await output.create('a.zip');
  const entries = [...records];
  const plan = planZip(entries.map(([name, bytes]) => ({ name, size: bytes.byteLength })));
  for (const [i, [, bytes]] of entries.entries()) await sink.writeAt(plan.entries[i]?.dataOffset ?? 0, bytes);
  await finishZip(
    sink,
    plan,
    entries.map(([, bytes]) => crc32(bytes)),
  );
  return output.bytes();
}

/** A `.pt` around a pickle and its storages. */
export const torchArchive = (
  pickle: Uint8Array,
  storages: readonly Uint8Array[] = [],
  extra: Readonly<Record<string, string>> = { version: '3\n', byteorder: 'little' },
): Promise<Uint8Array> =>
  archive(
    new Map([
      ['m/data.pkl', pickle],
      ...storages.map((bytes, i): [string, Uint8Array] => [`m/data/${i}`, bytes]),
      ...Object.entries(extra).map(([name, text]): [string, Uint8Array] => [`m/${name}`, Buffer.from(text)]),
    ]),
  );

/** Pickle source: numbers are bytes, strings are characters. */
export const assemble = (...parts: readonly (string | number)[]): Uint8Array =>
  Buffer.concat(
    parts.map((part) => (typeof part === 'number' ? Buffer.of(part) : Buffer.from(part, 'latin1'))),
  );

/** BINUNICODE */
export const unicode = (text: string): string => {
  const bytes = Buffer.from(text, 'utf8');
  return `X${String.fromCharCode(bytes.byteLength)}\0\0\0${bytes.toString('latin1')}`;
};

/** A contiguous-looking float tensor over storage `key`: numel, offset, size and stride as pickle source. */
export const floatTensor = (
  key: string,
  numel: number,
  offset: string,
  size: string,
  stride: string,
): string =>
  `ctorch._utils\n_rebuild_tensor_v2\n((${unicode('storage')}ctorch\nFloatStorage\n${unicode(key)}${unicode('cpu')}K${String.fromCharCode(numel)}tQ${offset}${size}${stride}\x89}tR`;

export const floats = (...values: readonly number[]): Uint8Array =>
  new Uint8Array(Float32Array.from(values).buffer);
