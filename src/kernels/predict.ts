import type { Prediction } from '../core/prediction.js';
import type { TensorSource } from '../core/tensor.js';
import { recentBytes } from './recent.js';
import { arena } from './wasm.js';

/** What a prediction is computed from, in the order of the kernel: the tensor of the base, then two moments. */
export type PredictionInputs = readonly [base: TensorSource, TensorSource, TensorSource];

/** Computed in one go: the length of a chunk, so that inputs unfold a chunk each. */
const STEP_BYTES = 1 << 20;

/**
 * The tensor as it is predicted, computed as it is streamed. Same inputs, same bytes, on any machine: differences to it
 * are read where others compute it again. `inputs` is asked for when bytes are.
 */
export function predictedTensor(
  { info, byteLength }: Pick<TensorSource, 'info' | 'byteLength'>,
  prediction: Prediction,
  inputs: () => PredictionInputs,
): TensorSource {
  return {
    info,
    byteLength,
    async *stream({ start, end } = { start: 0, end: byteLength }) {
      const sources = inputs();
      for (let from = start; from < end; ) {
        const to = Math.min(end, (Math.floor(from / STEP_BYTES) + 1) * STEP_BYTES);
        // One after the other: what one unfolds on its way down, the next one finds.
        const blocks: Uint8Array[] = [];
        for (const source of sources) blocks.push(await recentBytes(source, from, to));
        yield predict(prediction, blocks);
        from = to;
      }
    },
  };
}

/** Blocks of f32 of the same length, of STEP_BYTES at most. */
export function predict({ kind, scalars }: Prediction, blocks: readonly Uint8Array[]): Uint8Array {
  const here = arena();
  const [target, first, second] = [here.codecArea(3), here.codecArea(4), here.codecArea(5)];
  const [base, one, other] = blocks;
  if (!base || !one || !other) throw new Error('a prediction lacks an input');
  target.bytes.set(base);
  first.bytes.set(one);
  second.bytes.set(other);
  const count = base.byteLength / 4;
  const [a = 0, b = 0, c = 0, d = 0] = scalars;
  if (kind === 'adam-weight') here.kernels.adamWeight(target.at, first.at, second.at, count, a, b, c, d);
  else here.kernels.adamSecond(target.at, first.at, second.at, count, a, b, c);
  return target.bytes.slice(0, base.byteLength);
}
