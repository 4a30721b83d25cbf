import { type Model, tensorMap } from '../../core/model.js';
import type { Prediction } from '../../core/prediction.js';
import { readTensorRange, type TensorSource } from '../../core/tensor.js';
import { ownBenches } from '../../kernels/codecs/bench.js';
import { encodeChunk } from '../../kernels/codecs/choose.js';
import { loadCodecs } from '../../kernels/codecs/index.js';
import { predict } from '../../kernels/predict.js';

/** Bytes of a tensor on which predictions are tried. */
const SAMPLE_BYTES = 64 << 10;
/** A prediction costs its record. It must save that, and this share of what is stored without it. */
const RECORD_BYTES = 160;
const WORTH = 0.2;
/** Tries predictions on a piece from the middle of a tensor. */
export class Trial {
  readonly #base: ReadonlyMap<string, TensorSource>;
  readonly #next: ReadonlyMap<string, TensorSource>;

  constructor(base: Model, next: Model) {
    this.#base = tensorMap(base);
    this.#next = tensorMap(next);
  }

  shapeOf(name: string): string {
    return String(this.#next.get(name)?.info.shape);
  }

  /** Bytes of the sample that a prediction saves; 0 where it is not worth its record. */
  async saved(name: string, prediction: Prediction): Promise<number> {
    const next = this.#next.get(name);
    const base = this.#base.get(name);
    const { first } = prediction;
    const inputs =
      prediction.kind === 'adam-weight'
        ? [base, this.#next.get(first), this.#next.get(prediction.second)]
        : [base, this.#base.get(first), this.#next.get(first)];
    if (!next || next.byteLength === 0) return 0;
    const blocks: Uint8Array[] = [];
    for (const input of [next, ...inputs]) {
      if (input?.info.dtype !== 'f32' || input.byteLength !== next.byteLength) return 0;
      blocks.push(await sampleOf(input));
    }
    const [wanted, ...given] = blocks;
    const [plain] = given;
    if (!wanted || !plain) return 0;
    const without = await codedBytes(wanted, plain);
    const saved = without - (await codedBytes(wanted, predict(prediction, given)));
    const all = (saved * next.byteLength) / wanted.byteLength;
    return saved > without * WORTH && all > RECORD_BYTES ? saved : 0;
  }
}

function sampleOf(tensor: TensorSource): Promise<Uint8Array> {
  const length = Math.min(SAMPLE_BYTES, tensor.byteLength);
  const start = Math.floor((tensor.byteLength - length) / 8) * 4;
  return readTensorRange(tensor, start, start + length);
}

/** What the values take as differences to others. */
async function codedBytes(values: Uint8Array, to: Uint8Array): Promise<number> {
  const codecs = await loadCodecs();
  const [bench] = ownBenches();
  bench.raw.bytes.set(values);
  bench.base.bytes.set(to);
  return encodeChunk(bench, 'f32', values.byteLength, true, codecs).bytes.byteLength;
}
