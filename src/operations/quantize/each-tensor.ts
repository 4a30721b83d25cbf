import type { Model } from '../../core/model.js';
import type { TensorSource } from '../../core/tensor.js';
import { type Finding, finding } from '../../errors.js';
import type { Quantized, QuantizedTensor, QuantizeSettings } from '../../graph/quantize/types.js';
import type { LossFigures } from '../../kernels/quantize/loss.js';
import { type QuantizedRecord, recordsOf, withRecords } from '../../transforms/quantized-record.js';

/** A weight that belongs to no graph: a float tensor of two and more dimensions. */
export interface PlainWeight {
  readonly tensor: TensorSource;
  readonly from: QuantizedRecord['from'];
  /** A free name for a companion: `<name>.<what>`. */
  readonly beside: (what: string) => string;
}

/** What takes its place. */
export interface StoredWeight {
  /** The codes under its name, then the companions. */
  readonly tensors: readonly TensorSource[];
  readonly record: QuantizedRecord;
  readonly dtypeOut: string;
  readonly dequantized: TensorSource;
  readonly loss?: LossFigures;
}

/** The first axis counts outputs, as torch has them. */
export const OUTPUTS = 0;

/**
 * Quantizes weights one by one. What is recorded already stays, and what would not get smaller. `store` gives undefined
 * where a value is NaN or infinite.
 */
export async function quantizeEach(
  model: Model,
  scheme: string,
  settings: QuantizeSettings,
  store: (weight: PlainWeight) => Promise<StoredWeight | undefined>,
): Promise<Quantized> {
  const records = new Map<string, QuantizedRecord>(await recordsOf(model));
  const taken = new Set(model.tensors.map(({ info }) => info.name));
  const quantized: QuantizedTensor[] = [];
  const findings: Finding[] = [];
  const tensors: TensorSource[] = [];
  for (const tensor of model.tensors) {
    const { name, dtype: from } = tensor.info;
    if (!isFloatType(from) || !isWeight(tensor) || records.has(name) || !settings.selects(name)) {
      tensors.push(tensor);
      continue;
    }
    const made = await store({ tensor, from, beside: (what) => free(`${name}.${what}`, taken) });
    const bytesOut = made?.tensors.reduce((sum, { byteLength }) => sum + byteLength, 0) ?? 0;
    if (!made) findings.push(finding('warning', 'KEPT_NOT_FINITE', name, NOT_FINITE));
    if (!made || bytesOut >= tensor.byteLength) {
      tensors.push(tensor);
      continue;
    }
    for (const { info } of made.tensors) taken.add(info.name);
    tensors.push(...made.tensors);
    records.set(name, made.record);
    const { dtypeOut, dequantized, loss } = made;
    quantized.push({ name, scheme, dtypeOut, bytesOut, dequantized, ...(loss ? { loss } : {}) });
  }
  if (quantized.length === 0) return { model, quantized, findings };
  return { model: withRecords({ ...model, tensors }, records), quantized, findings };
}

const NOT_FINITE = 'it has NaN or infinite values: it stays as it is';

export const isFloatType = (dtype: string): dtype is QuantizedRecord['from'] =>
  dtype === 'f32' || dtype === 'f16' || dtype === 'bf16';

export const isWeight = ({ info: { shape }, role, byteLength }: TensorSource): boolean =>
  shape.length > 1 && byteLength > 0 && role !== 'optimizer' && role !== 'buffer';

function free(wanted: string, taken: ReadonlySet<string>): string {
  let name = wanted;
  for (let count = 2; taken.has(name); count++) name = `${wanted}_${count}`;
  return name;
}
