import type { StateNode } from '../../core/training.js';
import { torchDType } from './dtypes.js';
import { type NestedValues, NUMPY_ARRAY, numpyLists, parseNumpyNode } from './numpy-node.js';
import { type PickleWriter, writableInt } from './pickle-writer.js';
import { PyComplex } from './values.js';

type Opaque = Extract<StateNode, { kind: 'opaque' }>;
type TensorRef = Extract<StateNode, { kind: 'tensor' }>;

/** Most elements of an array that are written as numbers; a larger one becomes its description. */
const MOST_LISTED = 1_000_000;

/**
 * Writes a tree of state. `tensor` writes a reference to a tensor. What has no form that
 * `torch.load(weights_only=True)` reads becomes the nearest thing that has; `simplified` names it.
 */
export function writeState(
  pickle: PickleWriter,
  node: StateNode,
  tensor: (ref: TensorRef) => void,
  simplified: (what: string) => void = () => {},
): void {
  const write = (inner: StateNode): void => writeState(pickle, inner, tensor, simplified);
  switch (node.kind) {
    case 'none':
      pickle.none();
      break;
    case 'bool':
      pickle.bool(node.value);
      break;
    case 'int':
      if (writableInt(node.value)) pickle.int(node.value);
      else {
        simplified('an integer of more than 255 bytes');
        pickle.string(node.value.toString());
      }
      break;
    case 'float':
      pickle.float(node.value);
      break;
    case 'complex':
      writeComplex(pickle, node.re, node.im);
      break;
    case 'string':
      pickle.string(node.value);
      break;
    case 'bytes':
      pickle.bytes(node.value);
      break;
    case 'list':
      pickle.list(node.items, write);
      break;
    case 'tuple':
      pickle.tuple(() => {
        for (const item of node.items) write(item);
      });
      break;
    case 'set':
      pickle.call('__builtin__', 'set', () => pickle.list(node.items, write));
      break;
    case 'dict':
      pickle.dict(node.entries, node.ordered, ([key, value]) => {
        write(key);
        write(value);
      });
      break;
    case 'tensor':
      tensor(node);
      break;
    case 'opaque':
      if (!writeTorchValue(pickle, node)) writeSimplified(pickle, node, simplified);
      break;
    default:
      node satisfies never;
  }
}

const writeComplex = (pickle: PickleWriter, re: number, im: number): void =>
  pickle.call('__builtin__', 'complex', () => {
    pickle.float(re);
    pickle.float(im);
  });

/** The torch values that the allow-list of weights_only has. False if it is none of them. */
function writeTorchValue(pickle: PickleWriter, { type, text }: Opaque): boolean {
  const torchName = /^torch\.(\w+)$/.exec(text)?.[1];
  const device = type === 'torch.device' ? /^(\w+)(?::(\d{1,6}))?$/.exec(text) : null;
  const dims = type === 'torch.Size' ? sizeDims(text) : undefined;
  if (
    torchName !== undefined &&
    ((type === 'torch.dtype' && torchDType(torchName)) || type === 'torch.qscheme')
  )
    pickle.global('torch', torchName);
  else if (type === 'torch.layout' && torchName !== undefined)
    pickle.call('torch.serialization', '_get_layout', () => pickle.string(text));
  else if (device)
    pickle.call('torch', 'device', () => {
      pickle.string(device[1] ?? '');
      if (device[2] !== undefined) pickle.int(BigInt(device[2]));
    });
  else if (dims)
    pickle.call('torch', 'Size', () =>
      pickle.tuple(() => {
        for (const dim of dims) pickle.int(dim);
      }),
    );
  else return false;
  return true;
}

/** Arrays as nested lists of their numbers, everything else as text. */
function writeSimplified(
  pickle: PickleWriter,
  { type, text }: Opaque,
  simplified: (what: string) => void,
): void {
  simplified(type);
  const array = type === NUMPY_ARRAY ? parseNumpyNode(text) : undefined;
  const small = array && array.shape.reduce((product, dim) => product * dim, 1) <= MOST_LISTED;
  const lists = small ? numpyLists(array) : undefined;
  if (lists !== undefined) writeLists(pickle, lists);
  else pickle.string(array ? `numpy.ndarray of shape (${array.shape.join(', ')})` : `${type}: ${text}`);
}

function sizeDims(text: string): bigint[] | undefined {
  const inner = /^\[((?:\d{1,18}(?:, )?)*)\]$/.exec(text)?.[1];
  if (inner === undefined) return undefined;
  return inner === '' ? [] : inner.split(', ').map(BigInt);
}

function writeLists(pickle: PickleWriter, value: NestedValues): void {
  if (isList(value)) pickle.list(value, (item) => writeLists(pickle, item));
  else if (typeof value === 'boolean') pickle.bool(value);
  else if (typeof value === 'bigint') pickle.int(value);
  else if (typeof value === 'number') pickle.float(value);
  else if (typeof value === 'string') pickle.string(value);
  else if (value instanceof PyComplex) writeComplex(pickle, value.re, value.im);
  else pickle.none();
}

const isList = (value: NestedValues): value is readonly NestedValues[] => Array.isArray(value);
