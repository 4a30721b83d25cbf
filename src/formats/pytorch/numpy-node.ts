import type { StateNode } from '../../core/training.js';
import { element, itemBytes } from './numpy.js';
import { NumpyArray, NumpyDType, type PyValue } from './values.js';

/** How an array is kept in the training state: an opaque text that holds all of it. */
export const NUMPY_ARRAY = 'numpy.ndarray';

/** `{"descr":"<f4","fortran":false,"shape":[2,3],"base64":"…"}`; undefined for arrays of objects. */
export function numpyNode(array: NumpyArray): StateNode | undefined {
  if (!array.dtype || !(array.data instanceof Uint8Array)) return undefined;
  const { data } = array;
  const text = JSON.stringify({
    descr: `${itemBytes(array.dtype) === 1 ? '|' : array.dtype.order}${array.dtype.code}`,
    fortran: array.fortran,
    shape: array.shape,
    base64: Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('base64'),
  });
  return { kind: 'opaque', type: NUMPY_ARRAY, text };
}

/** The array back from its text; undefined if it is none. */
export function parseNumpyNode(text: string): NumpyArray | undefined {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof parsed !== 'object' || parsed === null) return undefined;
  const { descr, fortran, shape, base64 } = parsed as Record<string, unknown>;
  const match = typeof descr === 'string' ? /^([<>|])(\w+)$/.exec(descr) : null;
  const isShape = Array.isArray(shape) && shape.every((dim) => Number.isSafeInteger(dim) && Number(dim) >= 0);
  if (!match || !isShape || typeof base64 !== 'string') return undefined;
  const array = new NumpyArray();
  array.dtype = new NumpyDType(match[2] ?? '');
  array.dtype.order = match[1] ?? '<';
  array.shape = shape.map(Number);
  array.fortran = fortran === true;
  array.data = new Uint8Array(Buffer.from(base64, 'base64'));
  const width = itemBytes(array.dtype);
  const count = array.shape.reduce((product, dim) => product * dim, 1);
  return width !== undefined && array.data.byteLength === count * width ? array : undefined;
}

/** The elements as nested Python lists, as `tolist()` gives them; undefined for types without a Python value. */
export function numpyLists(array: NumpyArray): NestedValues | undefined {
  const { dtype, data, shape, fortran } = array;
  const width = dtype && itemBytes(dtype);
  if (!dtype || width === undefined || !(data instanceof Uint8Array)) return undefined;
  const strides = shape.map((_, i) =>
    (fortran ? shape.slice(0, i) : shape.slice(i + 1)).reduce((product, dim) => product * dim, 1),
  );
  const at = (axis: number, offset: number): NestedValues | undefined => {
    const size = shape[axis];
    if (size === undefined) return element(dtype, data.subarray(offset * width, (offset + 1) * width));
    const items: NestedValues[] = [];
    for (let i = 0; i < size; i++) {
      const item = at(axis + 1, offset + i * (strides[axis] ?? 0));
      if (item === undefined) return undefined;
      items.push(item);
    }
    return items;
  };
  return at(0, 0);
}

export type NestedValues = PyValue | readonly NestedValues[];
