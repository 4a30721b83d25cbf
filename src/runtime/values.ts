import { type DType, dtypeFacts } from '../core/dtype.js';
import { smallFloatValues } from '../kernels/small-floats.js';

/** Element types that the runtime takes and gives at the edges of a graph (onnxruntime's own names). */
export type ValueType =
  | 'float32'
  | 'float64'
  | 'float16'
  | 'int8'
  | 'int16'
  | 'int32'
  | 'int64'
  | 'uint8'
  | 'uint16'
  | 'uint32'
  | 'uint64'
  | 'bool'
  | 'string';

export type NumberArray =
  | Float32Array
  | Float64Array
  | Int8Array
  | Int16Array
  | Int32Array
  | Uint8Array
  | Uint16Array
  | Uint32Array;
/** `float16` is its bit patterns in a Uint16Array; `bool` is bytes. */
export type ValueData = NumberArray | BigInt64Array | BigUint64Array | readonly string[];

/** A tensor on its way into or out of a session, row-major. */
export interface Value {
  readonly type: ValueType;
  readonly dims: readonly number[];
  readonly data: ValueData;
}
export type Values = ReadonlyMap<string, Value>;

/** An input or output of a session. `shape` is undefined where the model gives none. */
export interface ValueInfo {
  readonly name: string;
  /** undefined: a sequence, a map or an optional, which cannot be fed or fetched. */
  readonly type: ValueType | undefined;
  /** Numbers are fixed, strings are symbolic names, null is unknown. */
  readonly shape: readonly (number | string | null)[] | undefined;
}

const PAIRS: readonly (readonly [DType, ValueType])[] = [
  ['f32', 'float32'],
  ['f64', 'float64'],
  ['f16', 'float16'],
  ['i8', 'int8'],
  ['i16', 'int16'],
  ['i32', 'int32'],
  ['i64', 'int64'],
  ['u8', 'uint8'],
  ['u16', 'uint16'],
  ['u32', 'uint32'],
  ['u64', 'uint64'],
  ['bool', 'bool'],
  ['str', 'string'],
];
const TO_VALUE = new Map<string, ValueType>(PAIRS);
const TO_DTYPE = new Map<ValueType, DType>(PAIRS.map(([dtype, type]) => [type, dtype]));

/** The runtime's name of an element type, undefined if it cannot cross the edge of a graph. */
export const valueType = (dtype: string): ValueType | undefined => TO_VALUE.get(dtype);

export function dtypeOf(type: ValueType): DType {
  const dtype = TO_DTYPE.get(type);
  if (dtype === undefined) throw new Error(`no dtype for ${type}`);
  return dtype;
}

export const isFloatType = (type: ValueType): type is 'float16' | 'float32' | 'float64' =>
  type.startsWith('float');

/** Bytes of one element; 0 for strings. */
export const valueBytes = (type: ValueType): number => dtypeFacts(dtypeOf(type)).bits / 8;

/** A typed view of canonical bytes; copies if they are not aligned. */
export function viewAs(
  type: Exclude<ValueType, 'string'>,
  bytes: Uint8Array,
): Exclude<ValueData, readonly string[]> {
  const size = valueBytes(type);
  const aligned = bytes.byteOffset % size === 0 ? bytes : bytes.slice();
  const { buffer, byteOffset } = aligned;
  const length = bytes.byteLength / size;
  switch (type) {
    case 'float32':
      return new Float32Array(buffer, byteOffset, length);
    case 'float64':
      return new Float64Array(buffer, byteOffset, length);
    case 'int8':
      return new Int8Array(buffer, byteOffset, length);
    case 'int16':
      return new Int16Array(buffer, byteOffset, length);
    case 'int32':
      return new Int32Array(buffer, byteOffset, length);
    case 'int64':
      return new BigInt64Array(buffer, byteOffset, length);
    case 'uint8':
    case 'bool':
      return new Uint8Array(buffer, byteOffset, length);
    case 'uint16':
    case 'float16':
      return new Uint16Array(buffer, byteOffset, length);
    case 'uint32':
      return new Uint32Array(buffer, byteOffset, length);
    case 'uint64':
      return new BigUint64Array(buffer, byteOffset, length);
  }
}

/** Elements as numbers (64-bit integers lose what a double cannot hold). Not for strings. */
export function toNumbers({ type, data }: Value): ArrayLike<number> {
  if (type === 'float16') {
    const table = smallFloatValues('f16');
    return Float32Array.from(data as Uint16Array, (bits) => table[bits] ?? 0);
  }
  if (data instanceof BigInt64Array || data instanceof BigUint64Array) return Float64Array.from(data, Number);
  return data as NumberArray;
}
