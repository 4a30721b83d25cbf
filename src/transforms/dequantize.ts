import { type DType, elementCount, tensorBytes } from '../core/dtype.js';
import { type Model, tensorMap } from '../core/model.js';
import { readTensor, type TensorSource } from '../core/tensor.js';
import type { Transform } from '../core/transform.js';
import { MlserError } from '../errors.js';
import { decodeElements } from '../kernels/elements.js';
import { integersBack } from '../kernels/quantize/affine.js';
import { formatOf, powersOf } from '../kernels/quantize/block-floats.js';
import { ChannelGroups } from '../kernels/quantize/channel-groups.js';
import { bytesOfCodes, type CodeBits } from '../kernels/quantize/codes.js';
import { decodedTensor, shared } from '../kernels/quantize/decode.js';
import { Groups } from '../kernels/quantize/groups.js';
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
  // Without zero points all are zero.
  const zeros =
    record.zeroPoint === undefined ? [] : await numbers(tensors, record.zeroPoint, dtype, groups.count);
  const parameters = { scales: new Float32Array(scales), zeros: new Int32Array(zeros) };
  return integersBack(stored, record, from, parameters);
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
  const table = shared(await numbers(tensors, palette, from, rows * width));
  const { axis, block } = record;
  return decodedTensor(codesOf(tensors, name, record, bits), shape, from, {
    ...{ kind: 'table', tensor: name, bits, table, width, shape },
    ...(axis === undefined ? {} : { axis }),
    ...(block === undefined ? {} : { block }),
  });
}

async function fromBlockFloats(
  tensors: Tensors,
  name: string,
  record: BlockFloatRecord,
): Promise<TensorSource> {
  const { codes, shape, from, block, scale } = record;
  const count = Math.ceil(elementCount(shape) / block);
  const stored = await numbers(tensors, scale, codes === 'nf4' ? 'f32' : 'u8', count);
  const scales = shared(codes === 'nf4' ? new Float32Array(stored) : powersOf(stored));
  const { levels } = formatOf(codes, block);
  const decoding = { kind: 'levels', tensor: name, bits: 4, levels, scales, block } as const;
  return decodedTensor(codesOf(tensors, name, record, 4), shape, from, decoding);
}

/** Packed codes, as many as the record says. */
function codesOf(tensors: Tensors, name: string, { shape }: QuantizedRecord, bits: CodeBits): TensorSource {
  const stored = find(tensors, name);
  const packing = bytesOfCodes(shape, bits);
  if (stored.info.dtype !== 'u8' || stored.byteLength !== tensorBytes('u8', packing.shape, name))
    throw wrong(name, `${stored.byteLength} bytes are not ${bits}-bit codes of [${shape.join(', ')}]`);
  return stored;
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
