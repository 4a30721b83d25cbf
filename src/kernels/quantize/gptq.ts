import { setImmediate } from 'node:timers/promises';
import { type AffineSpec, heldScales, type Parameters, parametersOf } from './affine.js';
import { integersOf, spreadOver } from './integers.js';
import { roundHalfEven } from './parameters.js';
import { rowProducts } from './row-products.js';
import { SHARES } from './search.js';

/** Outputs that are worked on together: their errors, f64 over all inputs, stay near the processor. */
const SLAB = 128;
/** Inputs that are worked on together where no block says so. */
const CHUNK = 64;

/** Where the weight of an output and an input lies. */
export interface MatrixLayout {
  readonly outputs: number;
  readonly inputs: number;
  readonly outputStep: number;
  readonly inputStep: number;
}

export interface Compensating {
  readonly weights: Float32Array;
  readonly layout: MatrixLayout;
  /** Blocks along the inputs, or no blocks. */
  readonly spec: AffineSpec;
  /** L of H = Lᵀ·L, row-major (`lowerFactor`). */
  readonly factor: Float64Array;
  /** Of channels or of the tensor. Absent with blocks: these are found on the way. */
  readonly parameters?: Parameters;
  /** Scales of blocks are looked for (`--method mse`) instead of taken from the ends. */
  readonly search: boolean;
  readonly signal?: AbortSignal;
}

export interface Compensated {
  /** Two's complement, one a byte, in the layout of the weights. */
  readonly codes: Uint8Array;
  readonly parameters: Parameters;
  /** Σ (w − q)ᵀ·H·(w − q) over the outputs: the squared error of what the layer gives. */
  readonly squaredError: number;
}

/**
 * GPTQ (Frantar et al. 2022, arXiv 2210.17323): inputs are rounded one after the other, and the weights of those that
 * are still to come make up for the error as well as they can, in the least squares of H = XᵀX.
 *
 * The paper carries the compensated weights along, with Cholesky's factor of the inverse of H. Here is the same without
 * an inverse: with d = w − q of the inputs before i, what is best for the others lets Lᵀ's part of them vanish, so
 * input i is rounded from w_i + Σ_{j<i} L_ij·d_j / L_ii. The sums over earlier chunks are a product of matrices. A block
 * gets its scale from what its weights would be if nothing more was rounded. Reads K²·N / 2 products; memory besides
 * the weights and codes: SLAB rows of f64.
 */
export async function compensated(request: Compensating): Promise<Compensated> {
  const { layout, spec } = request;
  const { outputs, inputs } = layout;
  const blocks = spec.block === undefined ? 1 : Math.ceil(inputs / spec.block);
  const { scales, zeros } = request.parameters ?? {
    scales: new Float32Array(outputs * blocks),
    zeros: new Int32Array(outputs * blocks),
  };
  const found: Parameters = { scales: heldScales(spec.scaleType ?? 'f32', scales), zeros };
  const codes = new Uint8Array(outputs * inputs);
  const slab = new Slab(request, found, codes);
  let squaredError = 0;
  for (let first = 0; first < outputs; first += SLAB) {
    request.signal?.throwIfAborted();
    squaredError += slab.round(first, Math.min(SLAB, outputs - first));
    await setImmediate();
  }
  return { codes, parameters: found, squaredError };
}

class Slab {
  readonly #request: Compensating;
  readonly #found: Parameters;
  readonly #codes: Uint8Array;
  /** Weights, and weights minus what they count as: SLAB × inputs. */
  readonly #weights: Float64Array;
  readonly #errors: Float64Array;
  /** Of the chunk at hand: outputs × its inputs. */
  #sums: Float64Array = new Float64Array(0);
  readonly #width: number;
  readonly #low: number;
  readonly #high: number;

  constructor(request: Compensating, found: Parameters, codes: Uint8Array) {
    const { layout, spec } = request;
    this.#request = request;
    this.#found = found;
    this.#codes = codes;
    this.#weights = new Float64Array(SLAB * layout.inputs);
    this.#errors = new Float64Array(SLAB * layout.inputs);
    this.#width = spec.block ?? CHUNK;
    const range =
      spec.rule === 'nbits'
        ? integersOf(spec.dtype)
        : spreadOver(spec.dtype, spec.symmetric, spec.reduceRange);
    this.#low = range.low;
    this.#high = range.high;
  }

  /** Outputs [first, first + count); their squared error. */
  round(first: number, count: number): number {
    const { weights, layout } = this.#request;
    const { inputs, outputStep, inputStep } = layout;
    for (let n = 0; n < count; n++)
      for (let k = 0, at = (first + n) * outputStep; k < inputs; k++, at += inputStep)
        this.#weights[n * inputs + k] = weights[at] ?? 0;
    let error = 0;
    for (let start = 0, block = 0; start < inputs; start += this.#width, block++) {
      const end = Math.min(inputs, start + this.#width);
      this.#sumUp(start, end, count);
      if (!this.#request.parameters) this.#fitBlock(start, end, first, count, block);
      for (let n = 0; n < count; n++) error += this.#roundRow(start, end, n, first + n, block);
    }
    return error;
  }

  /** Σ L_ij·d_j over all j before the chunk. */
  #sumUp(start: number, end: number, count: number): void {
    const { factor, layout } = this.#request;
    const { inputs } = layout;
    this.#sums = rowProducts(
      { values: this.#errors, first: 0, step: inputs, count },
      { values: factor, first: start * inputs, step: inputs, count: end - start },
      start,
    );
  }

  /** Scales from what the weights of the block would be if nothing in it was rounded. */
  #fitBlock(start: number, end: number, first: number, count: number, block: number): void {
    const { factor, layout, spec, search } = this.#request;
    const { inputs } = layout;
    const length = end - start;
    const wanted = new Float64Array(count * length);
    const min = new Float32Array(count);
    const max = new Float32Array(count);
    const free = new Float64Array(length);
    for (let n = 0; n < count; n++)
      for (let i = 0; i < length; i++) {
        const at = (start + i) * inputs + start;
        let sum = this.#sums[n * length + i] ?? 0;
        for (let j = 0; j < i; j++) sum += (factor[at + j] ?? 0) * (free[j] ?? 0);
        const left = -sum / (factor[at + i] ?? 1);
        free[i] = left;
        const value = (this.#weights[n * inputs + start + i] ?? 0) - left;
        wanted[n * length + i] = value;
        min[n] = Math.min(min[n] ?? 0, value);
        max[n] = Math.max(max[n] ?? 0, value);
      }
    const plain = parametersOf({ min, max, finite: true }, spec);
    const type = spec.scaleType ?? 'f32';
    const scales = heldScales(type, plain.scales);
    if (search) this.#search(wanted, length, plain, scales);
    for (let n = 0; n < count; n++) {
      const group = this.#groupOf(first + n, block);
      this.#found.scales[group] = scales[n] ?? 0;
      this.#found.zeros[group] = plain.zeros[n] ?? 0;
    }
  }

  /** The share of each scale with the least squared error. */
  #search(wanted: Float64Array, length: number, plain: Parameters, scales: Float32Array): void {
    const least = new Float64Array(scales.length).fill(Number.POSITIVE_INFINITY);
    for (const share of SHARES) {
      const tried = heldScales(
        this.#request.spec.scaleType ?? 'f32',
        plain.scales.map((s) => s * share),
      );
      tried.forEach((scale, n) => {
        const zero = plain.zeros[n] ?? 0;
        let error = 0;
        for (let i = n * length; i < (n + 1) * length; i++) {
          const value = wanted[i] ?? 0;
          error += (value - (this.#integer(value, scale, zero) - zero) * scale) ** 2;
        }
        if (error >= (least[n] ?? 0)) return;
        least[n] = error;
        scales[n] = scale;
      });
    }
  }

  /** Rounds a chunk of one output. */
  #roundRow(start: number, end: number, n: number, output: number, block: number): number {
    const { factor, layout, spec } = this.#request;
    const { inputs, outputStep, inputStep } = layout;
    const errors = this.#errors;
    const group = this.#groupOf(output, spec.block === undefined ? 0 : block);
    const scale = this.#found.scales[group] ?? 0;
    const zero = this.#found.zeros[group] ?? 0;
    const row = n * inputs;
    let squares = 0;
    for (let i = start; i < end; i++) {
      const at = i * inputs;
      let sum = this.#sums[n * (end - start) + i - start] ?? 0;
      for (let j = start; j < i; j++) sum += (factor[at + j] ?? 0) * (errors[row + j] ?? 0);
      const pivot = factor[at + i] ?? 1;
      const weight = this.#weights[row + i] ?? 0;
      const wanted = weight + sum / pivot;
      const q = this.#integer(wanted, scale, zero);
      const value = Math.fround((q - zero) * scale);
      errors[row + i] = weight - value;
      squares += ((wanted - value) * pivot) ** 2;
      this.#codes[output * outputStep + i * inputStep] = q & 0xff;
    }
    return squares;
  }

  #integer(value: number, scale: number, zero: number): number {
    if (scale === 0) return zero;
    const q = roundHalfEven(value / scale) + zero;
    return q < this.#low ? this.#low : q > this.#high ? this.#high : q;
  }

  /** Scales of blocks lie as the weights do, those of channels in their order. */
  #groupOf(output: number, block: number): number {
    const { layout, spec, parameters } = this.#request;
    if (spec.block !== undefined) {
      const blocks = Math.ceil(layout.inputs / spec.block);
      return layout.outputStep === 1 ? block * layout.outputs + output : output * blocks + block;
    }
    return parameters?.scales.length === 1 ? 0 : output;
  }
}
