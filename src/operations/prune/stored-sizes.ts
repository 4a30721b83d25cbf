import type { FormatDescriptor, StoredTensor } from '../../core/format.js';
import type { TensorSource } from '../../core/tensor.js';

/** How the output stores what was pruned. */
export interface StoredSize {
  /** Undefined: only the file as a whole has a size. */
  readonly bytes: number | undefined;
  /** Why it is no smaller than plain numbers. */
  readonly reason?: string;
}

/** Why zeros take as much room as other numbers in a format; undefined where they need not. */
export function denseReason({ id, title }: FormatDescriptor, compress: boolean): string | undefined {
  if (id === 'mlck')
    return compress ? undefined : 'it was to be stored uncompressed: leave --no-compress out';
  if (id === 'npz')
    return compress ? undefined : 'npz stores zeros like any other value: add --compress, or write .mlck';
  if (id === 'onnx')
    return 'ONNX initializers are stored dense: a sparse_initializer has 8 bytes of position for every value that is left, and the runtime unpacks it before it computes; write .mlck to store or send it';
  return `${title} stores zeros like any other value: write .mlck, which stores positions and what is left`;
}

/** By name; `told`: what the writer said of its tensors, where it has a choice. */
export function storedSizes(
  tensors: readonly TensorSource[],
  told: readonly StoredTensor[],
  reason: string | undefined,
): ReadonlyMap<string, StoredSize> {
  const known = new Map(told.map((one) => [one.name, one]));
  return new Map(
    tensors.map(({ info: { name }, byteLength }) => {
      if (reason !== undefined) return [name, { bytes: byteLength, reason }];
      const stored = known.get(name);
      return [name, stored ? codedSize(stored) : { bytes: undefined }];
    }),
  );
}

function codedSize({ kind, codecs, byteLength }: StoredTensor): StoredSize {
  if (kind !== 'stored') return { bytes: 0 };
  const bytes = [...codecs.values()].reduce((sum, { bytesOut }) => sum + bytesOut, 0);
  if (bytes < byteLength) return { bytes };
  return { bytes, reason: 'it is too small, or has too few zeros, for positions to pay' };
}
