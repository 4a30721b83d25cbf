import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { memoryTensor, rangeTensor, readTensor, type TensorSource } from '../../src/core/tensor.js';
import { crc32 } from '../../src/io/crc32.js';
import { type DiskSource, openDisk } from '../../src/io/disk.js';
import { castTensor } from '../../src/kernels/cast.js';
import { zeroed } from '../../src/kernels/prune/zero.js';
import { nf4 } from '../../src/kernels/quantize/block-floats.js';
import { quantizeBlockFloats } from '../../src/kernels/quantize/block-floats-pool.js';
import { quantizeMatrices } from '../../src/kernels/quantize/blocks-pool.js';
import { typedCodes } from '../../src/kernels/quantize/codes.js';
import { quantizeLinear } from '../../src/kernels/quantize/linear-pool.js';
import { quantizePalettes } from '../../src/kernels/quantize/palette-pool.js';
import { quantizeRowBlocks } from '../../src/kernels/quantize/row-blocks-pool.js';
import { testContext } from '../support/context.js';
import { bytesOf, floats } from './samples.js';

/** More columns than int4 reads at a time, and more rows than a step. */
const SHAPE = [512, 1088] as const;
const COUNT = SHAPE[0] * SHAPE[1];
const context = testContext(2);
const folder = fs.mkdtempSync(path.join(tmpdir(), 'mlser-sources-'));
const open: DiskSource[] = [];
afterAll(() => {
  for (const source of open) source.close();
  fs.rmSync(folder, { recursive: true, force: true });
});

const info = (dtype: 'f32' | 'bf16') => ({ name: 'x', dtype, shape: SHAPE });
const values = floats('weights', COUNT);
const BELOW = 0.01;
const pruned = values.map((value) => (Math.abs(value) < BELOW ? 0 : value));
const rule = { width: 4, below: BigInt(new Uint32Array(Float32Array.of(BELOW).buffer)[0] ?? 0) } as const;

function fileOf(name: string, bytes: Uint8Array): DiskSource {
  const file = path.join(folder, name);
  fs.writeFileSync(file, bytes);
  const source = openDisk(file);
  open.push(source);
  return source;
}

let plain: TensorSource;
let bf16: TensorSource;
let widened: TensorSource;
let prunedFile: TensorSource;
beforeAll(async () => {
  plain = rangeTensor(info('f32'), fileOf('plain', bytesOf(values)), 0);
  prunedFile = rangeTensor(info('f32'), fileOf('pruned', bytesOf(pruned)), 0);
  const narrow = await readTensor(castTensor(memoryTensor(info('f32'), bytesOf(values)), 'bf16'));
  bf16 = rangeTensor(info('bf16'), fileOf('bf16', narrow), 0);
  widened = rangeTensor(info('f32'), fileOf('widened', await readTensor(castTensor(bf16, 'f32'))), 0);
});

/** The bytes that the pool makes of a tensor, by the kernel that makes them. */
const kernels = {
  linear: (tensor: TensorSource) =>
    made(
      quantizeLinear([{ tensor, spec: { dtype: 'i8', symmetric: true, axis: 1 } }], context),
      (all) => all.done.get('x')?.affine?.codes,
    ),
  'row blocks': (tensor: TensorSource) =>
    made(
      quantizeRowBlocks(
        [{ tensor, spec: { dtype: 'u4', symmetric: false, axis: 1, block: 32, rule: 'nbits' } }],
        context,
      ),
      (all) => all.done.get('x')?.blocks?.codes,
    ),
  'column blocks': (tensor: TensorSource) =>
    made(
      quantizeMatrices([{ tensor, spec: { bits: 4, block: 32, symmetric: false } }], context),
      (all) => all.done.get('x')?.matrix?.packed,
    ),
  nf4: (tensor: TensorSource) =>
    made(
      quantizeBlockFloats([{ tensor, packing: typedCodes(SHAPE, 'u4'), format: nf4(64) }], context),
      (all) => all.done.get('x')?.coded?.codes,
    ),
  palette: (tensor: TensorSource) =>
    made(
      quantizePalettes([{ tensor, packing: typedCodes(SHAPE, 'u4'), spec: { k: 16 } }], context),
      (all) => all.done.get('x')?.coded?.codes,
    ),
};

async function made<T extends { release(): void }>(
  work: Promise<T>,
  codes: (all: T) => TensorSource | undefined,
): Promise<Buffer> {
  const all = await work;
  try {
    const found = codes(all);
    if (!found?.recipe) throw new Error('the pool has not made it');
    return Buffer.from(await readTensor(found));
  } finally {
    all.release();
  }
}

/** Bytes that only come in order. */
const streamed = (tensor: TensorSource): TensorSource => {
  const { recipe: _, location: __, ...rest } = tensor;
  return rest;
};

describe.each(Object.entries(kernels))('%s, of weights', (name, kernel) => {
  it('whose sum their file records', async () => {
    const tensor = rangeTensor(info('f32'), fileOf(`${name} sum`, bytesOf(values)), 0, {
      crc32: { seed: 0, expect: crc32(bytesOf(values)) },
    });
    expect((await kernel(tensor)).equals(await kernel(plain))).toBe(true);
  });

  it('whose sum is another one: E_INTEGRITY', async () => {
    const tensor = rangeTensor(info('f32'), fileOf(`${name} wrong`, bytesOf(values)), 0, {
      crc32: { seed: 0, expect: crc32(bytesOf(values)) ^ 1 },
    });
    await expect(kernel(tensor)).rejects.toMatchObject({ code: 'E_INTEGRITY' });
  });

  it('that only come in order', async () => {
    expect((await kernel(streamed(plain))).equals(await kernel(plain))).toBe(true);
  });

  it('that are pruned when they are pulled', async () => {
    const tensor = zeroed(plain, { ...rule, tiesBefore: 0 });
    const bytes = await kernel(tensor);
    expect(bytes.equals(await kernel(prunedFile))).toBe(true);
    expect(bytes.equals(await kernel(plain))).toBe(false);
  });

  // Codebooks of bf16 hold values of bf16, and MatMulNBits has its own rule for such graphs.
  if (name !== 'palette' && name !== 'column blocks')
    it('in bf16', async () => {
      expect((await kernel(bf16)).equals(await kernel(widened))).toBe(true);
    });
});
