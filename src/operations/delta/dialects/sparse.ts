import { elementBytes } from '../../../core/dtype.js';
import { type ByteRange, readTensorRange, type TensorSource } from '../../../core/tensor.js';
import { type MlserError, malformed } from '../../../errors.js';

/** How the places of changed elements are stored: numbers, or the gaps between them less one. */
export type IndexForm = 'i32' | 'gap16' | 'gap32';

export interface SparsePart {
  readonly indices: TensorSource;
  readonly form: IndexForm;
  readonly values: TensorSource;
}

interface Batch {
  /** Elements, in ascending order. */
  readonly places: Float64Array;
  /** Number of the first of them among all. */
  readonly first: number;
}

/** The places in order, checked: each in the tensor, none twice. A batch for each chunk that is read. */
async function* placesOf(
  { info, byteLength }: TensorSource,
  { indices, form }: SparsePart,
): AsyncGenerator<Batch> {
  const { name } = info;
  const elements = byteLength / (elementBytes(info.dtype) ?? 1);
  const bad = (what: string): MlserError =>
    malformed(`the delta of tensor ${JSON.stringify(name)} ${what}`, { tensor: name });
  const width = form === 'gap16' ? 2 : 4;
  let last = -1;
  let first = 0;
  for await (const chunk of indices.stream()) {
    const view = new DataView(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    const places = new Float64Array(chunk.byteLength / width);
    for (let i = 0; i < places.length; i++) {
      const at = i * width;
      const place =
        form === 'i32'
          ? view.getInt32(at, true)
          : last + 1 + (form === 'gap16' ? view.getUint16(at, true) : view.getUint32(at, true));
      if (place < 0 || place >= elements) throw bad(`changes element ${place} of ${elements}`);
      if (place <= last) throw bad(`names element ${place} ${place === last ? 'twice' : 'out of order'}`);
      places[i] = place;
      last = place;
    }
    yield { places, first };
    first += places.length;
  }
}

/** The base's bytes with the values at their places. Both are streamed; in a part of the tensor, only what falls into it counts. */
export async function* sparseStream(
  base: TensorSource,
  part: SparsePart,
  range: ByteRange,
): AsyncGenerator<Uint8Array> {
  const width = elementBytes(base.info.dtype) ?? 1;
  const batches = placesOf(base, part);
  let batch: Batch | undefined;
  let values: Uint8Array = new Uint8Array();
  let next = 0;
  let at = range.start;
  /** The next place that counts, as an offset in bytes. */
  const pull = async (): Promise<number> => {
    while (!batch || next === batch.places.length) {
      const step = await batches.next();
      if (step.done) return Number.POSITIVE_INFINITY;
      batch = step.value;
      next = 0;
      values = await readTensorRange(
        part.values,
        batch.first * width,
        (batch.first + batch.places.length) * width,
      );
    }
    return (batch.places[next] ?? 0) * width;
  };
  try {
    let place = await pull();
    for await (const old of base.stream(range)) {
      const chunk = new Uint8Array(old); // it may be a view of what others read too
      const end = at + chunk.byteLength;
      while (place < end) {
        if (place >= at) chunk.set(values.subarray(next * width, (next + 1) * width), place - at);
        next++;
        place = batch && next < batch.places.length ? (batch.places[next] ?? 0) * width : await pull();
      }
      at = end;
      yield chunk;
    }
  } finally {
    await batches.return(undefined);
  }
}
