import { malformed } from '../../errors.js';
import { storageDType, torchDType } from './dtypes.js';
import { asBytes, fillArray, numpyScalar, setArrayState, setDTypeState } from './numpy.js';
import type { PickleMeaning } from './pickle.js';
import {
  Arguments,
  rebuildFromNumpy,
  rebuildMeta,
  rebuildNested,
  rebuildParameter,
  rebuildQuantized,
  rebuildSparse,
  rebuildTensor,
  rebuildTensorV3,
} from './rebuild.js';
import { refuseUnsafe } from './unsafe.js';
import {
  NumpyArray,
  NumpyDType,
  PyComplex,
  PyDict,
  PyDType,
  PyGlobal,
  PyList,
  PyNamed,
  PyObject,
  PyParts,
  PySet,
  PySize,
  PyStorage,
  PyTensor,
  PyTuple,
  type PyValue,
} from './values.js';

type Call = (args: Arguments, meaning: TorchMeaning) => PyValue;

const items = (args: Arguments): PyValue[] => (args.items.length === 0 ? [] : [...args.list(0)]);

/** A dict from nothing, from another dict, or from a list of pairs. */
function dictFrom(args: Arguments, from: PyValue | undefined, ordered: boolean): PyDict {
  const dict = new PyDict(ordered);
  if (from === undefined || from === null) return dict;
  if (from instanceof PyDict) for (const [key, value] of from.entries) dict.set(key, value);
  else
    for (const pair of new Arguments([from], args.bad).list(0)) {
      const [key, value] = pair instanceof PyTuple || pair instanceof PyList ? pair.items : [];
      if (key === undefined || value === undefined)
        throw args.bad('a dictionary from something without pairs');
      dict.set(key, value);
    }
  return dict;
}

function device(args: Arguments): PyValue {
  const kind = args.text(0, 'the device');
  return new PyNamed('torch.device', args.has(1) ? `${kind}:${args.int(1, 'the device number')}` : kind);
}

/** `_codecs.encode(text, 'latin1')` is how protocol 2 writes bytes. */
function encode(args: Arguments): PyValue {
  const text = args.text(0, 'the text');
  const encoding = args.has(1) ? args.text(1, 'the encoding').toLowerCase().replaceAll('_', '-') : 'utf-8';
  if (encoding === 'utf-8' || encoding === 'utf8') return new TextEncoder().encode(text);
  const bytes = /^(latin-?1|iso-?8859-1|ascii)$/.test(encoding) ? asBytes(text) : undefined;
  if (!bytes) throw args.bad(`text that is not ${encoding}`);
  return bytes;
}

/** The Python 2 way to make an object: `_reconstructor(cls, base, state)`. */
function reconstructor(args: Arguments, meaning: TorchMeaning): PyValue {
  const base = args.at(1);
  const plain = base instanceof PyGlobal && base.path === 'builtins.object';
  return meaning.instance(args.at(0), new PyTuple(plain ? [] : [args.at(2)]));
}

function scalar(args: Arguments): PyValue {
  const dtype = args.at(0);
  const value = dtype instanceof NumpyDType ? numpyScalar(dtype, args.at(1)) : undefined;
  if (value === undefined) throw args.bad('not a numpy scalar');
  return value;
}

/** `_frombuffer(data, dtype, shape, order)`: arrays of protocol 5. */
function fromBuffer(args: Arguments): PyValue {
  const dtype = args.at(1);
  const array = new NumpyArray();
  if (
    !(dtype instanceof NumpyDType) ||
    !fillArray(array, args.list(2), dtype, args.items[3] === 'F', args.at(0))
  )
    throw args.bad('not a numpy array');
  return array;
}

function numpyDType(args: Arguments): PyValue {
  const code = args.text(0, 'the type');
  const match = /^([<>|=])?(.*)$/s.exec(code);
  const dtype = new NumpyDType(match?.[2] ?? code);
  dtype.order = match?.[1] === '>' ? '>' : '<';
  return dtype;
}

/** `_rebuild_from_type_v2(function, type, args, state)`: a tensor of a subclass, or with Python attributes. */
const fromType: Call = (args, meaning) => meaning.call(args.at(0), new PyTuple(args.list(2)));
const firstArgument: Call = (args) => args.at(0);
const typedList: Call = (args) => new PyList(items(args));

/**
 * The closed list of what a call means. Everything else becomes a PyObject: its name and arguments, as data.
 * Module names are the current ones; the older spellings are mapped by `currentModule`.
 */
const CALLS: ReadonlyMap<string, Call> = new Map<string, Call>([
  ['collections.OrderedDict', (args) => dictFrom(args, args.items[0], true)],
  ['collections.Counter', (args) => dictFrom(args, args.items[0], false)],
  ['collections.defaultdict', (args) => dictFrom(args, args.items[1], false)],
  ['collections.deque', typedList],
  ['builtins.dict', (args) => dictFrom(args, args.items[0], false)],
  ['builtins.list', typedList],
  ['builtins.tuple', (args) => new PyTuple(items(args))],
  ['builtins.set', (args) => new PySet(items(args))],
  ['builtins.frozenset', (args) => new PySet(items(args))],
  ['builtins.complex', (args) => new PyComplex(Number(args.at(0)), args.has(1) ? Number(args.at(1)) : 0)],
  ['builtins.bytearray', (args) => (args.items.length === 0 ? new Uint8Array() : byteArray(args))],
  ['builtins.bytes', (args) => (args.items.length === 0 ? new Uint8Array() : byteArray(args))],
  ['_codecs.encode', encode],
  ['copyreg._reconstructor', reconstructor],
  ['copyreg.__newobj__', (args, m) => m.instance(args.at(0), new PyTuple(args.items.slice(1)))],
  ['numpy.dtype', numpyDType],
  ['numpy.ndarray', () => new NumpyArray()],
  ['numpy.core.multiarray._reconstruct', () => new NumpyArray()],
  ['numpy.core.multiarray.scalar', scalar],
  ['numpy.core.numeric._frombuffer', fromBuffer],
  ['torch.Size', (args) => new PySize(args.items.length === 0 ? [] : args.ints(0, 'the size'))],
  ['torch.device', device],
  ['torch.serialization._get_layout', (args) => new PyNamed('torch.layout', args.text(0, 'the layout'))],
  ['torch._utils._rebuild_tensor', rebuildTensor],
  ['torch._utils._rebuild_tensor_v2', rebuildV2],
  ['torch._utils._rebuild_tensor_v3', rebuildTensorV3],
  ['torch._utils._rebuild_parameter', rebuildParameter],
  ['torch._utils._rebuild_parameter_with_state', rebuildParameter],
  ['torch.nn.parameter.Parameter', rebuildParameter],
  ['torch.nn.parameter.Buffer', firstArgument],
  ['torch._utils._rebuild_qtensor', rebuildQuantized],
  ['torch._utils._rebuild_sparse_tensor', rebuildSparse],
  ['torch._utils._rebuild_sparse_csr_tensor', rebuildSparse],
  ['torch._utils._rebuild_nested_tensor', rebuildNested],
  ['torch._utils._rebuild_meta_tensor_no_storage', rebuildMeta],
  ['torch._utils._rebuild_device_tensor_from_numpy', rebuildFromNumpy],
  ['torch._utils._rebuild_device_tensor_from_cpu_tensor', firstArgument],
  ['torch._tensor._rebuild_from_type', fromType],
  ['torch._tensor._rebuild_from_type_v2', fromType],
  ['torch.tensor._rebuild_from_type', fromType],
  ['torch.jit._pickle.build_intlist', typedList],
  ['torch.jit._pickle.build_doublelist', typedList],
  ['torch.jit._pickle.build_boollist', typedList],
  ['torch.jit._pickle.build_tensorlist', typedList],
  ['torch.jit._pickle.restore_type_tag', firstArgument],
]);

function rebuildV2(args: Arguments): PyTensor {
  args.at(5); // six arguments, unlike `_rebuild_tensor`
  return rebuildTensor(args);
}

function byteArray(args: Arguments): PyValue {
  const bytes = args.items.length > 1 ? encode(args) : asBytes(args.at(0));
  if (!(bytes instanceof Uint8Array)) throw args.bad('not bytes');
  return bytes;
}

/** Plain values that torch keeps under a name of its own. */
const NAMED: ReadonlyMap<string, string> = new Map([
  ...[
    'strided',
    'sparse_coo',
    'sparse_csr',
    'sparse_csc',
    'sparse_bsr',
    'sparse_bsc',
    'jagged',
    '_mkldnn',
  ].map((name): [string, string] => [name, 'torch.layout']),
  ...[
    'per_tensor_affine',
    'per_tensor_symmetric',
    'per_channel_affine',
    'per_channel_symmetric',
    'per_channel_affine_float_qparams',
  ].map((name): [string, string] => [name, 'torch.qscheme']),
  ...['contiguous_format', 'preserve_format', 'channels_last', 'channels_last_3d'].map(
    (name): [string, string] => [name, 'torch.memory_format'],
  ),
]);

/** Names that Python 2, older torch and newer numpy use for the same things. */
function currentModule(module: string): string {
  if (module === '__builtin__') return 'builtins';
  if (module === 'copy_reg') return 'copyreg';
  return module.replace(/^numpy\._core\b/, 'numpy.core');
}

/** Reads the names and calls of torch pickles as data, and remembers what it did not know. */
export class TorchMeaning implements PickleMeaning {
  /** Classes and functions that were used and have no meaning here. */
  readonly unknown = new Set<string>();
  readonly storages = new Map<string, PyStorage>();

  constructor(
    readonly file: string,
    /** Legacy files store views of storages and wrap containers: their persistent ids have more forms. */
    readonly legacy = false,
  ) {}

  #bad(where: string, why: string): Error {
    return malformed(`${this.file}: ${where}: ${why}`, { file: this.file, global: where });
  }

  global(written: string, name: string): PyValue {
    const module = currentModule(written);
    if (module === 'torch') {
      const type = torchDType(name);
      if (type) return new PyDType(type);
      const kind = NAMED.get(name);
      if (kind !== undefined) return new PyNamed(kind, `torch.${name}`);
    }
    const global = new PyGlobal(module, name);
    if (!CALLS.has(global.path)) refuseUnsafe(module, name, this.file);
    return global;
  }

  call(callable: PyValue, args: PyTuple): PyValue {
    if (!(callable instanceof PyGlobal))
      throw this.#bad('REDUCE', 'only a class or a function can be called');
    const known = CALLS.get(callable.path);
    if (known) return known(new Arguments(args.items, (why) => this.#bad(callable.path, why)), this);
    this.unknown.add(callable.path);
    return new PyObject(callable, args);
  }

  instance(cls: PyValue, args: PyTuple): PyValue {
    return this.call(cls, args);
  }

  build(object: PyValue, state: PyValue): void {
    if (object instanceof PyObject) {
      // Two states of one object are two parts of it (a dict, and slots).
      if (object.state instanceof PyDict && state instanceof PyDict)
        for (const [key, value] of state.entries) object.state.set(key, value);
      else object.state = state;
    } else if (object instanceof NumpyDType) {
      if (!setDTypeState(object, state)) throw this.#bad('numpy.dtype', 'the state is not one');
    } else if (object instanceof NumpyArray) {
      if (!setArrayState(object, state))
        throw this.#bad('numpy.ndarray', 'shape, type and data do not agree');
    } else if (
      !(
        // Python attributes of containers and tensors (`_metadata` of a state dict) are not part of their values.
        object instanceof PyDict ||
        object instanceof PyList ||
        object instanceof PySet ||
        object instanceof PyTensor ||
        object instanceof PyParts
      )
    )
      throw this.#bad('BUILD', 'a state for something that has none');
  }

  /** `('storage', type, key, location, count)`. */
  persistent(id: PyValue): PyValue {
    const where = 'persistent id';
    if (!(id instanceof PyTuple)) throw this.#bad(where, 'must be a tuple');
    const args = new Arguments(id.items, (why) => this.#bad(where, why));
    const kind = args.at(0);
    if (this.legacy && kind === 'module') return args.at(1);
    if (kind !== 'storage') throw this.#bad(where, 'only storages can be referred to');
    const key = args.at(2);
    const count = args.int(4, 'the element count');
    if (typeof key !== 'string' && typeof key !== 'bigint')
      throw this.#bad(where, 'the storage key is not text');
    if (count < 0n) throw this.#bad(where, `a storage of ${count} elements`);
    const location = args.at(3);
    const type = this.#storageType(args.at(1));
    const storage = new PyStorage(String(key), type, count, typeof location === 'string' ? location : '');
    return this.#view(this.#unique(storage), args);
  }

  #storageType(cls: PyValue): PyStorage['type'] {
    const match =
      cls instanceof PyGlobal
        ? /^torch(?:\.cuda|\.sparse|\.cuda\.sparse|\.storage)?\.(\w+Storage)$/.exec(cls.path)
        : null;
    const name = match?.[1];
    if (name === undefined)
      throw this.#bad('persistent id', 'the storage type is not a class of torch storages');
    if (/^_?UntypedStorage$/.test(name)) return undefined;
    const type = storageDType(name);
    if (!type) throw this.#bad(`torch.${name}`, 'an unknown class of storages');
    return type;
  }

  /** One storage has one type and one size, however often it is named. */
  #unique(storage: PyStorage): PyStorage {
    const known = this.storages.get(storage.key);
    if (!known) {
      this.storages.set(storage.key, storage);
      return storage;
    }
    if (known.type?.torch !== storage.type?.torch || known.count !== storage.count)
      throw this.#bad(
        `storage ${JSON.stringify(storage.key)}`,
        `named as ${known.count} × ${known.type?.torch ?? 'bytes'} and as ${storage.count} × ${storage.type?.torch ?? 'bytes'}`,
      );
    return known;
  }

  /** Legacy ids may go on with `(key, offset, size)`: a part of the storage. */
  #view(storage: PyStorage, args: Arguments): PyStorage {
    if (!this.legacy || !args.has(5)) return storage;
    const view = new Arguments(args.list(5), args.bad);
    const start = view.int(1, 'the start of a storage view');
    const count = view.int(2, 'the size of a storage view');
    if (start < 0n || count < 0n || start + count > storage.count)
      throw args.bad('a storage view outside its storage');
    return new PyStorage(storage.key, storage.type, count, storage.location, start);
  }
}
