import type { WriteOptions } from '../../../src/core/format.js';
import type { Model } from '../../../src/core/model.js';
import { readTensor } from '../../../src/core/tensor.js';
import { decodeManifest } from '../../../src/formats/mlck/decode.js';
import { encodeManifest } from '../../../src/formats/mlck/encode.js';
import { encodeFooter, readFrame } from '../../../src/formats/mlck/frame.js';
import { FOOTER_BYTES } from '../../../src/formats/mlck/layout.js';
import type { Manifest } from '../../../src/formats/mlck/manifest.js';
import { reader } from '../../../src/formats/mlck/reader.js';
import { writer } from '../../../src/formats/mlck/writer.js';
import { memorySource } from '../../../src/io/memory.js';
import { testContext } from '../../support/context.js';
import { memoryFiles, memoryOutput } from '../../support/memory-files.js';

export async function write(model: Model, options: WriteOptions = {}, threads = 1): Promise<Uint8Array> {
  const output = memoryOutput('model.mlck');
  await writer.write(model, output, { ...testContext(threads), options });
  return output.bytes();
}

export const open = (bytes: Uint8Array): Promise<Model> =>
  reader.read(memoryFiles('model.mlck', new Map([['model.mlck', bytes]])), {});

/** Opens the file and reads every byte that it promises. */
export async function readAll(bytes: Uint8Array): Promise<Map<string, Uint8Array>> {
  const model = await open(bytes);
  const all = new Map<string, Uint8Array>();
  for (const tensor of model.tensors) all.set(tensor.info.name, await readTensor(tensor));
  return all;
}

/** The same file with another manifest, correctly signed. */
export function withManifest(bytes: Uint8Array, manifest: Uint8Array, at?: number): Uint8Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const offset = Number(view.getBigUint64(bytes.byteLength - FOOTER_BYTES, true));
  return Buffer.concat([bytes.subarray(0, offset), manifest, encodeFooter(at ?? offset, manifest)]);
}

export async function manifestOf(bytes: Uint8Array): Promise<Manifest> {
  const frame = await readFrame(memorySource(bytes, 'model.mlck'));
  return decodeManifest(frame.manifest, 'model.mlck');
}

type Change = (manifest: Manifest) => Partial<Manifest>;

/** The same file with a manifest that says something else. */
export async function changed(bytes: Uint8Array, change: Change): Promise<Uint8Array> {
  const manifest = await manifestOf(bytes);
  return withManifest(bytes, await encodeManifest({ ...manifest, ...change(manifest) }));
}
