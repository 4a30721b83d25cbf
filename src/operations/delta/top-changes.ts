import { elementCount } from '../../core/dtype.js';
import type { WorkContext } from '../../core/format.js';
import { type ByteRange, readTensorRange, type TensorSource } from '../../core/tensor.js';
import { chunkBytesFor } from '../../formats/mlck/layout.js';
import { decodeElements } from '../../kernels/elements.js';
import { interrupted } from '../../kernels/messages.js';

/**
 * The base with the largest changes of a tensor, exactly as they are: `share` of its elements, ties by position. The
 * bound is found in two passes over the bits of |difference| as f32, so nothing but two histograms is kept.
 */
export async function topChanges(
  tensor: TensorSource,
  base: TensorSource,
  share: number,
  context: WorkContext,
): Promise<TensorSource> {
  const { info, byteLength, role } = tensor;
  const kept = Math.ceil(elementCount(info.shape, info.name) * share);
  const high = await histogram(tensor, base, (bits) => bits >>> 16, context);
  const coarse = bound(high, kept);
  const low = await histogram(
    tensor,
    base,
    (bits) => (bits >>> 16 === coarse.bin ? bits & 0xffff : -1),
    context,
  );
  const fine = bound(low, kept - coarse.above);
  const threshold = coarse.bin * 65536 + fine.bin;
  const ties = kept - coarse.above - fine.above;
  return {
    info,
    byteLength,
    ...(role === undefined ? {} : { role }),
    async *stream({ start, end }: ByteRange = { start: 0, end: byteLength }) {
      let left = ties;
      // From the front, as ties are counted from there.
      for await (const { from, next, before, bits } of differences(tensor, base)) {
        if (from >= end) return;
        const width = next.byteLength / bits.length;
        const out = before.slice();
        bits.forEach((value, i) => {
          if (value < threshold || value === 0 || (value === threshold && left-- <= 0)) return;
          out.set(next.subarray(i * width, (i + 1) * width), i * width);
        });
        if (from + out.byteLength > start) yield out.subarray(Math.max(0, start - from), end - from);
      }
    },
  };
}

interface Differences {
  readonly from: number;
  readonly next: Uint8Array;
  readonly before: Uint8Array;
  /** |difference| as the bits of an f32: they sort as it does. Not finite: the largest. */
  readonly bits: Uint32Array;
}

async function* differences(tensor: TensorSource, base: TensorSource): AsyncGenerator<Differences> {
  const { dtype } = tensor.info;
  const step = chunkBytesFor(dtype);
  for (let from = 0; from < tensor.byteLength; from += step) {
    const to = Math.min(tensor.byteLength, from + step);
    const next = await readTensorRange(tensor, from, to);
    const before = await readTensorRange(base, from, to);
    const count = next.byteLength / (dtype === 'f32' ? 4 : 2);
    const [a, b] = [new Float64Array(count), new Float64Array(count)];
    decodeElements(dtype, next, count, a);
    decodeElements(dtype, before, count, b);
    const values = new Float32Array(count);
    for (let i = 0; i < count; i++) {
      const [to, from] = [a[i] ?? 0, b[i] ?? 0];
      const difference = Object.is(to, from) ? 0 : Math.abs(to - from); // not NaN - NaN: nothing changed there
      values[i] = difference <= 3e38 ? difference : 3e38;
    }
    yield { from, next, before, bits: new Uint32Array(values.buffer) };
  }
}

async function histogram(
  tensor: TensorSource,
  base: TensorSource,
  bin: (bits: number) => number,
  context: WorkContext,
): Promise<Float64Array> {
  const counts = new Float64Array(65536);
  for await (const { bits } of differences(tensor, base)) {
    if (context.signal?.aborted) throw interrupted();
    for (const value of bits) {
      const at = bin(value);
      if (at >= 0) counts[at] = (counts[at] ?? 0) + 1;
    }
  }
  return counts;
}

/** The bin in which the `wanted`-th largest lies, and how many lie above it. */
function bound(counts: Float64Array, wanted: number): { readonly bin: number; readonly above: number } {
  let above = 0;
  for (let bin = counts.length - 1; bin > 0; bin--) {
    const here = counts[bin] ?? 0;
    if (above + here >= wanted) return { bin, above };
    above += here;
  }
  return { bin: 0, above };
}
