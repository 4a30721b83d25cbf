import * as fs from 'node:fs';
import { dtypeFacts, elementCount } from '../../src/core/dtype.js';
import { memoryTensor, type TensorInfo, type TensorSource } from '../../src/core/tensor.js';
import { decodeElements } from '../../src/kernels/elements.js';
import type { QuantizedType } from '../../src/kernels/quantize/integers.js';
import { goldenArrays } from './npz.js';

/** The fixtures numerics/intquant: what onnxruntime makes of some matrices. */
interface Entry {
  readonly scale_f32_bits?: number;
  readonly zero_point?: number;
}

const folder = new URL('../../fixtures/numerics/intquant/', import.meta.url);
const read = (name: string): Map<string, Uint8Array> => goldenArrays(new URL(name, folder));
const matrices = read('matrices.npz');
const quantized = read('quantized.npz');
const { entries }: { entries: Record<string, Entry> } = JSON.parse(
  fs.readFileSync(new URL('quantized.json', folder), 'utf8'),
);

export const intquant = {
  entries: new Map(Object.entries(entries)),
  array: (name: string): Uint8Array | undefined => quantized.get(name),
};

const SHAPES: Readonly<Record<string, readonly number[]>> = { odd: [33, 17], one: [1, 1] };

/** The matrix that a key is about. */
export function matrix(key: string): TensorSource {
  const name = key.split('.')[0] ?? '';
  const bytes = matrices.get(name);
  if (!bytes) throw new Error(`no matrix ${name}`);
  return memoryTensor({ name, dtype: 'f32', shape: SHAPES[name] ?? [32, 48] }, bytes);
}

/** Packed integers as numbers. */
export function integerCodes(
  dtype: QuantizedType,
  bytes: Uint8Array | undefined,
  { info }: { readonly info: TensorInfo },
): number[] {
  const count = elementCount(info.shape);
  if (!bytes || bytes.length !== Math.ceil((count * dtypeFacts(dtype).bits) / 8))
    throw new Error(`${bytes?.length} bytes`);
  const out = new Float64Array(count);
  decodeElements(dtype, bytes, count, out);
  return [...out];
}
