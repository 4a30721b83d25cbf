import { elementBytes, elementCount } from '../../core/dtype.js';
import type { FormatDescriptor, StoredTensor } from '../../core/format.js';
import type { TensorSource } from '../../core/tensor.js';
import { sparseBytes, sparsePays } from './sparse-initializers.js';

/** How the output stores a tensor that was pruned. */
export interface StoredSize {
  /** Undefined: only the file as a whole has a size, or it is not known before it is written. */
  readonly bytes: number | undefined;
  /** Why it is no smaller than plain numbers. */
  readonly reason?: string;
}

export interface Storage {
  readonly target: FormatDescriptor;
  readonly compress: boolean;
  /** What the writer said of its tensors, where it has a choice. */
  readonly told: readonly StoredTensor[];
  /** Values that are left in sparse initializers, by name. */
  readonly sparse: ReadonlyMap<string, number>;
  /** ONNX: the weights lie beside the graph. */
  readonly external: boolean;
}

/** By name. */
export function storedSizes(
  weights: readonly { readonly tensor: TensorSource; readonly zeros: number }[],
  storage: Storage,
): ReadonlyMap<string, StoredSize> {
  const told = new Map(storage.told.map((one) => [one.name, one]));
  return new Map(
    weights.map(({ tensor, zeros }) => {
      const { name, dtype } = tensor.info;
      const left = storage.sparse.get(name);
      if (left !== undefined) return [name, { bytes: sparseBytes(dtype, left) }];
      const reason = denseReason(tensor, zeros, storage);
      if (reason !== undefined) return [name, { bytes: tensor.byteLength, reason }];
      const stored = told.get(name);
      return [name, stored ? codedSize(stored) : { bytes: undefined }];
    }),
  );
}

/** Why zeros take as much room as other numbers; undefined where they need not. */
function denseReason(
  { info: { dtype, shape, name }, byteLength }: TensorSource,
  zeros: number,
  { target: { id, title }, compress, external }: Storage,
): string | undefined {
  if (id === 'mlck') return compress ? undefined : 'it was to be stored as it is: leave --no-compress out';
  if (id === 'npz')
    return compress ? undefined : 'npz stores zeros like any other value: add --compress, or write .mlck';
  if (id !== 'onnx')
    return `${title} stores zeros like any other value: write .mlck, which stores positions and what is left`;
  if (external) return 'weights beside an ONNX graph are stored dense';
  if (sparseBytes(dtype, elementCount(shape, name) - zeros) < byteLength)
    return 'only constants of the main graph become sparse initializers, from IR version 6 on and in models of up to 256 MiB';
  const pays = Math.ceil(sparsePays(dtype) * 1000) / 10;
  return `a sparse_initializer has 8 bytes of position beside the ${elementBytes(dtype)} of every value: it pays above ${pays} % zeros; write .mlck to store or send the model`;
}

function codedSize({ kind, codecs, byteLength }: StoredTensor): StoredSize {
  if (kind !== 'stored') return { bytes: 0 };
  const bytes = [...codecs.values()].reduce((sum, { bytesOut }) => sum + bytesOut, 0);
  if (bytes < byteLength) return { bytes };
  return { bytes, reason: 'it is too small, or has too few zeros, for positions to pay' };
}
