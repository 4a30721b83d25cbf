import { type Crc32Check, crcChecked } from '../io/crc32.js';
import { type ByteSource, locate, readChunks } from '../io/source.js';
import { type DType, tensorBytes } from './dtype.js';
import type { Recipe } from './recipe.js';

export interface TensorInfo {
  readonly name: string;
  readonly dtype: DType;
  /** Row-major, outermost first. [] is a scalar. */
  readonly shape: readonly number[];
}

/** What a tensor is for, where the file says so. */
export type TensorRole = 'parameter' | 'buffer' | 'optimizer' | 'constant';

export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

/**
 * A tensor whose bytes have not been read. Canonical bytes: little-endian, row-major, contiguous.
 * Sizes are known before any I/O.
 */
export interface TensorSource {
  readonly info: TensorInfo;
  readonly byteLength: number;
  readonly role?: TensorRole;
  /**
   * Where the canonical bytes lie, if they lie contiguously in one file of the model:
   * lets writers copy ranges and ONNX point at them. `file` is a name inside the model's folder.
   */
  readonly location?: { readonly file: string; readonly offset: number };
  /** How a worker can pull the bytes by itself; absent if it cannot. */
  readonly recipe?: Recipe;
  /** SHA-256 of the canonical bytes as the file records it (native checkpoint); not yet verified. */
  readonly recordedSha256?: string;
  /**
   * The canonical bytes (or a part, on element boundaries) in order. Restartable. Chunks are at most a few MiB,
   * end on element or block boundaries and belong to the caller.
   */
  stream(range?: ByteRange): AsyncIterable<Uint8Array>;
}

/**
 * A tensor whose canonical bytes are a contiguous range of a file. Windows (`sliceSource`, stored zip members) are
 * resolved to the file they lie in. The CRC of a source is checked when the tensor is all of it; `crc32` says it for
 * a tensor that ends where its source ends, with the sum of what lies before as seed.
 */
export function rangeTensor(
  info: TensorInfo,
  source: ByteSource,
  offset: number,
  extra: { role?: TensorRole; byteLength?: number; recordedSha256?: string; crc32?: Crc32Check } = {},
): TensorSource {
  const byteLength = extra.byteLength ?? tensorBytes(info.dtype, info.shape, info.name);
  const place = locate(source, offset);
  const whole = offset === 0 && byteLength === source.size && source.crc32 !== undefined;
  const check = extra.crc32 ?? (whole ? { seed: 0, expect: source.crc32 } : undefined);
  const { path, derived, name: file } = place.source;
  const stream = streamOf(info, source, { offset, byteLength, check, file });
  // Most tensors, and a model may have a million of them: few objects, of one shape.
  if (path !== undefined && !derived && extra.role === undefined && extra.recordedSha256 === undefined)
    return {
      info,
      byteLength,
      location: { file, offset: place.offset },
      recipe: recipeOf(path, place.offset, byteLength, check),
      stream,
    };
  return {
    info,
    byteLength,
    ...(extra.role === undefined ? {} : { role: extra.role }),
    ...(extra.recordedSha256 === undefined ? {} : { recordedSha256: extra.recordedSha256 }),
    ...(derived ? {} : { location: { file, offset: place.offset } }),
    ...(path === undefined ? {} : { recipe: recipeOf(path, place.offset, byteLength, check) }),
    stream,
  };
}

const NO_OPS: Recipe['ops'] = [];

const recipeOf = (path: string, offset: number, length: number, check: Crc32Check | undefined): Recipe =>
  check === undefined
    ? { path, offset, length, ops: NO_OPS }
    : { path, offset, length, ops: NO_OPS, crc32: check };

/** Apart from `rangeTensor`, whose every variable each closure would keep. */
function streamOf(
  info: TensorInfo,
  source: ByteSource,
  where: { offset: number; byteLength: number; check: Crc32Check | undefined; file: string },
): TensorSource['stream'] {
  const { offset, byteLength, check, file } = where;
  if (check === undefined)
    return (range) => readChunks(source, offset + (range?.start ?? 0), offset + (range?.end ?? byteLength));
  return (range = { start: 0, end: byteLength }) => {
    const chunks = readChunks(source, offset + range.start, offset + range.end);
    return range.start === 0 && range.end === byteLength
      ? crcChecked(chunks, check, `tensor ${JSON.stringify(info.name)}`, file)
      : chunks;
  };
}

/** A small tensor in memory. */
export function memoryTensor(info: TensorInfo, bytes: Uint8Array, role?: TensorRole): TensorSource {
  return {
    info,
    byteLength: bytes.byteLength,
    ...(role === undefined ? {} : { role }),
    async *stream(range = { start: 0, end: bytes.byteLength }) {
      yield new Uint8Array(bytes.subarray(range.start, range.end)); // a copy, of a Buffer too
    },
  };
}

/** The same bytes under another name. */
export const renamed = (tensor: TensorSource, name: string): TensorSource => ({
  ...tensor,
  info: { ...tensor.info, name },
});

/** All bytes of a small tensor. Only for tensors that are known to be small. */
export const readTensor = async (tensor: TensorSource): Promise<Uint8Array> =>
  joined(tensor.stream(), tensor.byteLength);

/** Bytes [start, end) of a tensor, a chunk or so. */
export const readTensorRange = async (
  tensor: TensorSource,
  start: number,
  end: number,
): Promise<Uint8Array> => joined(tensor.stream({ start, end }), end - start);

async function joined(chunks: AsyncIterable<Uint8Array>, length: number): Promise<Uint8Array> {
  const all = new Uint8Array(length);
  let at = 0;
  for await (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.byteLength;
  }
  return all;
}
