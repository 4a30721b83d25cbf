import { type DType, dtypeFacts } from '../core/dtype.js';
import { decodeElements, isNumeric } from './elements.js';
import { Pipeline, spanBytes } from './pipeline.js';
import { type BlockDifference, blockDifference } from './reference/compare.js';
import { scratchDoubles } from './scratch.js';
import { viewAs } from './views.js';
import type { Arena, Slot } from './wasm.js';

/** The comparison of a run of block pairs. Blocks that are equal byte for byte are left out of the sums. */
export interface DifferencePart extends BlockDifference {
  /** Whether a block was left out, so that its sums are still to be had. */
  readonly skipped: boolean;
}

const NOTHING: DifferencePart = {
  ...{ changed: 0, broken: 0, maxAbs: 0, maxRel: 0, needed: 0, error: 0, aa: 0, bb: 0 },
  skipped: false,
};

/** `a` followed by `b`; done in order of position. */
export function mergeDifferences(a: DifferencePart, b: DifferencePart): DifferencePart {
  return {
    changed: a.changed + b.changed,
    broken: a.broken + b.broken,
    maxAbs: Math.max(a.maxAbs, b.maxAbs),
    maxRel: Math.max(a.maxRel, b.maxRel),
    needed: Math.max(a.needed, b.needed),
    error: a.error + b.error,
    aa: a.aa + b.aa,
    bb: a.bb + b.bb,
    skipped: a.skipped || b.skipped,
  };
}

export const mergeAllDifferences = (parts: readonly DifferencePart[]): DifferencePart =>
  parts.reduce(mergeDifferences, NOTHING);

/** How the elements of a type are compared: as numbers of a type (complex ones by component), or as bytes. */
export function comparedAs(dtype: DType): { readonly dtype: DType | undefined; readonly perElement: number } {
  if (dtype === 'c32') return { dtype: 'f16', perElement: 2 };
  if (dtype === 'c64') return { dtype: 'f32', perElement: 2 };
  if (dtype === 'c128') return { dtype: 'f64', perElement: 2 };
  return { dtype: isNumeric(dtype) ? dtype : undefined, perElement: 1 };
}

const SHORT_FLOATS: ReadonlySet<DType> = new Set<DType>(['f32', 'f16', 'bf16']);

/** Compares blocks of two types given in order. `sums`: also of equal blocks. */
export class DifferenceFold {
  readonly #types: readonly [DType, DType] | undefined;
  readonly #bits: number;
  readonly #same: boolean;
  readonly #sums: boolean;
  readonly #widen: readonly [Pipeline, Pipeline] | undefined;
  #total = NOTHING;

  /** `types`: undefined for elements that are bytes; complex types have to be given by component. */
  constructor(types: readonly [DType, DType] | undefined, sums: boolean) {
    this.#types = types;
    this.#bits = types ? dtypeFacts(types[0]).bits : 8;
    this.#same = !types || types[0] === types[1];
    this.#sums = sums;
    if (types && SHORT_FLOATS.has(types[0]) && SHORT_FLOATS.has(types[1]))
      this.#widen = [widening(types[0]), widening(types[1])];
  }

  /** `count` elements in each slot; the spare slots may be overwritten. */
  add(here: Arena, a: Slot, b: Slot, spareA: Slot, spareB: Slot, count: number): void {
    const bytes = spanBytes(this.#bits, 0, count);
    const left = a.bytes.subarray(0, bytes);
    const right = b.bytes.subarray(0, bytes);
    const equal = this.#same && Buffer.compare(left, right) === 0;
    if (equal && !(this.#sums && this.#types)) {
      if (count > 0) this.#total = mergeDifferences(this.#total, { ...NOTHING, skipped: true });
      return;
    }
    const found = this.#types ? this.#numbers(here, a, b, spareA, spareB, count, this.#types) : undefined;
    const byBits = this.#same && !(this.#widen && found);
    const changed = byBits ? (equal ? 0 : changedElements(left, right, this.#bits, count)) : found?.changed;
    this.#total = mergeDifferences(this.#total, { ...NOTHING, ...found, changed: changed ?? 0 });
  }

  finish(): DifferencePart {
    return this.#total;
  }

  #numbers(
    here: Arena,
    a: Slot,
    b: Slot,
    spareA: Slot,
    spareB: Slot,
    count: number,
    types: readonly [DType, DType],
  ): BlockDifference {
    if (this.#widen) {
      const left = this.#widen[0].run(here, a, spareA, count);
      const right = this.#widen[1].run(here, b, spareB, count);
      here.kernels.compareF32(left.at, right.at, count, here.results.at);
      const [bits = 0, numbers = 0, broken = 0, maxAbs = 0, maxRel = 0, ...sums] = here.results.values;
      const [error = 0, aa = 0, bb = 0, needed = 0] = sums;
      // Widening keeps every code apart, payloads of NaN included.
      const changed = this.#same ? bits : numbers;
      return { changed, broken, maxAbs, maxRel, needed, error, aa, bb };
    }
    const left = scratchDoubles(0, count);
    const right = scratchDoubles(1, count);
    decodeElements(types[0], a.bytes, count, left);
    decodeElements(types[1], b.bytes, count, right);
    return blockDifference(left, right, count);
  }
}

const widening = (from: DType): Pipeline =>
  new Pipeline(from === 'f32' ? [] : [{ op: 'cast', from, to: 'f32' }], dtypeFacts(from).bits);

/** Elements whose bits differ. */
export function changedElements(a: Uint8Array, b: Uint8Array, bits: number, count: number): number {
  if (bits === 64) return differing(viewAs(Uint32Array, a, count * 2), viewAs(Uint32Array, b, count * 2), 2);
  if (bits === 32) return differing(viewAs(Uint32Array, a, count), viewAs(Uint32Array, b, count), 1);
  if (bits === 16) return differing(viewAs(Uint16Array, a, count), viewAs(Uint16Array, b, count), 1);
  if (bits === 8) return differing(a, b, 1);
  let changed = 0;
  const mask = 2 ** bits - 1;
  for (let i = 0, bit = 0; i < count; i++, bit += bits) {
    const at = bit >>> 3;
    const low = (a[at] ?? 0) ^ (b[at] ?? 0);
    const high = (a[at + 1] ?? 0) ^ (b[at + 1] ?? 0);
    if ((((low | (high << 8)) >>> (bit & 7)) & mask) !== 0) changed++;
  }
  return changed;
}

function differing(
  a: Uint8Array | Uint16Array | Uint32Array,
  b: Uint8Array | Uint16Array | Uint32Array,
  perElement: 1 | 2,
): number {
  let changed = 0;
  if (perElement === 1) {
    for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) changed++;
  } else {
    for (let i = 0; i < a.length; i += 2) if (a[i] !== b[i] || a[i + 1] !== b[i + 1]) changed++;
  }
  return changed;
}
