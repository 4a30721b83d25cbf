import { type DType, dtypeFacts, tensorBytes } from '../../src/core/dtype.js';
import type { Model } from '../../src/core/model.js';
import { memoryTensor } from '../../src/core/tensor.js';

/** Bytes that are valid for any type: no NaN (their payloads may change), booleans 0 or 1, every bit pattern varied. */
function sampleBytes(dtype: DType, length: number): Uint8Array {
  const { kind, bits } = dtypeFacts(dtype);
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) {
    const noise = (i * 73 + 41) & 0xff;
    if (kind === 'bool') bytes[i] = noise & 1;
    else if (kind === 'float' || kind === 'complex')
      // A small exponent keeps every float type finite: the top byte of each element stays below 0x3c.
      bytes[i] = bits >= 16 ? ((i + 1) % 2 === 0 ? noise & 0x3b : noise) : noise & 0x37;
    else bytes[i] = noise;
  }
  return bytes;
}

/** A model of two tensors of one type, [8, 6] and [2, 4], with one metadata entry. */
export function sampleModel(dtype: DType): Model {
  const make = (name: string, shape: readonly number[]) =>
    memoryTensor({ name, dtype, shape }, sampleBytes(dtype, tensorBytes(dtype, shape)));
  return {
    format: 'memory',
    tensors: [make('layer.weight', [8, 6]), make('layer.bias', [2, 4])],
    aliases: new Map(),
    metadata: new Map([['made_by', 'test']]),
    findings: [],
  };
}
