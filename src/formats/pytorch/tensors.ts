import { type DType, elementBytes } from '../../core/dtype.js';
import { LIMITS } from '../../core/limits.js';
import type { TensorRole, TensorSource } from '../../core/tensor.js';
import { type Details, MlserError, malformed } from '../../errors.js';
import { memorySource } from '../../io/memory.js';
import type { ByteSource } from '../../io/source.js';
import { stridedTensor } from '../../kernels/strided.js';
import { storageBytes } from './legacy.js';
import type { Storages } from './storages.js';
import { PyStorage, type PyTensor } from './values.js';

/** A view that was found to lie inside its storage. Strides in elements; those that are never used are 0. */
export interface View {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly strides: readonly number[];
  /** In bytes from the start of the storage. */
  readonly byteOffset: number;
  /** Tells equal views of one storage. */
  readonly identity: string;
}

const named = (name: string): string => `tensor ${JSON.stringify(name)}`;

/**
 * Checks the geometry of a tensor against its storage, in whole numbers of any size: sizes and strides not negative
 * and equally many, every element inside the storage, at most VIEW_EXPANSION_BYTES once written out.
 * E_MALFORMED, E_LIMIT, E_UNSUPPORTED (an element type we cannot read), naming the tensor.
 */
export function checkView(tensor: PyTensor, name: string, file: string): View {
  const { size, stride, type } = tensor;
  const bad = (why: string, details: Details = {}): MlserError =>
    malformed(`${file}: ${named(name)}: ${why}`, { file, tensor: name, ...details });
  const whole = (value: bigint, what: string): number => {
    const number = Number(value);
    if (!Number.isSafeInteger(number)) throw bad(`${what} ${value} is more than any file can hold`);
    return number;
  };
  const { dtype } = type;
  const width = dtype === undefined ? undefined : type.packed ? 1 : elementBytes(dtype);
  if (dtype === undefined || width === undefined)
    throw new MlserError('E_UNSUPPORTED', `${file}: ${named(name)} has element type torch.${type.torch}`, {
      details: { file, tensor: name, dtype: type.torch },
      hint: 'convert it to another type with torch first',
    });
  if (size.length !== stride.length) throw bad(`${size.length} sizes and ${stride.length} strides`);
  if (size.length > LIMITS.RANK)
    throw new MlserError(
      'E_LIMIT',
      `${file}: ${named(name)}: ${size.length} dimensions; RANK is ${LIMITS.RANK}`,
      {
        details: { file, tensor: name, limit: 'RANK' },
      },
    );
  if (tensor.offset < 0n) throw bad(`storage offset ${tensor.offset} is negative`);
  const negative = size.find((dim) => dim < 0n);
  if (negative !== undefined) throw bad(`size ${negative} is negative`);

  const shape = size.map((dim) => whole(dim, 'size'));
  const count = size.reduce((product, dim) => product * dim, 1n);
  const empty = count === 0n;
  // Strides of dimensions with fewer than two positions are never used, whatever they say.
  const used = stride.map((step, i) => (empty || (size[i] ?? 0n) < 2n ? 0n : step));
  const backwards = used.find((step) => step < 0n);
  if (backwards !== undefined) throw bad(`stride ${backwards} is negative`);
  const last = used.reduce((sum, step, i) => sum + step * ((size[i] ?? 1n) - 1n), tensor.offset);
  const start = tensor.source instanceof PyStorage ? tensor.source.start : 0n;
  const room = storageRoom(tensor, width);
  if (!empty && last >= room)
    throw bad(`needs element ${last} of its storage, which has ${room}`, {
      needed: (last + 1n).toString(),
      available: room.toString(),
    });
  const bytes = count * BigInt(width);
  if (bytes > BigInt(LIMITS.VIEW_EXPANSION_BYTES) && count > room)
    throw new MlserError(
      'E_LIMIT',
      `${file}: ${named(name)}: ${bytes} bytes once written out, from a storage of ${room * BigInt(width)}; VIEW_EXPANSION_BYTES is ${LIMITS.VIEW_EXPANSION_BYTES}`,
      { details: { file, tensor: name, limit: 'VIEW_EXPANSION_BYTES', needed: bytes.toString() } },
    );
  const offset = empty ? 0n : (start + tensor.offset) * BigInt(width);
  const strides = used.map((step) => whole(step, 'stride'));
  const { conjugate = false, negate = false } = tensor.flags;
  const bits = (conjugate ? 'c' : '') + (negate ? 'n' : '');
  const identity = `${type.torch}|${offset}|${shape.join()}|${strides.join()}|${bits}`;
  return {
    dtype,
    shape,
    strides,
    byteOffset: whole(offset, 'offset'),
    identity,
  };
}

/** Elements of `width` bytes that the storage (or the part of it that this is a view of) holds. */
function storageRoom({ source }: PyTensor, width: number): bigint {
  if (!(source instanceof PyStorage))
    return source.data instanceof Uint8Array ? BigInt(Math.floor(source.data.byteLength / width)) : 0n;
  return storageBytes(source) / BigInt(width);
}

/** Opens storages once, and checks that each is exactly as long as the pickle says. */
export class TensorBuilder {
  readonly #open = new Map<string, Promise<ByteSource>>();

  constructor(
    readonly storages: Storages,
    readonly file: string,
  ) {}

  /** The tensor as a source of canonical bytes. Nothing is read but the place of its storage. */
  async build(tensor: PyTensor, view: View, name: string, role?: TensorRole): Promise<TensorSource> {
    const storage = await this.#storage(tensor, name);
    const swap = this.storages.swap && tensor.source instanceof PyStorage;
    const { conjugate, negate } = tensor.flags;
    const packed = tensor.type.packed !== undefined;
    const built = stridedTensor(
      // Packed pairs move as the bytes they are; the view is of bytes, the tensor of what they hold.
      { name, dtype: packed ? 'u8' : view.dtype, shape: view.shape },
      storage,
      { byteOffset: view.byteOffset, strides: view.strides },
      {
        ...(swap ? { swap } : {}),
        ...(conjugate ? { conjugate } : {}),
        ...(negate ? { negate } : {}),
        ...(role === undefined ? {} : { role }),
      },
    );
    return packed ? { ...built, info: { name, dtype: view.dtype, shape: unpackedShape(view.shape) } } : built;
  }

  #storage(tensor: PyTensor, name: string): Promise<ByteSource> {
    const { source } = tensor;
    if (!(source instanceof PyStorage))
      return Promise.resolve({
        ...memorySource(source.data instanceof Uint8Array ? source.data : new Uint8Array(), this.file),
        derived: true, // decoded bytes lie nowhere in the file
      });
    let opened = this.#open.get(source.key);
    if (!opened) {
      opened = this.storages.open(source.key, name).then((bytes) => {
        const needed = storageBytes(source);
        if (BigInt(bytes.size) === needed) return bytes;
        throw malformed(
          `${this.file}: ${named(name)}: storage ${JSON.stringify(source.key)} has ${bytes.size} bytes, needed ${needed} (${source.count} × ${source.type?.torch ?? 'bytes'})`,
          {
            file: this.file,
            tensor: name,
            storage: source.key,
            needed: needed.toString(),
            available: bytes.size,
          },
        );
      });
      this.#open.set(source.key, opened);
    }
    return opened;
  }
}

/** Two values a byte, along the last dimension. */
const unpackedShape = (shape: readonly number[]): number[] =>
  shape.length === 0 ? [2] : shape.map((dim, i) => (i === shape.length - 1 ? dim * 2 : dim));
