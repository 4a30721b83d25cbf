import { decodeUtf8 } from '../../io/cursor.js';
import { latin1 } from './pickle-text.js';
import { type NumpyArray, NumpyDType, PyComplex, PyNamed, PyTuple, type PyValue } from './values.js';

/** Bytes of one element, undefined for types without a plain size (objects, structures). */
export function itemBytes(dtype: NumpyDType): number | undefined {
  const match = /^([biufcSUV])(\d{1,9})$/.exec(dtype.code);
  if (!match) return undefined;
  return match[1] === 'U' ? Number(match[2]) * 4 : Number(match[2]);
}

/** Bytes of `numpy` data; a Python 2 pickle has them as text, one character a byte. */
export const asBytes = (value: PyValue): Uint8Array | undefined =>
  value instanceof Uint8Array
    ? value
    : typeof value === 'string' && !/[^\0-\xff]/.test(value)
      ? Uint8Array.from(Buffer.from(value, 'latin1'))
      : undefined;

/** Fills a dtype from the state `(version, order, …)`. False if it is something else. */
export function setDTypeState(dtype: NumpyDType, state: PyValue): boolean {
  const order = state instanceof PyTuple ? state.items[1] : undefined;
  if (typeof order !== 'string' || !/^[<>|=]$/.test(order)) return false;
  dtype.order = order === '=' ? '<' : order;
  return true;
}

/** Fills an array from the state `(version, shape, dtype, fortran, data)`. False if it is something else. */
export function setArrayState(array: NumpyArray, state: PyValue): boolean {
  if (!(state instanceof PyTuple)) return false;
  const [shape, dtype, fortran, data] = state.items.slice(state.items.length === 5 ? 1 : 0);
  if (!(shape instanceof PyTuple && dtype instanceof NumpyDType && typeof fortran === 'boolean'))
    return false;
  return fillArray(array, shape.items, dtype, fortran, data ?? null);
}

/** False unless the data is exactly as long as shape and dtype say. */
export function fillArray(
  array: NumpyArray,
  shape: readonly PyValue[],
  dtype: NumpyDType,
  fortran: boolean,
  data: PyValue,
): boolean {
  const dims = shape.map((dim) =>
    typeof dim === 'bigint' && dim >= 0n && dim < 2n ** 48n ? Number(dim) : -1,
  );
  if (dims.includes(-1) || dims.length > 64) return false;
  const size = itemBytes(dtype);
  const bytes = asBytes(data);
  if (size !== undefined && bytes?.byteLength !== dims.reduce((product, dim) => product * dim, size))
    return false;
  array.shape = dims;
  array.dtype = dtype;
  array.fortran = fortran && dims.length > 1;
  array.data = size === undefined ? data : (bytes ?? null);
  return true;
}

/** A numpy scalar as the Python value it equals; types without one are kept as text. */
export function numpyScalar(dtype: NumpyDType, data: PyValue): PyValue | undefined {
  const size = itemBytes(dtype);
  const bytes = asBytes(data);
  const unknown = new PyNamed(`numpy.${dtype.code}`, bytes ? Buffer.from(bytes).toString('hex') : '');
  if (size === undefined || bytes === undefined) return unknown;
  if (bytes.byteLength !== size) return undefined;
  return element(dtype, bytes) ?? unknown;
}

/** One element of a plain numeric, bool or text type; undefined for types that Python has no value for. */
export function element(dtype: NumpyDType, bytes: Uint8Array): PyValue | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const little = dtype.order !== '>';
  switch (dtype.code) {
    case 'b1':
      return view.getUint8(0) !== 0;
    case 'i1':
      return BigInt(view.getInt8(0));
    case 'i2':
      return BigInt(view.getInt16(0, little));
    case 'i4':
      return BigInt(view.getInt32(0, little));
    case 'i8':
      return view.getBigInt64(0, little);
    case 'u1':
      return BigInt(view.getUint8(0));
    case 'u2':
      return BigInt(view.getUint16(0, little));
    case 'u4':
      return BigInt(view.getUint32(0, little));
    case 'u8':
      return view.getBigUint64(0, little);
    case 'f2':
      return halfToNumber(view.getUint16(0, little));
    case 'f4':
      return view.getFloat32(0, little);
    case 'f8':
      return view.getFloat64(0, little);
    case 'c8':
      return new PyComplex(view.getFloat32(0, little), view.getFloat32(4, little));
    case 'c16':
      return new PyComplex(view.getFloat64(0, little), view.getFloat64(8, little));
    default:
  }
  if (dtype.code.startsWith('S')) return decodeUtf8(bytes)?.replace(/\0+$/, '') ?? latin1(bytes);
  if (!dtype.code.startsWith('U')) return undefined;
  let text = '';
  for (let at = 0; at < bytes.byteLength; at += 4) {
    const point = view.getUint32(at, little);
    if (point > 0x10ffff) return undefined;
    text += String.fromCodePoint(point);
  }
  return text.replace(/\0+$/, '');
}

function halfToNumber(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}
