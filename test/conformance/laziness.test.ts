import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import type { Model } from '../../src/core/model.js';
import { detectFormat } from '../../src/formats/detect.js';
import { FORMATS } from '../../src/formats/index.js';
import { diskFiles } from '../../src/io/disk.js';
import type { InputFiles } from '../../src/io/files.js';
import { stageOutput } from '../../src/io/staged.js';
import { testContext } from '../support/context.js';
import { encodeSampleGraph } from '../support/sample-graph.js';

/** Opening a model reads headers: a counting source says how many bytes. */

interface Counted {
  readonly files: InputFiles;
  bytes: number;
  reads: number;
}

function counting(files: InputFiles): Counted {
  const counted: Counted = {
    bytes: 0,
    reads: 0,
    files: {
      ...files,
      async open(name) {
        const source = await files.open(name);
        return {
          ...source,
          async read(offset, length) {
            counted.bytes += length;
            counted.reads++;
            return source.read(offset, length);
          },
        };
      },
    },
  };
  return counted;
}

const scratch = mkdtempSync(path.join(tmpdir(), 'mlser-lazy-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const TENSORS = 8;
const BIG = 1 << 20;
/** 8 MiB of weights in 8 tensors. */
const model: Model = {
  format: 'memory',
  tensors: Array.from({ length: TENSORS }, (_, i) => ({
    info: { name: `layer.${i}.weight`, dtype: 'f32' as const, shape: [512, 512] },
    byteLength: BIG,
    async *stream(range = { start: 0, end: BIG }) {
      yield new Uint8Array(range.end - range.start).fill(i + 1);
    },
  })),
  aliases: new Map(),
  metadata: new Map(),
  findings: [],
};

describe('laziness', () => {
  it.each(
    FORMATS.filter((format) => format.writer && format.id !== 'npy').map(
      (format) => [format.id, format] as const,
    ),
  )('%s opens by its headers', async (id, format) => {
    const file = path.join(scratch, `model${format.extensions[0]}`);
    if (id === 'onnx') writeFileSync(file, await encodeSampleGraph(model));
    else {
      const output = stageOutput(file, { force: true });
      await (await format.writer?.())?.write(model, output, { ...testContext(1), options: {} });
      await output.commit();
    }
    expect(readdirSync(scratch)).toContain(path.basename(file));
    expect(statSync(file).size).toBeGreaterThan(TENSORS * BIG);

    const counted = counting(diskFiles(file));
    const descriptor = await detectFormat(counted.files);
    expect(descriptor.id).toBe(id);
    const opened = await (await descriptor.reader()).read(counted.files, {});
    expect(opened.tensors.map((tensor) => tensor.info.name)).toEqual(model.tensors.map((t) => t.info.name));
    // The first 64 KiB for recognition, then headers: a small part of 8 MiB, in few reads.
    expect(counted.bytes).toBeLessThan(1_200_000);
    expect(counted.reads).toBeLessThan(80);
    await counted.files.close();
  });
});
