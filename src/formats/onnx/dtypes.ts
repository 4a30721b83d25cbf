import type { DType } from '../../core/dtype.js';
import { DATA, type DataField } from './data-span.js';

/** ONNX TensorProto.DataType (through IR 14): number, name, our type, the typed field that may hold it. */
const TYPES: readonly (readonly [id: number, onnx: string, dtype: DType, field: DataField])[] = [
  [1, 'FLOAT', 'f32', DATA.float],
  [2, 'UINT8', 'u8', DATA.int32],
  [3, 'INT8', 'i8', DATA.int32],
  [4, 'UINT16', 'u16', DATA.int32],
  [5, 'INT16', 'i16', DATA.int32],
  [6, 'INT32', 'i32', DATA.int32],
  [7, 'INT64', 'i64', DATA.int64],
  [8, 'STRING', 'str', DATA.string],
  [9, 'BOOL', 'bool', DATA.int32],
  [10, 'FLOAT16', 'f16', DATA.int32],
  [11, 'DOUBLE', 'f64', DATA.double],
  [12, 'UINT32', 'u32', DATA.uint64],
  [13, 'UINT64', 'u64', DATA.uint64],
  [14, 'COMPLEX64', 'c64', DATA.float],
  [15, 'COMPLEX128', 'c128', DATA.double],
  [16, 'BFLOAT16', 'bf16', DATA.int32],
  [17, 'FLOAT8E4M3FN', 'f8_e4m3fn', DATA.int32],
  [18, 'FLOAT8E4M3FNUZ', 'f8_e4m3fnuz', DATA.int32],
  [19, 'FLOAT8E5M2', 'f8_e5m2', DATA.int32],
  [20, 'FLOAT8E5M2FNUZ', 'f8_e5m2fnuz', DATA.int32],
  [21, 'UINT4', 'u4', DATA.int32],
  [22, 'INT4', 'i4', DATA.int32],
  [23, 'FLOAT4E2M1', 'f4_e2m1', DATA.int32],
  [24, 'FLOAT8E8M0', 'f8_e8m0', DATA.int32],
  [25, 'UINT2', 'u2', DATA.int32],
  [26, 'INT2', 'i2', DATA.int32],
  [27, 'FLOAT6E2M3', 'f6_e2m3', DATA.int32],
  [28, 'FLOAT6E3M2', 'f6_e3m2', DATA.int32],
];

export interface OnnxType {
  readonly id: number;
  /** Name in TensorProto.DataType. */
  readonly onnx: string;
  readonly dtype: DType;
  readonly field: DataField;
}
const entries: readonly OnnxType[] = TYPES.map(([id, onnx, dtype, field]) => ({ id, onnx, dtype, field }));
const byId = new Map(entries.map((entry) => [entry.id, entry]));
const byDType = new Map(entries.map((entry) => [entry.dtype, entry]));

export const ONNX_DTYPES: ReadonlySet<DType> = new Set(byDType.keys());
/** By the number in a file; undefined for UNDEFINED and for numbers of the future. */
export const onnxType = (id: number): OnnxType | undefined => byId.get(id);
/** By our name; undefined for types that ONNX lacks (GGML blocks, complex half). */
export const onnxTypeOf = (dtype: DType): OnnxType | undefined => byDType.get(dtype);
