import { elementBytes } from '../../core/dtype.js';
import { type ByteRange, readTensor, type TensorSource } from '../../core/tensor.js';
import { rawBytes, rawContent } from './data-span.js';
import { onnxTypeOf } from './dtypes.js';
import { create, type SparseTensorProto, type TensorProto } from './schema.js';

/** Bytes of a position (int64, linear index). */
export const POSITION_BYTES = 8;

/** What has fewer bytes than this stays in the message. */
const SMALL = 1024;

/**
 * A dense tensor as SparseTensorProto (onnx.proto): values whose bits are not all zero and their linear positions.
 * `count`: how many there are, since lengths are written before the bytes. Both parts are found while they are streamed.
 */
export async function sparseParts(
  name: string | undefined,
  tensor: TensorSource,
  count: number,
): Promise<SparseTensorProto> {
  const { dtype, shape } = tensor.info;
  const width = elementBytes(dtype) ?? 1;
  const part = async (
    dataType: number | undefined,
    bytes: number,
    make: (width: number, chunk: Uint8Array, first: number) => Uint8Array,
  ): Promise<TensorProto> => {
    const content: TensorSource = {
      info: { name: tensor.info.name, dtype: 'u8', shape: [bytes] },
      byteLength: bytes,
      stream: (range = { start: 0, end: bytes }) => within(elements(tensor, width, make), range),
    };
    const data = bytes < SMALL ? rawBytes(await readTensor(content)) : rawContent(content);
    return create('TensorProto', {
      dims: [BigInt(count)],
      ...(dataType === undefined ? {} : { dataType }),
      data: [data],
    });
  };
  const values = await part(onnxTypeOf(dtype)?.id, count * width, valuesIn);
  const indices = await part(onnxTypeOf('i64')?.id, count * POSITION_BYTES, positionsIn);
  return create('SparseTensorProto', {
    values: { ...values, ...(name === undefined ? {} : { name }) },
    indices,
    dims: shape.map(BigInt),
  });
}

const isSet = (chunk: Uint8Array, at: number, width: number): boolean => {
  for (let i = at; i < at + width; i++) if (chunk[i] !== 0) return true;
  return false;
};

/** The elements of a piece that are not zero, one behind the other. */
function valuesIn(width: number, chunk: Uint8Array): Uint8Array {
  const out = new Uint8Array(chunk.length);
  let end = 0;
  for (let at = 0; at < chunk.length; at += width) {
    if (!isSet(chunk, at, width)) continue;
    for (let i = 0; i < width; i++) out[end + i] = chunk[at + i] ?? 0;
    end += width;
  }
  return out.subarray(0, end);
}

/** Their positions, where the piece begins with element `first`. */
function positionsIn(width: number, chunk: Uint8Array, first: number): Uint8Array {
  const out = new BigInt64Array(chunk.length / width);
  let end = 0;
  for (let at = 0; at < chunk.length; at += width)
    if (isSet(chunk, at, width)) out[end++] = BigInt(first + at / width);
  return new Uint8Array(out.buffer, 0, end * POSITION_BYTES);
}

/** What `make` finds in pieces of whole elements. */
async function* elements(
  tensor: TensorSource,
  width: number,
  make: (width: number, chunk: Uint8Array, first: number) => Uint8Array,
): AsyncGenerator<Uint8Array> {
  let kept = new Uint8Array(0);
  let first = 0;
  for await (const chunk of tensor.stream()) {
    const bytes = kept.length === 0 ? chunk : Buffer.concat([kept, chunk]);
    const whole = Math.floor(bytes.length / width) * width;
    kept = bytes.slice(whole);
    yield make(width, bytes.subarray(0, whole), first);
    first += whole / width;
  }
}

/** A range of what is streamed. */
async function* within(chunks: AsyncIterable<Uint8Array>, range: ByteRange): AsyncGenerator<Uint8Array> {
  let at = 0;
  for await (const chunk of chunks) {
    const part = chunk.subarray(Math.max(0, range.start - at), Math.max(0, range.end - at));
    at += chunk.length;
    if (part.length > 0) yield part;
    if (at >= range.end) return;
  }
}
