import * as fs from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { Decoding } from '../../src/core/recipe.js';
import { memoryTensor, rangeTensor, readTensor, type TensorSource } from '../../src/core/tensor.js';
import { createDiskSink, openDisk } from '../../src/io/disk.js';
import { castTensor } from '../../src/kernels/cast.js';
import { isSubByte, packCodes, unpackCodes } from '../../src/kernels/packing.js';
import { keyText, programOf } from '../../src/kernels/program.js';
import { blockCoder, formatOf } from '../../src/kernels/quantize/block-floats.js';
import { ChannelGroups } from '../../src/kernels/quantize/channel-groups.js';
import { decodedTensor, shared } from '../../src/kernels/quantize/decode.js';
import { Groups } from '../../src/kernels/quantize/groups.js';
import { tableValues } from '../../src/kernels/quantize/palette.js';
import { transfer } from '../../src/kernels/transfer.js';
import { testContext } from '../support/context.js';
import { ownFolder } from '../support/folders.js';

const at = ownFolder('decode');
const random = (seed: number): (() => number) => {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state >>> 8;
  };
};

/** Codes below `most`, one a byte, and as they are stored. */
function codesOf(count: number, bits: number, most = 2 ** bits): { codes: number[]; bytes: Uint8Array } {
  const next = random(bits * 31 + most);
  const codes = Array.from({ length: count }, () => next() % most);
  if (bits === 16) return { codes, bytes: new Uint8Array(Uint16Array.from(codes).buffer) };
  const single = Uint8Array.from(codes);
  if (!isSubByte(bits)) return { codes, bytes: single };
  const packed = new Uint8Array(Math.ceil((count * bits) / 8));
  packCodes(single, bits, count, packed);
  return { codes, bytes: packed };
}

const scalesOf = (count: number): Float32Array => {
  const next = random(count);
  return Float32Array.from({ length: count }, () => (next() % 1000) / 4099);
};

/** The same numbers from memory, from a file that is streamed, and by workers; also a part of them. */
async function expectDecoded(
  bytes: Uint8Array,
  shape: readonly number[],
  to: 'f32' | 'f16',
  decoding: Decoding,
  wanted: (i: number) => number,
): Promise<void> {
  const count = shape.reduce((a, b) => a * b, 1);
  const info = { name: 't', dtype: 'u8' as const, shape: [bytes.length] };
  const file = at(`codes${fs.readdirSync(at('')).length}`);
  fs.writeFileSync(file, Buffer.concat([Buffer.alloc(24), bytes]));
  const source = openDisk(file);
  try {
    const inMemory = decodedTensor(memoryTensor(info, bytes), shape, to, decoding);
    const inFile = decodedTensor(rangeTensor(info, source, 24), shape, to, decoding);
    expect(inFile.info).toEqual({ name: 't', dtype: to, shape });
    const found = await readTensor(inMemory);
    const numbers = Float32Array.from({ length: count }, (_, i) => wanted(i));
    const plain = memoryTensor({ name: 't', dtype: 'f32', shape }, new Uint8Array(numbers.buffer));
    expect(Buffer.compare(found, await readTensor(castTensor(plain, to)))).toBe(0);
    expect(Buffer.compare(await readTensor(inFile), found)).toBe(0);
    expect(Buffer.compare(await copied(inFile), found)).toBe(0);
    const range = { start: Math.floor(found.length / 3), end: Math.floor(found.length / 2) };
    const part: Uint8Array[] = [];
    for await (const chunk of inFile.stream(range)) part.push(chunk);
    expect(Buffer.compare(Buffer.concat(part), found.subarray(range.start, range.end))).toBe(0);
  } finally {
    source.close();
  }
}

/** By the pool. */
async function copied(tensor: TensorSource): Promise<Buffer> {
  expect(programOf(tensor)).toBeDefined();
  const file = at(`out${fs.readdirSync(at('')).length}`);
  const sink = createDiskSink(file, 'out');
  try {
    await transfer([{ tensor, sink, offset: 0 }], testContext());
  } finally {
    sink.close();
  }
  return fs.readFileSync(file);
}

/** More than a block of the pool, and rows that do not fill whole bytes. */
const SHAPE = [7, 301, 333];
const COUNT = 7 * 301 * 333;

describe('what codes stand for', () => {
  it.each([
    ['i8', 8, {}, true],
    ['u8', 8, { axis: 0 }, true],
    ['i4', 4, { axis: 1 }, false],
    ['u4', 4, { axis: 2 }, true],
    ['i4', 4, { axis: 1, block: 32 }, false],
    ['u4', 4, { axis: 2, block: 16 }, true],
    ['i2', 2, { axis: 1, block: 32 }, true],
    ['u2', 2, { axis: 2, block: 100 }, false],
    ['i16', 16, { axis: 0 }, false],
    ['u16', 16, {}, true],
  ] as const)(
    'integers: %s of %i bits, scales along %j, zero points: %s',
    async (dtype, bits, sharing, points) => {
      const { codes, bytes } = codesOf(COUNT, bits);
      const groups = new Groups(SHAPE, sharing);
      const scales = shared(scalesOf(groups.count));
      const zeros = shared(new Int32Array(points ? groups.count : 0).map((_, i) => i % 3));
      const half = 2 ** (bits - 1);
      const group = new Int32Array(COUNT);
      groups.visit(0, COUNT, (start, length, first, steps) => {
        for (let i = 0; i < length; i++) group[start + i] = first + (steps ? i : 0);
      });
      await expectDecoded(
        bytes,
        SHAPE,
        'f32',
        { kind: 'integers', tensor: 't', bits, dtype, shape: SHAPE, scales, zeros, ...sharing },
        (i) => {
          const code = codes[i] ?? 0;
          const integer = dtype.startsWith('i') && code >= half ? code - 2 * half : code;
          return (integer - (zeros[group[i] ?? 0] ?? 0)) * (scales[group[i] ?? 0] ?? 0);
        },
      );
    },
  );

  it.each([
    ['nf4', 64],
    ['nf4', 100],
    ['mxfp4', 32],
  ] as const)('levels: %s, blocks of %i', async (id, block) => {
    const { codes, bytes } = codesOf(COUNT, 4);
    const format = formatOf(id, block);
    const scales = shared(scalesOf(Math.ceil(COUNT / block)));
    const values = blockCoder(format, scales).valuesOf(Uint8Array.from(codes), 0);
    const decoding = { kind: 'levels', tensor: 't', bits: 4, levels: format.levels, scales, block } as const;
    await expectDecoded(bytes, SHAPE, 'f32', decoding, (i) => values[i] ?? 0);
  });

  it.each([
    [2, {}],
    [3, { axis: 0 }],
    [4, { axis: 1, block: 4 }],
    [6, { axis: 2 }],
    [8, { axis: 0, block: 2 }],
  ] as const)('palettes of %i bits, shared along %j', async (bits, sharing) => {
    const width = 2 ** bits - 1;
    const { codes, bytes } = codesOf(COUNT, bits, width);
    const groups = new ChannelGroups(SHAPE, sharing);
    const table = shared(Float64Array.from(scalesOf(groups.count * width)));
    const values = tableValues(groups, table, width, Uint8Array.from(codes), 0);
    const decoding = { kind: 'table', tensor: 't', bits, table, width, shape: SHAPE, ...sharing } as const;
    await expectDecoded(bytes, SHAPE, 'f16', decoding, (i) => values[i] ?? 0);
  });

  it('a code past its palette is an error that names the tensor', async () => {
    const shape = [1000];
    const { bytes } = codesOf(1000, 4);
    const table = shared(Float64Array.of(1, 2, 3));
    const stored = memoryTensor({ name: 't', dtype: 'u8', shape: [500] }, bytes);
    const decoding = { kind: 'table', tensor: 't', bits: 4, table, width: 3, shape } as const;
    await expect(readTensor(decodedTensor(stored, shape, 'f32', decoding))).rejects.toMatchObject({
      code: 'E_MALFORMED',
      details: { tensor: 't' },
    });
  });

  it('tells programs apart by their numbers', () => {
    const of = (value: number): string => keyText({ scales: shared(Float32Array.of(1, value)), below: 3n });
    expect(of(2)).toBe(of(2));
    expect(of(2)).not.toBe(of(3));
    expect(of(2).length).toBeLessThan(120);
  });
});

it.each([2, 3, 4, 6] as const)(
  'codes of %i bits are unpacked as they were packed, whatever their number',
  (bits) => {
    for (const count of [0, 1, 2, 3, 5, 8, 13, 1001]) {
      const { codes, bytes } = codesOf(count, bits);
      const out = new Uint8Array(count);
      unpackCodes(bytes, bits, count, out);
      expect([...out]).toEqual(codes);
    }
  },
);
