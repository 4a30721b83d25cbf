import { type DType, tensorBytes } from '../../core/dtype.js';
import { readTensor, type TensorSource } from '../../core/tensor.js';
import { isSmallFloat, smallFloatEncoder, smallFloatValues } from '../../kernels/small-floats.js';
import type { ConstantNumbers } from './adapter.js';

/** Larger tensors are weights, not what steers a node. */
const LARGEST_BYTES = 64 * 1024;

/** The value of a small constant. */
export interface Constant {
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** Empty for floats and for what is not a number. */
  readonly integers: readonly bigint[];
  /** Of integers too, rounded past 2^53. */
  readonly numbers: readonly number[];
}

const INTEGERS = new Map<DType, (view: DataView, at: number) => bigint>([
  ['i64', (view, at) => view.getBigInt64(at, true)],
  ['u64', (view, at) => view.getBigUint64(at, true)],
  ['i32', (view, at) => BigInt(view.getInt32(at, true))],
  ['u32', (view, at) => BigInt(view.getUint32(at, true))],
  ['i16', (view, at) => BigInt(view.getInt16(at, true))],
  ['u16', (view, at) => BigInt(view.getUint16(at, true))],
  ['i8', (view, at) => BigInt(view.getInt8(at))],
  ['u8', (view, at) => BigInt(view.getUint8(at))],
  ['bool', (view, at) => BigInt(view.getUint8(at))],
]);
const FLOATS = new Map<DType, (view: DataView, at: number) => number>([
  ['f32', (view, at) => view.getFloat32(at, true)],
  ['f64', (view, at) => view.getFloat64(at, true)],
]);

/** Reads a small tensor; undefined for large ones, strings and types that do not steer nodes. */
export async function readConstant(tensor: TensorSource): Promise<Constant | undefined> {
  const { dtype, shape } = tensor.info;
  if (tensor.byteLength > LARGEST_BYTES) return undefined;
  const integer = INTEGERS.get(dtype);
  const float = FLOATS.get(dtype) ?? smallFloat(dtype);
  if (!integer && !float) return undefined;
  const bytes = await readTensor(tensor);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const width = tensorBytes(dtype, [1], dtype);
  const places = Array.from({ length: bytes.byteLength / width }, (_, i) => i * width);
  if (float) return { dtype, shape, integers: [], numbers: places.map((at) => float(view, at)) };
  const integers = places.map((at) => integer?.(view, at) ?? 0n);
  return { dtype, shape, integers, numbers: integers.map(Number) };
}

function smallFloat(dtype: DType): ((view: DataView, at: number) => number) | undefined {
  if (!isSmallFloat(dtype) || tensorBytes(dtype, [2], dtype) < 2) return undefined;
  const wide = tensorBytes(dtype, [1], dtype) === 2;
  return (view, at) =>
    smallFloatValues(dtype)[wide ? view.getUint16(at, true) : view.getUint8(at)] ?? Number.NaN;
}

/** Canonical bytes of new constants. Throws for types that no adapter makes. */
export function constantBytes(dtype: DType, values: ConstantNumbers): Uint8Array {
  const width = tensorBytes(dtype, [1], dtype);
  const bytes = new Uint8Array(width * values.length);
  const view = new DataView(bytes.buffer);
  const encode = isSmallFloat(dtype) ? smallFloatEncoder(dtype) : undefined;
  for (const [i, value] of values.entries()) {
    const at = i * width;
    if (dtype === 'f32') view.setFloat32(at, Number(value), true);
    else if (dtype === 'f64') view.setFloat64(at, Number(value), true);
    else if (encode && width === 2) view.setUint16(at, encode(Number(value)), true);
    else if (dtype === 'i64' || dtype === 'u64') view.setBigInt64(at, BigInt(value), true);
    else if (width === 4) view.setInt32(at, Number(value), true);
    else if (width === 2) view.setInt16(at, Number(value), true);
    else if (width === 1 && !encode) view.setInt8(at, Number(value));
    else throw new Error(`no constants of type ${dtype}`);
  }
  return bytes;
}
