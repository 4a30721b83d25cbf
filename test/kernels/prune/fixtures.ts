import * as fs from 'node:fs';
import { memoryTensor, readTensor, type TensorSource } from '../../../src/core/tensor.js';
import { goldenArrays } from '../npz.js';

/** The fixtures numerics/prune: what torch keeps of some tensors. */
interface Entry {
  readonly zeros: number;
  /** Square root of the sum of squares of what went. */
  readonly l2_error: number;
  readonly method: string;
  readonly amount?: number;
}

const folder = new URL('../../../fixtures/numerics/prune/', import.meta.url);
const weights = goldenArrays(new URL('weights.npz', folder));
const masks = goldenArrays(new URL('masks.npz', folder));
const { entries }: { entries: Record<string, Entry> } = JSON.parse(
  fs.readFileSync(new URL('masks.json', folder), 'utf8'),
);

export const SHAPES: Readonly<Record<string, readonly number[]>> = {
  linear: [24, 32],
  conv: [8, 6, 3, 3],
  bias: [24],
  ties: [16, 16],
  with_zeros: [16, 20],
};

export const torchMasks = Object.entries(entries).map(([key, entry]) => ({
  ...entry,
  key,
  mask: masks.get(key) ?? new Uint8Array(),
}));

export function weight(name: string): TensorSource {
  const bytes = weights.get(name);
  const shape = SHAPES[name];
  if (!bytes || !shape) throw new Error(`no weight ${name}`);
  return memoryTensor({ name, dtype: 'f32', shape }, bytes);
}

export const floatsOf = async (tensor: TensorSource): Promise<Float32Array> =>
  new Float32Array((await readTensor(tensor)).buffer);

/** Square root of the sum of squares of the differences. */
export async function distance(before: TensorSource, after: TensorSource): Promise<number> {
  const [a, b] = [await floatsOf(before), await floatsOf(after)];
  return Math.sqrt(a.reduce((sum, value, i) => sum + (value - (b[i] ?? 0)) ** 2, 0));
}

/** 1 where a value is the same as before, 0 where it is zero now and was not. */
export async function maskOf(before: TensorSource, after: TensorSource): Promise<number[]> {
  const [a, b] = [await floatsOf(before), await floatsOf(after)];
  return [...a].map((value, i) => {
    if (!Object.is(b[i], 0) && !Object.is(b[i], value)) throw new Error(`${value} became ${b[i]}`);
    return b[i] === 0 ? 0 : 1;
  });
}
