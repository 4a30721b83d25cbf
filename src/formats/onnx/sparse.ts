import { elementBytes, elementCount, tensorBytes } from '../../core/dtype.js';
import { LIMITS } from '../../core/limits.js';
import { readTensorRange, type TensorSource } from '../../core/tensor.js';
import { MlserError } from '../../errors.js';
import { CHUNK_BYTES } from '../../io/source.js';
import type { ExternalData } from './external-data.js';
import { invalid } from './invalid.js';
import { create, type SparseTensorProto } from './schema.js';
import { openTensor } from './tensor-data.js';
import { dimensions } from './tensor-facts.js';

/** Indices up to this size are checked when the model is opened; more are checked as they are used. */
const CHECK_AT_ONCE_BYTES = 4 * 1024 * 1024;

/**
 * A sparse tensor (onnx.proto, SparseTensorProto) in its dense form: zeros with the values at their places.
 * Indices are int64, [NNZ] linear or [NNZ, rank], ascending, without duplicates and inside the dense shape.
 */
export async function openSparse(
  sparse: SparseTensorProto,
  name: string,
  file: string,
  external: ExternalData,
): Promise<TensorSource> {
  const where = { file, tensor: name };
  const label = `${file}: sparse tensor ${JSON.stringify(name)} [${sparse.dims.join(', ')}]`;
  const shape = dimensions(sparse.dims, label, file);
  if (!sparse.values) throw invalid(`${label} has no values`, where);
  const values = await openTensor(sparse.values, name, file, external);
  const [nnz] = values.info.shape;
  if (values.info.shape.length !== 1 || nnz === undefined)
    throw invalid(`${label}: values have ${values.info.shape.length} dimensions, not 1`, where);
  if (!sparse.indices && nnz > 0) throw invalid(`${label} has no indices`, where);
  const indices = await openTensor(
    sparse.indices ?? create('TensorProto', { dims: [0n], dataType: 7 }),
    `${name} (indices)`,
    file,
    external,
  );
  const { dtype } = values.info;
  const width = elementBytes(dtype);
  if (width === undefined)
    throw new MlserError('E_UNSUPPORTED', `${label}: sparse tensors of ${dtype} are not read`, {
      details: where,
      hint: 'store the tensor densely',
    });
  if (indices.info.dtype !== 'i64')
    throw invalid(`${label}: indices are ${indices.info.dtype}, not i64`, where);
  const rank = shape.length;
  const [rows, columns] = indices.info.shape;
  const linear = indices.info.shape.length === 1;
  if (!linear && (indices.info.shape.length !== 2 || columns !== rank))
    throw invalid(`${label}: indices of shape [${indices.info.shape.join(', ')}]`, where);
  if (rows !== nnz) throw invalid(`${label}: ${nnz} values but ${rows} indices`, where);
  const byteLength = tensorBytes(dtype, shape, label);
  if (byteLength > LIMITS.VIEW_EXPANSION_BYTES)
    throw new MlserError(
      'E_LIMIT',
      `${label}: the dense form has ${byteLength} bytes, at most ${LIMITS.VIEW_EXPANSION_BYTES} (VIEW_EXPANSION_BYTES)`,
      { details: { ...where, needed: byteLength, limit: 'VIEW_EXPANSION_BYTES' }, hint: 'keep it sparse' },
    );
  const places = new Places(indices, linear ? undefined : shape, elementCount(shape, label), label, where);
  if (indices.byteLength <= CHECK_AT_ONCE_BYTES) for await (const _ of places.chunks());
  return {
    info: { name, dtype, shape },
    byteLength,
    stream: (range = { start: 0, end: byteLength }) => densify(values, places, width, range),
  };
}

/** The linear index of every value, in order, checked. */
class Places {
  readonly #indices: TensorSource;
  readonly #shape: readonly number[] | undefined;
  readonly #size: number;
  readonly #label: string;
  readonly #where: { readonly file: string; readonly tensor: string };

  constructor(
    indices: TensorSource,
    shape: readonly number[] | undefined,
    size: number,
    label: string,
    where: { readonly file: string; readonly tensor: string },
  ) {
    this.#indices = indices;
    this.#shape = shape;
    this.#size = size;
    this.#label = label;
    this.#where = where;
  }

  async *chunks(): AsyncGenerator<readonly number[]> {
    const rank = this.#shape?.length ?? 1;
    let last = -1;
    let seen = 0;
    // A scalar in coordinates: every index is an empty row.
    if (rank === 0) {
      const [nnz = 0] = this.#indices.info.shape;
      if (nnz > 1) throw this.#bad(1, 'is a duplicate');
      if (nnz === 1) yield [0];
      return;
    }
    let row: bigint[] = [];
    for await (const chunk of this.#indices.stream()) {
      const view = new DataView(chunk.buffer, chunk.byteOffset, chunk.byteLength);
      const out: number[] = [];
      for (let at = 0; at < chunk.byteLength; at += 8) {
        row.push(view.getBigInt64(at, true));
        if (row.length < rank) continue;
        const place = this.#place(row, seen);
        if (place <= last)
          throw this.#bad(seen, place === last ? 'is a duplicate' : 'is not in ascending order');
        out.push(place);
        last = place;
        seen++;
        row = [];
      }
      yield out;
    }
  }

  #place(row: readonly bigint[], at: number): number {
    let place = 0;
    for (const [axis, index] of row.entries()) {
      const limit = this.#shape ? (this.#shape[axis] ?? 0) : this.#size;
      if (index < 0n || index >= BigInt(limit)) throw this.#bad(at, `is ${index}, outside 0 to ${limit - 1}`);
      place = place * (this.#shape ? limit : 1) + Number(index);
    }
    return place;
  }

  #bad(at: number, what: string): MlserError {
    return invalid(`${this.#label}: index ${at} ${what}`, { ...this.#where, index: at });
  }
}

async function* densify(
  values: TensorSource,
  places: Places,
  width: number,
  range: { readonly start: number; readonly end: number },
): AsyncGenerator<Uint8Array> {
  let at = range.start;
  let chunk = new Uint8Array(Math.min(CHUNK_BYTES, range.end - at));
  let read = 0;
  for await (const list of places.chunks()) {
    const bytes = await readTensorRange(values, read * width, (read + list.length) * width);
    read += list.length;
    for (const [i, place] of list.entries()) {
      const offset = place * width;
      if (offset < range.start) continue;
      if (offset >= range.end) break;
      while (offset >= at + chunk.byteLength) {
        yield chunk;
        at += chunk.byteLength;
        chunk = new Uint8Array(Math.min(CHUNK_BYTES, range.end - at));
      }
      chunk.set(bytes.subarray(i * width, (i + 1) * width), offset - at);
    }
  }
  while (at < range.end) {
    yield chunk;
    at += chunk.byteLength;
    chunk = new Uint8Array(Math.min(CHUNK_BYTES, range.end - at));
  }
}
