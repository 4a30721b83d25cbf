import { elementCount, isDType } from '../core/dtype.js';
import type { Model } from '../core/model.js';
import { MlserError } from '../errors.js';
import { isQuantizedType, type QuantizedType } from '../kernels/quantize/integers.js';

/** Metadata that says how tensors were quantized, as JSON. */
export const QUANTIZATION_KEY = 'mlser.quantization';

/** How one tensor is stored. */
export interface QuantizedRecord {
  readonly scheme: string;
  /** Of the integers. Types of less than 8 bits are stored as packed `u8`, low bits first. */
  readonly dtype: QuantizedType;
  /** Of the tensor before. */
  readonly shape: readonly number[];
  readonly from: 'f32' | 'f16' | 'bf16';
  readonly axis?: number;
  readonly block?: number;
  /** Names of the companions. */
  readonly scale: string;
  readonly zeroPoint?: string;
}

export type QuantizedRecords = ReadonlyMap<string, QuantizedRecord>;

export const recordText = (records: QuantizedRecords): string =>
  JSON.stringify({ version: 1, tensors: Object.fromEntries(records) });

/** What the metadata of a model says, checked. @throws E_MALFORMED, E_UNSUPPORTED for a newer version. */
export function recordsOf(model: Model): QuantizedRecords {
  const text = model.metadata.get(QUANTIZATION_KEY);
  if (typeof text !== 'string') return new Map();
  const root = fields(parse(text), 'no object');
  if (root.get('version') !== 1)
    throw new MlserError('E_UNSUPPORTED', `${QUANTIZATION_KEY}: version ${String(root.get('version'))}`, {
      hint: 'it was written by a newer mlser',
    });
  const tensors = fields(root.get('tensors'), 'tensors');
  return new Map([...tensors].map(([name, entry]) => [name, recordOf(name, fields(entry, name))]));
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
  const [scheme, dtype, from, scale] = ['scheme', 'dtype', 'from', 'scale'].map((key) => entry.get(key));
  const [shape, axis, block, zeroPoint] = ['shape', 'axis', 'block', 'zeroPoint'].map((key) =>
    entry.get(key),
  );
  if (typeof scheme !== 'string' || typeof dtype !== 'string' || typeof scale !== 'string')
    throw damaged(name);
  if (!isInteger(dtype) || (from !== 'f32' && from !== 'f16' && from !== 'bf16')) throw damaged(name);
  if (!Array.isArray(shape) || !shape.every(isCount)) throw damaged(`${name}: shape`);
  if (axis !== undefined && (!isCount(axis) || axis >= shape.length)) throw damaged(`${name}: axis`);
  if (block !== undefined && (!isCount(block) || block === 0)) throw damaged(`${name}: block`);
  if (zeroPoint !== undefined && typeof zeroPoint !== 'string') throw damaged(`${name}: zeroPoint`);
  elementCount(shape, name);
  return {
    ...{ scheme, dtype, shape, from, scale },
    ...(axis === undefined ? {} : { axis }),
    ...(block === undefined ? {} : { block }),
    ...(zeroPoint === undefined ? {} : { zeroPoint }),
  };
}

const isCount = (value: unknown): value is number =>
  typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;

const isInteger = (name: string): name is QuantizedType => isDType(name) && isQuantizedType(name);
