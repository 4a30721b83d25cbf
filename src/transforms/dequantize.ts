import { type DType, elementCount, tensorBytes } from '../core/dtype.js';
import { type Model, tensorMap } from '../core/model.js';
import { readTensor, type TensorSource } from '../core/tensor.js';
import type { Transform } from '../core/transform.js';
import { MlserError } from '../errors.js';
import { castTensor } from '../kernels/cast.js';
import { decodeElements } from '../kernels/elements.js';
import { integersBack } from '../kernels/quantize/affine.js';
import { blockCoder, formatOf, powersOf } from '../kernels/quantize/block-floats.js';
import { ChannelGroups } from '../kernels/quantize/channel-groups.js';
import { bytesOfCodes, type CodeBits, type Coder, decodedBy } from '../kernels/quantize/codes.js';
import { Groups } from '../kernels/quantize/groups.js';
import { tableValues } from '../kernels/quantize/palette.js';
import {
  type BlockFloatRecord,
  companionsOf,
  hasRecords,
  type IntegerRecord,
  type PaletteRecord,
  QUANTIZATION_KEY,
  type QuantizedRecord,
  recordsOf,
  withRecords,
} from './quantized-record.js';

/** Whether tensors of the model are codes, as `quantize` stores them. */
export const isQuantized = hasRecords;

/** Tensors (those that are selected) that `quantize` stored as codes are floats again; their companions go. */
export function dequantize(selects: (name: string) => boolean = () => true): Transform {
  return {
    name: 'dequantize',
    async apply(model: Model): Promise<Model> {
      const all = [...(await recordsOf(model))];
      const records = new Map(all.filter(([name]) => selects(name)));
      const left = new Map(all.filter(([name]) => !selects(name)));
      const tensors = tensorMap(model);
      const companions = new Set([...records.values()].flatMap(companionsOf));
      const back = new Map<string, TensorSource>();
      for (const [name, record] of records) back.set(name, await floats(tensors, name, record));
      const kept = model.tensors
        .filter(({ info }) => !companions.has(info.name))
        .map((tensor) => back.get(tensor.info.name) ?? tensor);
      return withRecords({ ...model, tensors: kept }, left);
    },
  };
}

type Tensors = ReadonlyMap<string, TensorSource>;

function floats(tensors: Tensors, name: string, record: QuantizedRecord): Promise<TensorSource> {
  if (record.codes === undefined) return fromIntegers(tensors, name, record);
  return record.codes === 'palette'
    ? fromPalette(tensors, name, record)
    : fromBlockFloats(tensors, name, record);
}

async function fromIntegers(tensors: Tensors, name: string, record: IntegerRecord): Promise<TensorSource> {
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

async function fromPalette(tensors: Tensors, name: string, record: PaletteRecord): Promise<TensorSource> {
  const { bits, shape, from, palette } = record;
  const groups = new ChannelGroups(shape, record);
  const { info } = find(tensors, palette);
  const [rows = 0, width = 0] = info.shape;
  if (
    info.shape.length !== 2 ||
    info.dtype !== from ||
    rows !== groups.count ||
    width < 1 ||
    width > 2 ** bits
  )
    throw wrong(
      name,
      `its palette is ${info.dtype} [${info.shape.join(', ')}], not ${from} of ${groups.count} rows with at most ${2 ** bits} values`,
    );
  const table = await numbers(tensors, palette, from, rows * width);
  return decoded(tensors, name, record, bits, (codes, at) => {
    if (codes.some((code) => code >= width))
      throw wrong(name, `a code is past the ${width} values of its palette`);
    return tableValues(groups, table, width, codes, at);
  });
}

async function fromBlockFloats(
  tensors: Tensors,
  name: string,
  record: BlockFloatRecord,
): Promise<TensorSource> {
  const { codes, shape, block, scale } = record;
  const count = Math.ceil(elementCount(shape) / block);
  const stored = await numbers(tensors, scale, codes === 'nf4' ? 'f32' : 'u8', count);
  const scales = codes === 'nf4' ? Float32Array.from(stored) : powersOf(stored);
  const coder = blockCoder(formatOf(codes, block), scales);
  return decoded(tensors, name, record, 4, coder.valuesOf);
}

function decoded(
  tensors: Tensors,
  name: string,
  { shape, from }: QuantizedRecord,
  bits: CodeBits,
  valuesOf: Coder['valuesOf'],
): TensorSource {
  const stored = find(tensors, name);
  const packing = bytesOfCodes(shape, bits);
  if (stored.info.dtype !== 'u8' || stored.byteLength !== tensorBytes('u8', packing.shape, name))
    throw wrong(name, `${stored.byteLength} bytes are not ${bits}-bit codes of [${shape.join(', ')}]`);
  return decodedBy(stored, bits, { dtype: from, shape }, valuesOf);
}

function find(tensors: Tensors, name: string): TensorSource {
  const tensor = tensors.get(name);
  if (!tensor) throw wrong(name, 'it is not there');
  return tensor;
}

async function numbers(tensors: Tensors, name: string, dtype: DType, count: number): Promise<Float64Array> {
  const tensor = find(tensors, name);
  // Integers of less than 8 bits lie in bytes.
  const { dtype: own } = tensor.info;
  if ((own !== dtype && own !== 'u8') || tensor.byteLength !== tensorBytes(dtype, [count], name))
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
