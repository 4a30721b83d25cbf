import { LIMITS } from '../../core/limits.js';
import type { TensorRole } from '../../core/tensor.js';
import type { StateNode } from '../../core/training.js';
import { type Finding, finding, MlserError } from '../../errors.js';
import { hasLoneSurrogate } from '../../io/utf8.js';
import { torchDType } from './dtypes.js';
import { isModule, moduleEntries } from './modules.js';
import { numpyNode } from './numpy-node.js';
import { keyName, pyRepr } from './repr.js';
import {
  NumpyArray,
  NumpyDType,
  PyComplex,
  PyDict,
  PyDType,
  PyGlobal,
  PyList,
  PyNamed,
  type PyObject,
  PyParts,
  PySet,
  PySize,
  PyStorage,
  PyTensor,
  PyTuple,
  type PyValue,
} from './values.js';

/** A tensor and the dotted name of the place where it was found. */
export interface Leaf {
  readonly name: string;
  readonly tensor: PyTensor;
  readonly role: TensorRole | undefined;
}

export interface Flattened {
  readonly tree: StateNode;
  /** In file order; a name may come twice if the file has two ways to it. */
  readonly leaves: readonly Leaf[];
  readonly findings: readonly Finding[];
}

/**
 * Turns what a pickle describes into a tree with references to tensors, and the list of these tensors under their
 * path joined with dots. Containers that are in several places are converted once if they hold no tensor, so that
 * a small file stays small; one whose written-out form would pass TREE_NODES is left out with a finding.
 * E_LIMIT: PICKLE_DEPTH, PICKLE_SHARED, TENSORS. E_UNSUPPORTED: a name that has no UTF-8 form.
 */
export function flatten(root: PyValue, unknown: ReadonlySet<string>, file: string): Flattened {
  const walk = new Walk(file);
  const { node } = walk.convert(root, undefined, 0, undefined);
  return {
    tree: node,
    leaves: walk.leaves,
    findings: [...walk.findings.values(), ...walk.unknownFindings(unknown)],
  };
}

/** A converted value: its node, and how many nodes it would be if shared parts were written out. */
interface Converted {
  readonly node: StateNode;
  readonly weight: number;
}

const OPTIMIZER_PART = /^(optimi[sz]ers?|optim|opt)(_states?(_dicts?)?|_state_dicts?)?$/i;
const none: Converted = { node: { kind: 'none' }, weight: 1 };
const leafNode = (node: StateNode): Converted => ({ node, weight: 1 });
const opaque = (type: string, text: string): Converted => leafNode({ kind: 'opaque', type, text });

class Walk {
  readonly leaves: Leaf[] = [];
  readonly findings = new Map<string, Finding>();
  readonly #done = new Map<object, Converted>();
  readonly #seen = new Set<object>();
  readonly #active = new Set<object>();
  readonly #moduleClasses = new Set<string>();
  #inShared = 0;
  #sharedVisits = 0;

  constructor(readonly file: string) {}

  #warn(code: string, subject: string, message: string): void {
    if (!this.findings.has(code + subject))
      this.findings.set(code + subject, finding('warning', code, subject, message));
  }
  #limit(
    limit: 'PICKLE_DEPTH' | 'PICKLE_SHARED' | 'TENSORS',
    what: string,
    name: string | undefined,
  ): MlserError {
    return new MlserError('E_LIMIT', `${this.file}: ${what}; ${limit} is ${LIMITS[limit]}`, {
      details: { file: this.file, limit, at: name?.slice(0, 200) },
    });
  }

  /** Classes without a meaning here, except those of modules, which are read as their state dict. */
  unknownFindings(unknown: ReadonlySet<string>): Finding[] {
    return [...unknown]
      .filter((name) => !this.#moduleClasses.has(name) && !/^__torch__\./.test(name))
      .map((name) =>
        finding(
          'warning',
          'OPAQUE_GLOBAL',
          name,
          `${JSON.stringify(name)} has no meaning here: what it was given is kept as data, it was not loaded or run`,
        ),
      );
  }

  convert(value: PyValue, name: string | undefined, depth: number, role: TensorRole | undefined): Converted {
    if (this.#inShared > 0 && ++this.#sharedVisits > LIMITS.PICKLE_SHARED)
      throw this.#limit('PICKLE_SHARED', 'shared containers give the same tensors too many names', name);
    if (value === null) return none;
    switch (typeof value) {
      case 'boolean':
        return leafNode({ kind: 'bool', value });
      case 'bigint':
        return leafNode({ kind: 'int', value });
      case 'number':
        return leafNode({ kind: 'float', value });
      case 'string':
        return leafNode({ kind: 'string', value });
      default:
    }
    if (value instanceof Uint8Array) return leafNode({ kind: 'bytes', value: value.slice() });
    if (value instanceof PyTensor) return this.#tensor(value, name ?? '', role);
    if (value instanceof PyStorage) return this.#tensor(wholeStorage(value), name ?? '', role);
    if (value instanceof PyComplex) return leafNode({ kind: 'complex', re: value.re, im: value.im });
    if (value instanceof PyDType) return opaque('torch.dtype', `torch.${value.type.torch}`);
    if (value instanceof PyNamed) return opaque(value.type, value.text);
    if (value instanceof PySize)
      return opaque('torch.Size', `[${value.items.map((dim) => String(dim)).join(', ')}]`);
    if (value instanceof PyGlobal) {
      this.#warn('OPAQUE_GLOBAL', value.path, `${JSON.stringify(value.path)} is named, not loaded or run`);
      return opaque('global', value.path);
    }
    if (value instanceof NumpyDType) return opaque('numpy.dtype', `${value.order}${value.code}`);
    return this.#container(value, name, depth, role);
  }

  /** A container, once: again only where tensors in it get other names. */
  #container(
    value: PyList | PyTuple | PySet | PyDict | PyObject | PyParts | NumpyArray,
    name: string | undefined,
    depth: number,
    role: TensorRole | undefined,
  ): Converted {
    const done = this.#done.get(value);
    if (done) return done;
    if (this.#active.has(value)) {
      this.#warn(
        'CYCLE',
        name ?? '',
        `${JSON.stringify(name ?? '')} refers to something that contains it: left out`,
      );
      return opaque('cycle', 'a reference to an outer container');
    }
    if (depth > LIMITS.PICKLE_DEPTH)
      throw this.#limit('PICKLE_DEPTH', `containers are nested more than ${LIMITS.PICKLE_DEPTH} deep`, name);
    const again = this.#seen.has(value);
    this.#seen.add(value);
    this.#active.add(value);
    if (again) this.#inShared++;
    const before = this.leaves.length;
    const cycles = this.findings.size;
    const made = this.#bounded(this.#inside(value, name, depth + 1, role), name, this.leaves.length > before);
    if (again) this.#inShared--;
    this.#active.delete(value);
    if (this.leaves.length === before && this.findings.size === cycles) this.#done.set(value, made);
    return made;
  }

  /** Leaves out what would be too large if it were written out. */
  #bounded(made: Converted, name: string | undefined, hasTensors: boolean): Converted {
    if (made.weight <= LIMITS.TREE_NODES) return made;
    if (hasTensors)
      throw this.#limit(
        'PICKLE_SHARED',
        `${JSON.stringify(name ?? '')} has ${made.weight} parts once written out`,
        name,
      );
    this.#warn(
      'SHARED_STRUCTURE',
      this.file,
      `a structure that shares its parts has ${made.weight} parts once written out (TREE_NODES is ${LIMITS.TREE_NODES}): left out`,
    );
    return opaque('shared', `${made.weight} parts`);
  }

  #inside(
    value: PyList | PyTuple | PySet | PyDict | PyObject | PyParts | NumpyArray,
    name: string | undefined,
    depth: number,
    role: TensorRole | undefined,
  ): Converted {
    if (value instanceof PyDict) return this.#dict(value.entries, value.ordered, name, depth, role);
    if (value instanceof PyTuple) return this.#items('tuple', value.items, name, depth, role);
    if (value instanceof PySet) return this.#items('set', value.items, name, depth, role);
    if (value instanceof PyList) return this.#items('list', value.items, name, depth, role);
    if (value instanceof PyParts) return this.#parts(value, name, depth, role);
    if (value instanceof NumpyArray) {
      const node = numpyNode(value);
      if (node) return leafNode(node);
      return value.data instanceof PyList
        ? this.convert(value.data, name, depth, role)
        : opaque('numpy.ndarray', pyRepr(value));
    }
    return this.#object(value, name, depth, role);
  }

  #dict(
    entries: readonly (readonly [PyValue, PyValue])[],
    ordered: boolean,
    name: string | undefined,
    depth: number,
    role: TensorRole | undefined,
  ): Converted {
    let weight = 1;
    const out: [StateNode, StateNode][] = [];
    for (const [key, item] of entries) {
      const part = keyName(key);
      const inner = role ?? (OPTIMIZER_PART.test(part) ? 'optimizer' : undefined);
      const value = this.convert(item, join(name, part), depth, inner);
      const label = this.convert(key, undefined, depth, undefined);
      weight += value.weight + label.weight;
      out.push([label.node, value.node]);
    }
    return { node: { kind: 'dict', ordered, entries: out }, weight };
  }

  #items(
    kind: 'list' | 'tuple' | 'set',
    items: readonly PyValue[],
    name: string | undefined,
    depth: number,
    role: TensorRole | undefined,
  ): Converted {
    let weight = 1;
    const out: StateNode[] = [];
    for (const [i, item] of items.entries()) {
      const value = this.convert(item, join(name, String(i)), depth, role);
      weight += value.weight;
      out.push(value.node);
    }
    return { node: { kind, items: out }, weight };
  }

  #parts(value: PyParts, name: string | undefined, depth: number, role: TensorRole | undefined): Converted {
    const subject = name ?? '';
    if (value.type === 'torch.meta')
      this.#warn(
        'META_TENSOR',
        subject,
        `tensor ${JSON.stringify(subject)} was saved without data (device meta)`,
      );
    else if (!this.findings.has(`SPARSE_PARTS${subject}`))
      this.findings.set(
        `SPARSE_PARTS${subject}`,
        finding(
          'info',
          'SPARSE_PARTS',
          subject,
          `${value.type} tensor ${JSON.stringify(subject)} is read as its parts`,
        ),
      );
    return this.#dict(value.parts, false, name, depth, role);
  }

  /** Modules become their state dict, other objects what they hold. */
  #object(
    object: PyObject,
    name: string | undefined,
    depth: number,
    role: TensorRole | undefined,
  ): Converted {
    if (isModule(object)) return this.#module(object, name, depth);
    const attributes = objectState(object);
    if (object.dict.entries.length > 0) return this.#dict(object.dict.entries, false, name, depth, role);
    if (object.items.length > 0) return this.#items('list', object.items, name, depth, role);
    if (attributes instanceof PyDict) return this.#dict(attributes.entries, false, name, depth, role);
    if (attributes !== null) return this.convert(attributes, name, depth, role);
    const before = this.leaves.length;
    const given = this.convert(object.args, name, depth, role);
    return this.leaves.length > before ? given : opaque(object.cls.path, pyRepr(object.args));
  }

  #module(object: PyObject, name: string | undefined, depth: number): Converted {
    const visited = new Set<object>();
    const entries = moduleEntries(object, this.#moduleClasses, (module, inner) => {
      if (depth + inner > LIMITS.PICKLE_DEPTH)
        throw this.#limit('PICKLE_DEPTH', `modules are nested more than ${LIMITS.PICKLE_DEPTH} deep`, name);
      if (visited.has(module) && ++this.#sharedVisits > LIMITS.PICKLE_SHARED)
        throw this.#limit('PICKLE_SHARED', 'a module is in itself too often', name);
      visited.add(module);
    });
    if (!/^__torch__/.test(object.cls.module))
      this.#warn(
        'MODULE_AS_STATE_DICT',
        object.cls.path,
        `a pickled ${JSON.stringify(object.cls.path)} is read as its state dict; its code was not loaded or run`,
      );
    let weight = 1;
    const out: [StateNode, StateNode][] = [];
    for (const entry of entries) {
      const value = this.convert(entry.value, join(name, entry.name), depth + 1, entry.role);
      weight += value.weight + 1;
      out.push([{ kind: 'string', value: entry.name }, value.node]);
    }
    return { node: { kind: 'dict', ordered: true, entries: out }, weight };
  }

  #tensor(tensor: PyTensor, name: string, inherited: TensorRole | undefined): Converted {
    if (hasLoneSurrogate(name))
      throw new MlserError(
        'E_UNSUPPORTED',
        `${this.file}: the tensor name ${JSON.stringify(name)} has no UTF-8 form`,
        {
          details: { file: this.file, tensor: name },
          hint: 'rename it with torch first',
        },
      );
    if (this.leaves.length >= LIMITS.TENSORS) throw this.#limit('TENSORS', 'too many tensors', name);
    const { parameter, requiresGrad } = tensor.flags;
    this.leaves.push({ name, tensor, role: inherited ?? (parameter ? 'parameter' : undefined) });
    return leafNode({
      kind: 'tensor',
      name,
      ...(parameter ? { parameter } : {}),
      ...(requiresGrad ? { requiresGrad } : {}),
    });
  }
}

const join = (path: string | undefined, part: string): string =>
  path === undefined ? part : `${path}.${part}`;

/** `(dict, slots)` is one set of attributes in two parts. */
function objectState({ state }: PyObject): PyValue {
  if (!(state instanceof PyTuple) || state.items.length !== 2) return state;
  const [first, second] = state.items;
  if (!(second instanceof PyDict) || !(first === null || first instanceof PyDict)) return state;
  const all = new PyDict();
  for (const part of [first, second]) for (const [key, value] of part?.entries ?? []) all.set(key, value);
  return all;
}

/** A storage on its own is a vector of its elements. */
function wholeStorage(storage: PyStorage): PyTensor {
  const type = storage.type ?? torchDType('uint8') ?? { torch: 'uint8' };
  return new PyTensor(storage, type, 0n, [storage.count], [1n], { requiresGrad: false });
}
