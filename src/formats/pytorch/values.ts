import type { TorchDType } from './dtypes.js';

/**
 * What a pickle builds, as data. Python integers are bigints, floats are numbers, `bytes` are Uint8Arrays.
 * Containers are mutable while the pickle is interpreted and may be shared or refer to themselves.
 */
export type PyValue =
  | null
  | boolean
  | bigint
  | number
  | string
  | Uint8Array
  | PyList
  | PyTuple
  | PySet
  | PyDict
  | PyComplex
  | PyGlobal
  | PyObject
  | PyDType
  | PyNamed
  | PyStorage
  | PyTensor
  | PyParts
  | NumpyDType
  | NumpyArray;

export class PyList {
  constructor(readonly items: PyValue[] = []) {}
}
export class PyTuple {
  constructor(readonly items: readonly PyValue[] = []) {}
}
/** torch.Size */
export class PySize extends PyTuple {}
export class PySet {
  constructor(readonly items: PyValue[] = []) {}
}
export class PyComplex {
  constructor(
    readonly re: number,
    readonly im: number,
  ) {}
}

/** A dict, an OrderedDict, a Counter, a defaultdict: pairs in order, keys unique as Python compares them. */
export class PyDict {
  readonly #at = new Map<unknown, number>();
  readonly #entries: [PyValue, PyValue][] = [];
  constructor(readonly ordered = false) {}

  get entries(): readonly (readonly [PyValue, PyValue])[] {
    return this.#entries;
  }
  set(key: PyValue, value: PyValue): void {
    const id = keyIdentity(key);
    const at = this.#at.get(id);
    const entry = at === undefined ? undefined : this.#entries[at];
    if (entry) entry[1] = value;
    else {
      this.#at.set(id, this.#entries.length);
      this.#entries.push([key, value]);
    }
  }
  get(key: PyValue): PyValue | undefined {
    const at = this.#at.get(keyIdentity(key));
    return at === undefined ? undefined : this.#entries[at]?.[1];
  }
}

/** Equal for keys that Python holds equal (1, 1.0 and True); objects are themselves. */
function keyIdentity(key: PyValue): unknown {
  switch (typeof key) {
    case 'string':
      return `s${key}`;
    case 'bigint':
      return `n${key}`;
    case 'boolean':
      return key ? 'n1' : 'n0';
    case 'number':
      return Number.isInteger(key) ? `n${BigInt(key)}` : key;
    default:
      return key instanceof PyTuple ? tupleIdentity(key) : key;
  }
}

/** Tuples of plain values compare by value; deeper ones by identity, which no checkpoint needs. */
function tupleIdentity(tuple: PyTuple): unknown {
  const parts: string[] = [];
  for (const item of tuple.items) {
    const id = item instanceof PyTuple ? undefined : keyIdentity(item);
    if (typeof id !== 'string' && typeof id !== 'number') return tuple;
    parts.push(JSON.stringify(id));
  }
  return `t${parts.join()}`;
}

/** A reference `module.name`: a class or a function, never resolved. */
export class PyGlobal {
  constructor(
    readonly module: string,
    readonly name: string,
  ) {}
  get path(): string {
    return `${this.module}.${this.name}`;
  }
}

/** An instance of a class we have no meaning for: what it was made from, its state and items, as data. */
export class PyObject {
  state: PyValue = null;
  /** What APPENDS and SETITEMS added, for subclasses of list and dict. */
  readonly items: PyValue[] = [];
  readonly dict = new PyDict();
  constructor(
    readonly cls: PyGlobal,
    readonly args: PyTuple,
  ) {}
}

export class PyDType {
  constructor(readonly type: TorchDType) {}
}

/** A small torch or Python value that is its text: a device, a layout, a quantization scheme, a path. */
export class PyNamed {
  constructor(
    readonly type: string,
    readonly text: string,
  ) {}
}

/** A storage by reference. `type` is absent for untyped ones, whose `count` is in bytes. */
export class PyStorage {
  constructor(
    readonly key: string,
    readonly type: TorchDType | undefined,
    readonly count: bigint,
    readonly location: string,
    /** Start inside the storage `key`, in elements: legacy files store views of storages. */
    readonly start = 0n,
  ) {}
}

export interface Quantizer {
  readonly scheme: string;
  /** Numbers for per-tensor schemes, tensors for per-channel ones. */
  readonly scale: number | PyTensor;
  readonly zeroPoint: number | PyTensor;
  readonly axis?: number;
}

/** A tensor as the pickle describes it; its geometry is checked when it gets its name. */
export class PyTensor {
  constructor(
    readonly source: PyStorage | NumpyArray,
    readonly type: TorchDType,
    readonly offset: bigint,
    readonly size: readonly bigint[],
    readonly stride: readonly bigint[],
    readonly flags: {
      readonly requiresGrad: boolean;
      readonly parameter?: boolean;
      readonly conjugate?: boolean;
      readonly negate?: boolean;
      readonly quantizer?: Quantizer;
    },
  ) {}
}

/** A tensor without strided data of its own: sparse and nested ones, as their parts; meta ones, with none. */
export class PyParts {
  constructor(
    readonly type: string,
    readonly parts: readonly (readonly [string, PyValue])[],
  ) {}
}

/** numpy.dtype: kind and size as in `f4`; byte order arrives with BUILD. */
export class NumpyDType {
  order = '|';
  constructor(readonly code: string) {}
}

export class NumpyArray {
  shape: readonly number[] = [];
  dtype: NumpyDType | undefined;
  fortran: boolean = false;
  /** The elements' bytes; a list for arrays of objects. */
  data: PyValue = null;
}
