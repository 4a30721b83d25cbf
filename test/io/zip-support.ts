import { crc32 } from '../../src/io/crc32.js';
import { memorySource } from '../../src/io/memory.js';
import { readZipDirectory } from '../../src/io/zip/directory.js';
import { finishZip, planZip, ZipAppender } from '../../src/io/zip/writer.js';
import { memoryOutput } from '../support/memory-files.js';

export const text = (value: string): Uint8Array => new TextEncoder().encode(value);
export const openZip = (bytes: Uint8Array) => readZipDirectory(memorySource(bytes, 'a.zip'));
export const noise = (length: number): Uint8Array => {
  const bytes = new Uint8Array(length);
  let x = 7;
  for (let i = 0; i < length; i++) {
    x = (Math.imul(x, 1103515245) + 12345) & 0x7fffffff;
    bytes[i] = x >> 16;
  }
  return bytes;
};

export async function storedZip(
  files: readonly (readonly [string, Uint8Array])[],
  align?: number,
): Promise<Buffer> {
  const output = memoryOutput('a.zip');
  const sink = await output.create('a.zip');
  const plan = planZip(
    files.map(([name, data]) => ({ name, size: data.byteLength, ...(align ? { align } : {}) })),
  );
  for (const [i, [, data]] of files.entries()) await sink.writeAt(plan.entries[i]!.dataOffset, data);
  await finishZip(
    sink,
    plan,
    files.map(([, data]) => crc32(data)),
  );
  return Buffer.from(output.bytes());
}

export async function deflatedZip(files: readonly (readonly [string, Uint8Array])[]): Promise<Buffer> {
  const output = memoryOutput('a.zip');
  const zip = new ZipAppender(await output.create('a.zip'));
  for (const [name, data] of files)
    await zip.deflate(
      name,
      data.byteLength,
      (async function* () {
        for (let at = 0; at < data.byteLength; at += 100_000) yield data.subarray(at, at + 100_000);
      })(),
    );
  await zip.finish();
  return Buffer.from(output.bytes());
}

/** Offsets inside an archive of one member named `a`, for tests that break it. */
export const places = (zip: Buffer): { entry: number; end: number } => ({
  entry: zip.lastIndexOf('PK\x01\x02', undefined, 'latin1'),
  end: zip.lastIndexOf('PK\x05\x06', undefined, 'latin1'),
});

export const code = async (work: Promise<unknown>): Promise<string> => {
  try {
    await work;
    return 'none';
  } catch (error) {
    return String((error as { code?: string }).code);
  }
};
