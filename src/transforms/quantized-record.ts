import { elementCount, isDType } from '../core/dtype.js';
import type { Model } from '../core/model.js';
import { memoryTensor, readTensor, type TensorSource } from '../core/tensor.js';
import { MlserError } from '../errors.js';
import { isQuantizedType, type QuantizedType } from '../kernels/quantize/integers.js';

/**
 * Metadata that says how tensors were quantized, as JSON. Formats without metadata hold it as an array of bytes under
 * this name.
 */
export const QUANTIZATION_KEY = 'mlser.quantization';

/** Longer texts are none of ours: a record takes a few hundred bytes. */
const MOST_BYTES = 64 << 20;

interface CommonRecord {
  readonly scheme: string;
  /** Of the tensor before. */
  readonly shape: readonly number[];
  readonly from: 'f32' | 'f16' | 'bf16';
}

/** Integers with scales and zero points. */
export interface IntegerRecord extends CommonRecord {
  readonly codes?: never;
  /** Of the integers. Types of less than 8 bits are stored as packed `u8`, low bits first. */
  readonly dtype: QuantizedType;
  readonly axis?: number;
  readonly block?: number;
  /** Names of the companions. */
  readonly scale: string;
  readonly zeroPoint?: string;
}

/** Places in a table; codes are packed, low bits first. */
export interface PaletteRecord extends CommonRecord {
  readonly codes: 'palette';
  readonly bits: 2 | 3 | 4 | 6 | 8;
  /** With an axis: so many channels along it share a row of the table (default 1). */
  readonly axis?: number;
  readonly block?: number;
  /** Name of the table, of type `from`: [groups, values]. */
  readonly palette: string;
}

/** 4-bit floats with a scale for runs of `block` elements, whatever the shape. */
export interface BlockFloatRecord extends CommonRecord {
  readonly codes: 'nf4' | 'mxfp4';
  readonly block: number;
  /** Name of the scales: f32, or for mxfp4 E8M0 codes as u8. */
  readonly scale: string;
}

/** How one tensor is stored. */
export type QuantizedRecord = IntegerRecord | PaletteRecord | BlockFloatRecord;

export type QuantizedRecords = ReadonlyMap<string, QuantizedRecord>;

/** Version 1 knows integers only. */
const versionOf = (records: QuantizedRecords): number =>
  [...records.values()].some(({ codes }) => codes !== undefined) ? 2 : 1;

export const recordText = (records: QuantizedRecords): string =>
  JSON.stringify({ version: versionOf(records), tensors: Object.fromEntries(records) });

const textTensor = ({ tensors }: Model): TensorSource | undefined =>
  tensors.find(
    ({ info }) => info.name === QUANTIZATION_KEY && info.dtype === 'u8' && info.shape.length === 1,
  );

/** Whether something is said about quantized tensors, right or wrong. */
export const hasRecords = (model: Model): boolean =>
  typeof model.metadata.get(QUANTIZATION_KEY) === 'string' || textTensor(model) !== undefined;

/** What a model says about its tensors, checked. @throws E_MALFORMED, E_UNSUPPORTED for a newer version. */
export async function recordsOf(model: Model): Promise<QuantizedRecords> {
  const text = await textOf(model);
  if (text === undefined) return new Map();
  const root = fields(parse(text), 'no object');
  const version = root.get('version');
  if (version !== 1 && version !== 2)
    throw new MlserError('E_UNSUPPORTED', `${QUANTIZATION_KEY}: version ${String(version)}`, {
      hint: 'it was written by a newer mlser',
    });
  const tensors = fields(root.get('tensors'), 'tensors');
  return new Map(
    [...tensors].map(([name, entry]) => {
      const record = recordOf(name, fields(entry, name));
      if (version === 1 && record.codes !== undefined) throw damaged(`${name}: codes`);
      return [name, record];
    }),
  );
}

async function textOf(model: Model): Promise<string | undefined> {
  const text = model.metadata.get(QUANTIZATION_KEY);
  if (typeof text === 'string') return text;
  const tensor = textTensor(model);
  if (!tensor) return undefined;
  if (tensor.byteLength > MOST_BYTES) throw damaged(`${tensor.byteLength} bytes are too many`);
  return new TextDecoder().decode(await readTensor(tensor));
}

/** The model with other records; none at all: it says nothing. */
export function withRecords(model: Model, records: QuantizedRecords): Model {
  const own = textTensor(model);
  const metadata = new Map(model.metadata);
  if (records.size > 0) metadata.set(QUANTIZATION_KEY, recordText(records));
  else metadata.delete(QUANTIZATION_KEY);
  return { ...model, metadata, tensors: model.tensors.filter((tensor) => tensor !== own) };
}

/** Names of the tensors that belong to a quantized one. */
export function companionsOf(record: QuantizedRecord): readonly string[] {
  if (record.codes === 'palette') return [record.palette];
  if (record.codes !== undefined || record.zeroPoint === undefined) return [record.scale];
  return [record.scale, record.zeroPoint];
}

function withNames(record: QuantizedRecord, newName: (name: string) => string): QuantizedRecord {
  if (record.codes === 'palette') return { ...record, palette: newName(record.palette) };
  if (record.codes !== undefined || record.zeroPoint === undefined)
    return { ...record, scale: newName(record.scale) };
  return { ...record, scale: newName(record.scale), zeroPoint: newName(record.zeroPoint) };
}

/** What `source` says about its tensors, said of those of them that are in `made` under new names. */
export async function recordsFollow(
  source: Model,
  made: Model,
  newName: (name: string) => string,
): Promise<Model> {
  const names = new Set(made.tensors.map(({ info }) => info.name));
  const records = new Map<string, QuantizedRecord>();
  for (const [name, record] of await recordsOf(source))
    if ([name, ...companionsOf(record)].every((one) => names.has(newName(one))))
      records.set(newName(name), withNames(record, newName));
  const own = textTensor(source) && newName(QUANTIZATION_KEY);
  return withRecords({ ...made, tensors: made.tensors.filter(({ info }) => info.name !== own) }, records);
}

/** The same said in an array, for formats that hold nothing else. */
export function recordsAsTensor(model: Model): Model {
  const text = model.metadata.get(QUANTIZATION_KEY);
  if (typeof text !== 'string' || model.tensors.some(({ info }) => info.name === QUANTIZATION_KEY))
    return model;
  const metadata = new Map(model.metadata);
  metadata.delete(QUANTIZATION_KEY);
  const bytes = new TextEncoder().encode(text);
  const tensor = memoryTensor({ name: QUANTIZATION_KEY, dtype: 'u8', shape: [bytes.length] }, bytes);
  return { ...model, metadata, tensors: [...model.tensors, tensor] };
}

const damaged = (what: string): MlserError =>
  new MlserError('E_MALFORMED', `metadata ${QUANTIZATION_KEY}: ${what}`, {
    hint: 'the metadata was changed by hand or by another tool',
  });

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw damaged('no JSON');
  }
}

function fields(value: unknown, what: string): ReadonlyMap<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw damaged(what);
  return new Map(Object.entries(value));
}

function recordOf(name: string, entry: ReadonlyMap<string, unknown>): QuantizedRecord {
  const common = commonOf(name, entry);
  const codes = entry.get('codes');
  switch (codes) {
    case undefined:
      return integersOf(name, entry, common);
    case 'palette': {
      const bits = entry.get('bits');
      const palette = entry.get('palette');
      if (!isBits(bits) || typeof palette !== 'string') throw damaged(`${name}: palette`);
      return { ...common, codes, bits, ...granularityOf(name, entry, common.shape), palette };
    }
    case 'nf4':
    case 'mxfp4': {
      const { block } = granularityOf(name, entry, common.shape);
      const scale = entry.get('scale');
      if (block === undefined || typeof scale !== 'string') throw damaged(`${name}: scale`);
      return { ...common, codes, block, scale };
    }
    default:
      throw damaged(`${name}: codes`);
  }
}

function commonOf(name: string, entry: ReadonlyMap<string, unknown>): CommonRecord {
  const [scheme, from, shape] = ['scheme', 'from', 'shape'].map((key) => entry.get(key));
  if (typeof scheme !== 'string' || (from !== 'f32' && from !== 'f16' && from !== 'bf16'))
    throw damaged(name);
  if (!Array.isArray(shape) || !shape.every(isCount)) throw damaged(`${name}: shape`);
  elementCount(shape, name);
  return { scheme, shape, from };
}

function granularityOf(
  name: string,
  entry: ReadonlyMap<string, unknown>,
  shape: readonly number[],
): { readonly axis?: number; readonly block?: number } {
  const [axis, block] = [entry.get('axis'), entry.get('block')];
  if (axis !== undefined && (!isCount(axis) || axis >= shape.length)) throw damaged(`${name}: axis`);
  if (block !== undefined && (!isCount(block) || block === 0)) throw damaged(`${name}: block`);
  return { ...(axis === undefined ? {} : { axis }), ...(block === undefined ? {} : { block }) };
}

function integersOf(name: string, entry: ReadonlyMap<string, unknown>, common: CommonRecord): IntegerRecord {
  const [dtype, scale, zeroPoint] = ['dtype', 'scale', 'zeroPoint'].map((key) => entry.get(key));
  if (typeof dtype !== 'string' || !isInteger(dtype) || typeof scale !== 'string') throw damaged(name);
  if (zeroPoint !== undefined && typeof zeroPoint !== 'string') throw damaged(`${name}: zeroPoint`);
  return {
    ...common,
    ...{ dtype, scale },
    ...granularityOf(name, entry, common.shape),
    ...(zeroPoint === undefined ? {} : { zeroPoint }),
  };
}

const isCount = (value: unknown): value is number =>
  typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;

const isBits = (value: unknown): value is PaletteRecord['bits'] =>
  value === 2 || value === 3 || value === 4 || value === 6 || value === 8;

const isInteger = (name: string): name is QuantizedType => isDType(name) && isQuantizedType(name);
