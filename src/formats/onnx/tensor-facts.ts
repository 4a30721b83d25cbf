import { dtypeFacts, elementCount, tensorBytes } from '../../core/dtype.js';
import { LIMITS } from '../../core/limits.js';
import type { TensorInfo } from '../../core/tensor.js';
import { MlserError } from '../../errors.js';
import { DATA, type DataField, dataFieldName } from './data-span.js';
import { type OnnxType, onnxType } from './dtypes.js';
import { invalid } from './invalid.js';
import type { TensorProto } from './schema.js';

/** What a TensorProto declares, checked against itself. Nothing was read. */
export interface TensorFacts {
  readonly info: TensorInfo;
  readonly type: OnnxType;
  readonly elements: number;
  /** Bytes of the canonical form; for strings known from the length of string_data. */
  readonly byteLength: number;
  /** The tensor as messages name it: `model.onnx: tensor W FLOAT [3, 4]`. */
  readonly label: string;
  readonly file: string;
  /** The field that holds the data; undefined for zero size and external data. */
  readonly field: DataField | undefined;
}

export const dimensions = (dims: readonly bigint[], label: string, file: string): number[] =>
  dims.map((dim) => {
    if (dim < 0n || dim > BigInt(Number.MAX_SAFE_INTEGER))
      throw invalid(`${label}: dimension ${dim} is not a count`, { file, found: dim.toString() });
    return Number(dim);
  });

/**
 * Checks a tensor as IR.md and onnx.proto ask: a valid type, dimensions that do not overflow, exactly one data field,
 * the right one for the type, none for a tensor without elements. E_MALFORMED, E_UNSUPPORTED (type of the future).
 */
export function tensorFacts(tensor: TensorProto, name: string, file: string): TensorFacts {
  const short = `${file}: tensor ${JSON.stringify(name)}`;
  const details = { file, tensor: name };
  if (tensor.dataType === undefined || tensor.dataType === 0)
    throw invalid(`${short}: data_type is ${tensor.dataType === 0 ? 'UNDEFINED' : 'not set'}`, details);
  const type = onnxType(tensor.dataType);
  if (!type)
    throw new MlserError(
      'E_UNSUPPORTED',
      `${short}: data_type ${tensor.dataType} is not known (28 is the last one)`,
      {
        details: { ...details, found: tensor.dataType },
        hint: 'the file may come from a newer ONNX: update mlser',
      },
    );
  if (tensor.dims.length > LIMITS.RANK)
    throw new MlserError(
      'E_LIMIT',
      `${short} has ${tensor.dims.length} dimensions, at most ${LIMITS.RANK} (RANK)`,
      {
        details: { ...details, found: tensor.dims.length, limit: 'RANK' },
        hint: 'no runtime takes such a tensor',
      },
    );
  const label = `${short} ${type.onnx} [${tensor.dims.join(', ')}]`;
  const shape = dimensions(tensor.dims, label, file);
  const elements = elementCount(shape, label);
  const external = tensor.dataLocation === 1;
  const field = dataField(tensor, type, elements, external, label, details);
  return {
    info: { name, dtype: type.dtype, shape },
    type,
    elements,
    byteLength: type.dtype === 'str' ? stringBytes(tensor) : tensorBytes(type.dtype, shape, label),
    label,
    file,
    field,
  };
}

type Where = { readonly file: string; readonly tensor: string };

function dataField(
  tensor: TensorProto,
  type: OnnxType,
  elements: number,
  external: boolean,
  label: string,
  where: Where,
): DataField | undefined {
  const present = [...new Set(tensor.data.filter((span) => span.length > 0).map((span) => span.field))];
  const [field] = present;
  if (external) {
    if (field !== undefined)
      throw invalid(`${label} is stored externally but has ${dataFieldName(field)} too`, where);
    if (type.dtype === 'str') throw invalid(`${label}: strings cannot be stored externally`, where);
    return undefined;
  }
  if (present.length > 1)
    throw invalid(`${label} has several data fields: ${present.map(dataFieldName).join(', ')}`, where);
  if (elements === 0) {
    if (field !== undefined) throw invalid(`${label} has no elements but has ${dataFieldName(field)}`, where);
    return undefined;
  }
  if (field === undefined) throw invalid(`${label} has no data`, where);
  if (field === DATA.raw ? type.dtype === 'str' : field !== type.field)
    throw invalid(
      `${label} has ${dataFieldName(field)}, ${type.onnx} belongs in ${dataFieldName(type.field)}${type.dtype === 'str' ? '' : ' or raw_data'}`,
      where,
    );
  return field;
}

/** Strings in canonical form: a little-endian u32 of the length and the bytes, each. */
export const STRING_PREFIX_BYTES = 4;

function stringBytes(tensor: TensorProto): number {
  let bytes = 0;
  for (const span of tensor.data) bytes += STRING_PREFIX_BYTES * span.records + (span.valueBytes ?? 0);
  return bytes;
}

/** Entries of a typed field that hold `elements` elements: 4-bit types two an entry, 2-bit four, complex two entries. */
export function typedEntries({ type, elements, byteLength }: TensorFacts): number {
  if (type.dtype === 'c64' || type.dtype === 'c128') return elements * 2;
  const { bits } = dtypeFacts(type.dtype);
  return bits === 4 || bits === 2 ? byteLength : elements;
}
