import { type TorchDType, torchDType } from './dtypes.js';
import { itemBytes } from './numpy.js';
import {
  NumpyArray,
  PyDict,
  PyDType,
  PyList,
  PyNamed,
  PyParts,
  PySize,
  PyStorage,
  PyTensor,
  PyTuple,
  type PyValue,
  type Quantizer,
} from './values.js';

/** Arguments of a call in a pickle, taken by position with their types checked. */
export class Arguments {
  constructor(
    readonly items: readonly PyValue[],
    readonly bad: (why: string) => Error,
  ) {}
  at(index: number): PyValue {
    const value = this.items[index];
    if (value === undefined) throw this.bad(`argument ${index + 1} is missing (${this.items.length} given)`);
    return value;
  }
  has(index: number): boolean {
    const value = this.items[index];
    return value !== undefined && value !== null;
  }
  int(index: number, what: string): bigint {
    const value = this.at(index);
    if (typeof value !== 'bigint') throw this.bad(`${what} is not an integer`);
    return value;
  }
  text(index: number, what: string): string {
    const value = this.at(index);
    if (typeof value !== 'string') throw this.bad(`${what} is not text`);
    return value;
  }
  ints(index: number, what: string): readonly bigint[] {
    const value = this.at(index);
    if (!(value instanceof PyTuple || value instanceof PyList)) throw this.bad(`${what} is not a tuple`);
    return value.items.map((item) => {
      if (typeof item !== 'bigint') throw this.bad(`${what} holds something that is not an integer`);
      return item;
    });
  }
  storage(index: number): PyStorage {
    const value = this.at(index);
    if (!(value instanceof PyStorage)) throw this.bad('the storage argument is not a storage');
    return value;
  }
  tensor(index: number): PyTensor {
    const value = this.at(index);
    if (!(value instanceof PyTensor)) throw this.bad(`argument ${index + 1} is not a tensor`);
    return value;
  }
  dtype(index: number): TorchDType {
    const value = this.at(index);
    if (!(value instanceof PyDType)) throw this.bad(`argument ${index + 1} is not an element type`);
    return value.type;
  }
  flag(index: number): boolean {
    return this.items[index] === true;
  }
  list(index: number): readonly PyValue[] {
    const value = this.at(index);
    if (!(value instanceof PyTuple || value instanceof PyList))
      throw this.bad(`argument ${index + 1} is not a sequence`);
    return value.items;
  }
}

/** The conjugate and negative bits that a lazily computed view carries. */
function lazyBits(args: Arguments, index: number): { conjugate?: boolean; negate?: boolean } {
  const bits = args.items[index];
  if (!(bits instanceof PyDict)) return {};
  return {
    ...(bits.get('conj') === true ? { conjugate: true } : {}),
    ...(bits.get('neg') === true ? { negate: true } : {}),
  };
}

/** `_rebuild_tensor` and `_rebuild_tensor_v2`: the element type is the storage's. */
export function rebuildTensor(args: Arguments): PyTensor {
  const storage = args.storage(0);
  if (!storage.type) throw args.bad(`storage ${storage.key} has no element type`);
  return new PyTensor(
    storage,
    storage.type,
    args.int(1, 'the storage offset'),
    args.ints(2, 'the size'),
    args.ints(3, 'the stride'),
    { requiresGrad: args.flag(4), ...lazyBits(args, 6) },
  );
}

/** `_rebuild_tensor_v3`: the element type is an argument of its own. */
export function rebuildTensorV3(args: Arguments): PyTensor {
  return new PyTensor(
    args.storage(0),
    args.dtype(6),
    args.int(1, 'the storage offset'),
    args.ints(2, 'the size'),
    args.ints(3, 'the stride'),
    { requiresGrad: args.flag(4), ...lazyBits(args, 7) },
  );
}

/** A parameter is its tensor with a flag. Parts (a sparse parameter) stay what they are. */
export function rebuildParameter(args: Arguments): PyValue {
  const data = args.at(0);
  if (!(data instanceof PyTensor)) {
    if (data instanceof PyParts) return data;
    throw args.bad('a parameter of something that is not a tensor');
  }
  const requiresGrad = args.items.length < 2 || args.flag(1);
  return new PyTensor(data.source, data.type, data.offset, data.size, data.stride, {
    ...data.flags,
    requiresGrad,
    parameter: true,
  });
}

export function rebuildQuantized(args: Arguments): PyTensor {
  const plain = rebuildTensor(args);
  return new PyTensor(plain.source, plain.type, plain.offset, plain.size, plain.stride, {
    requiresGrad: args.flag(5),
    quantizer: quantizer(new Arguments(args.list(4), args.bad)),
  });
}

function quantizer(args: Arguments): Quantizer {
  const scheme = args.at(0);
  if (!(scheme instanceof PyNamed)) throw args.bad('the quantization scheme is not one');
  const name = scheme.text.replace(/^torch\./, '');
  if (!name.startsWith('per_channel'))
    return { scheme: name, scale: Number(args.at(1)), zeroPoint: Number(args.int(2, 'the zero point')) };
  return {
    scheme: name,
    scale: args.tensor(1),
    zeroPoint: args.tensor(2),
    axis: Number(args.int(3, 'the axis')),
  };
}

const SPARSE_PARTS: Readonly<Record<string, readonly string[]>> = {
  sparse_coo: ['indices', 'values'],
  sparse_csr: ['crow_indices', 'col_indices', 'values'],
  sparse_csc: ['ccol_indices', 'row_indices', 'values'],
  sparse_bsr: ['crow_indices', 'col_indices', 'values'],
  sparse_bsc: ['ccol_indices', 'row_indices', 'values'],
};

/** `(layout, (parts…, size, coalesced?))`. */
export function rebuildSparse(args: Arguments): PyParts {
  const layout = args.at(0);
  const name = layout instanceof PyNamed ? layout.text.replace(/^torch\./, '') : '';
  const parts = SPARSE_PARTS[name];
  if (!parts) throw args.bad('the layout of a sparse tensor is unknown');
  const data = new Arguments(args.list(1), args.bad);
  const size = new PySize(data.ints(parts.length, 'the size'));
  return new PyParts(`torch.${name}`, [
    ['layout', `torch.${name}`],
    ['shape', size],
    ...parts.map((part, i): [string, PyValue] => [part, data.tensor(i)]),
    ...(typeof data.items[parts.length + 1] === 'boolean'
      ? [['is_coalesced', data.at(parts.length + 1)] as [string, PyValue]]
      : []),
  ]);
}

export const rebuildNested = (args: Arguments): PyParts =>
  new PyParts('torch.nested', [
    ['layout', 'torch.nested'],
    ['values', args.tensor(0)],
    ['sizes', args.tensor(1)],
    ['strides', args.tensor(2)],
    ['offsets', args.tensor(3)],
  ]);

/** A meta tensor has a type and a shape, and no data. */
export function rebuildMeta(args: Arguments): PyParts {
  return new PyParts('torch.meta', [
    ['layout', 'torch.meta'],
    ['dtype', args.at(0)],
    ['shape', new PySize(args.ints(1, 'the size'))],
  ]);
}

const FROM_NUMPY: Readonly<Record<string, string>> = {
  f8: 'float64',
  f4: 'float32',
  f2: 'float16',
  i8: 'int64',
  i4: 'int32',
  i2: 'int16',
  i1: 'int8',
  u8: 'uint64',
  u4: 'uint32',
  u2: 'uint16',
  u1: 'uint8',
  b1: 'bool',
  c8: 'complex64',
  c16: 'complex128',
};

/** Tensors of other devices that were saved as numpy arrays: `(array, dtype, device, requires_grad)`. */
export function rebuildFromNumpy(args: Arguments): PyTensor {
  const array = args.at(0);
  if (!(array instanceof NumpyArray && array.data instanceof Uint8Array && array.dtype))
    throw args.bad('the data is not a numeric array');
  const type = torchDType(FROM_NUMPY[array.dtype.code] ?? '');
  const saved = args.dtype(1);
  // bf16 and fp8 were widened to f32 for numpy: reading them back would be a conversion, not a copy.
  if (
    !type ||
    type.torch !== saved.torch ||
    array.dtype.order === '>' ||
    itemBytes(array.dtype) === undefined
  )
    throw args.bad(`an array of ${array.dtype.code} for a tensor of ${saved.torch}`);
  const stride: bigint[] = array.shape.map(() => 1n);
  const order = array.shape.map((_, i) => i);
  let step = 1n;
  for (const dim of array.fortran ? order : order.reverse()) {
    stride[dim] = step;
    step *= BigInt(array.shape[dim] ?? 1);
  }
  return new PyTensor(array, type, 0n, array.shape.map(BigInt), stride, { requiresGrad: args.flag(3) });
}
