import type { TensorRole } from '../../core/tensor.js';
import { PyDict, PyList, PyObject, PyTensor, PyTuple, type PyValue } from './values.js';

/** An entry of a state dict: the dotted name inside the module, and what it is. */
export interface ModuleEntry {
  readonly name: string;
  readonly value: PyValue;
  readonly role: TensorRole | undefined;
}

const stateOf = (value: PyValue): PyDict | undefined =>
  value instanceof PyObject && value.state instanceof PyDict ? value.state : undefined;

const member = (state: PyDict, name: string): PyDict | undefined => {
  const value = state.get(name);
  return value instanceof PyDict ? value : undefined;
};

/** A pickled `torch.nn.Module`, or a module of a TorchScript archive. */
export function isModule(object: PyObject): boolean {
  const state = stateOf(object);
  if (!state) return false;
  return (
    isScripted(object) ||
    (member(state, '_parameters') !== undefined && member(state, '_modules') !== undefined)
  );
}

const isScripted = (object: PyObject): boolean => /^__torch__(\.|$)/.test(object.cls.module);

/**
 * What `state_dict()` of the module would hold, in its order: parameters, buffers that are saved, then the same of
 * every sub-module. `classes` collects the classes met; `visit` is called for every module and may throw.
 */
export function moduleEntries(
  root: PyObject,
  classes: Set<string>,
  visit: (module: PyObject, depth: number) => void,
): ModuleEntry[] {
  const out: ModuleEntry[] = [];
  const walk = (object: PyObject, prefix: string, depth: number): void => {
    visit(object, depth);
    classes.add(object.cls.path);
    const state = stateOf(object);
    if (!state) return;
    if (isScripted(object)) {
      walkScripted(state, prefix, depth);
      return;
    }
    for (const [key, value] of member(state, '_parameters')?.entries ?? [])
      if (value !== null) out.push({ name: prefix + String(key), value, role: 'parameter' });
    const skipped = state.get('_non_persistent_buffers_set');
    const transient = new Set(
      skipped !== null && typeof skipped === 'object' && 'items' in skipped ? skipped.items : [],
    );
    for (const [key, value] of member(state, '_buffers')?.entries ?? [])
      if (value !== null && !transient.has(key))
        out.push({ name: prefix + String(key), value, role: 'buffer' });
    for (const [key, value] of member(state, '_modules')?.entries ?? [])
      if (value instanceof PyObject) walk(value, `${prefix}${String(key)}.`, depth + 1);
  };
  /** Attributes of a script module: tensors, modules, and containers that may hold some (packed weights). */
  const walkScripted = (state: PyDict, prefix: string, depth: number): void => {
    for (const [key, value] of state.entries) {
      const name = prefix + String(key);
      if (value instanceof PyTensor) out.push({ name, value, role: undefined });
      else if (value instanceof PyObject)
        if (value.state instanceof PyDict || value.state === null) walk(value, `${name}.`, depth + 1);
        else out.push({ name, value, role: undefined });
      else if (holdsTensors(value)) out.push({ name, value, role: undefined });
    }
  };
  walk(root, '', 0);
  return out;
}

/** A container with a tensor directly in it. */
const holdsTensors = (value: PyValue): boolean =>
  value instanceof PyTuple || value instanceof PyList
    ? value.items.some((item) => item instanceof PyTensor)
    : value instanceof PyDict && value.entries.some(([, item]) => item instanceof PyTensor);
