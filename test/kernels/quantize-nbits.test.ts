import { describe, expect, it } from 'vitest';
import { readTensor, type TensorSource } from '../../src/core/tensor.js';
import { fitted, type Parameters } from '../../src/kernels/quantize/affine.js';
import { matrixSpec, type NBitsSpec, nbitsMatrix } from '../../src/kernels/quantize/matmul-nbits.js';
import { intquant, matrix } from './intquant.js';

const keys = [...intquant.entries.keys()].filter((key) => key.includes('nbits'));

function specOf(key: string): NBitsSpec {
  const [, bits = '', block = '', symmetric] = key.split('.');
  return {
    bits: Number(bits.slice(5)) as 2 | 4 | 8,
    block: Number(block.slice(5)),
    symmetric: symmetric === 'sym',
  };
}

async function parameters(tensor: TensorSource, spec: NBitsSpec): Promise<Parameters> {
  const found = await fitted(tensor, matrixSpec(spec));
  if (!found) throw new Error('not finite');
  return found;
}

/** Bits behind the end of the matrix taken away: there the reference has what was there before. */
function masked(bytes: Uint8Array, { bits }: NBitsSpec, k: number, rows: number): string {
  const rowBytes = bytes.length / rows;
  const used = k * bits;
  const out = bytes.map((byte, i) => {
    const left = used - (i % rowBytes) * 8;
    return left >= 8 ? byte : left <= 0 ? 0 : byte & (2 ** left - 1);
  });
  return Buffer.from(out).toString('hex');
}

const hex = (bytes: Uint8Array | undefined): string => Buffer.from(bytes ?? []).toString('hex');

describe('matrices for MatMulNBits equal onnxruntime', () => {
  it('has entries to compare with', () => {
    expect(keys).toHaveLength(72);
  });

  it.each(keys)('%s', async (key) => {
    const tensor = matrix(key);
    const spec = specOf(key);
    const found = nbitsMatrix(tensor, spec, await parameters(tensor, spec));
    const [k = 0, n = 0] = tensor.info.shape;
    expect(hex(found.scales)).toBe(hex(intquant.array(`${key}.scales`)));
    const packed = await readTensor(found.packed);
    expect(masked(packed, spec, k, n)).toBe(
      masked(intquant.array(`${key}.packed`) ?? new Uint8Array(), spec, k, n),
    );
    if (!spec.symmetric) expect(hex(found.zeroPoints)).toBe(hex(intquant.array(`${key}.zero_points_packed`)));
    else expect(found.zeroPoints).toBeUndefined();
  });

  it('gives any part of the packed bytes alone', async () => {
    const tensor = matrix('odd');
    const spec: NBitsSpec = { bits: 4, block: 16, symmetric: true };
    const { packed } = nbitsMatrix(tensor, spec, await parameters(tensor, spec));
    const all = await readTensor(packed);
    const parts: Uint8Array[] = [];
    for (let at = 0; at < all.length; at += 37)
      for await (const part of packed.stream({ start: at, end: Math.min(all.length, at + 37) }))
        parts.push(part);
    expect(Buffer.concat(parts).equals(all)).toBe(true);
  });
});
