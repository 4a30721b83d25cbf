import { type DType, elementCount, tensorBytes } from '../core/dtype.js';
import { type Model, tensorMap } from '../core/model.js';
import { readTensor, type TensorSource } from '../core/tensor.js';
import type { Transform } from '../core/transform.js';
import { MlserError } from '../errors.js';
import { castTensor } from '../kernels/cast.js';
import { decodeElements } from '../kernels/elements.js';
import { integersBack } from '../kernels/quantize/affine.js';
import { Groups } from '../kernels/quantize/groups.js';
import { QUANTIZATION_KEY, type QuantizedRecord, recordsOf, recordText } from './quantized-record.js';

/** Whether tensors of the model are integers with scales, as `quantize` stores them. */
export const isQuantized = (model: Model): boolean => recordsOf(model).size > 0;

/** Tensors (those that are selected) that `quantize` stored as integers are floats again; scales and zero points go. */
export function dequantize(selects: (name: string) => boolean = () => true): Transform {
  return {
    name: 'dequantize',
    async apply(model: Model): Promise<Model> {
      const all = [...recordsOf(model)];
      const records = new Map(all.filter(([name]) => selects(name)));
      const left = new Map(all.filter(([name]) => !selects(name)));
      const tensors = tensorMap(model);
      const companions = new Set([...records.values()].flatMap(({ scale, zeroPoint }) => [scale, zeroPoint]));
      const back = new Map<string, TensorSource>();
      for (const [name, record] of records) back.set(name, await floats(tensors, name, record));
      const metadata = new Map(model.metadata);
      if (left.size > 0) metadata.set(QUANTIZATION_KEY, recordText(left));
      else metadata.delete(QUANTIZATION_KEY);
      return {
        ...model,
        metadata,
        tensors: model.tensors
          .filter(({ info }) => !companions.has(info.name))
          .map((tensor) => back.get(tensor.info.name) ?? tensor),
      };
    },
  };
}

async function floats(
  tensors: ReadonlyMap<string, TensorSource>,
  name: string,
  record: QuantizedRecord,
): Promise<TensorSource> {
  const { dtype, shape, from } = record;
  const stored = find(tensors, name);
  if (stored.byteLength !== tensorBytes(dtype, shape, name))
    throw wrong(name, `${stored.byteLength} bytes are not ${dtype} [${shape.join(', ')}]`);
  const groups = new Groups(shape, record);
  const scales = await numbers(tensors, record.scale, find(tensors, record.scale).info.dtype, groups.count);
  const zeros =
    record.zeroPoint === undefined
      ? new Float64Array(groups.count)
      : await numbers(tensors, record.zeroPoint, dtype, groups.count);
  const integers: TensorSource = { ...stored, info: { name, dtype, shape } };
  const values = integersBack(integers, groups, {
    scales: Float32Array.from(scales),
    zeros: Int32Array.from(zeros),
  });
  return castTensor(values, from);
}

function find(tensors: ReadonlyMap<string, TensorSource>, name: string): TensorSource {
  const tensor = tensors.get(name);
  if (!tensor) throw wrong(name, 'it is not there');
  return tensor;
}

async function numbers(
  tensors: ReadonlyMap<string, TensorSource>,
  name: string,
  dtype: DType,
  count: number,
): Promise<Float64Array> {
  const tensor = find(tensors, name);
  if (tensor.byteLength !== tensorBytes(dtype, [count], name))
    throw wrong(name, `${tensor.byteLength} bytes are not ${count} of ${dtype}`);
  const out = new Float64Array(count);
  decodeElements(dtype, await readTensor(tensor), elementCount([count]), out);
  return out;
}

const wrong = (name: string, what: string): MlserError =>
  new MlserError('E_MALFORMED', `quantized tensor ${JSON.stringify(name)}: ${what}`, {
    details: { tensor: name },
    hint: `its metadata (${QUANTIZATION_KEY}) and its tensors do not belong together`,
  });
