import { type DType, dtypeFacts } from '../core/dtype.js';
import type { Axis, Decoding, KernelOp, ZeroRule } from '../core/recipe.js';
import { converter, tableBytes } from './convert.js';
import { groupsAfter, groupsBefore, type Pattern, slabOf } from './prune/pattern-groups.js';
import { decoderOf } from './quantize/decoder.js';
import { isSmallFloat } from './small-floats.js';
import { viewAs } from './views.js';
import { type Arena, arena, SLOT_BYTES, type Slot } from './wasm.js';

/** Elements of any type in a group of this many fill whole bytes. */
export const GROUP = 8;

/** Elements of a tensor. */
interface Span {
  readonly start: number;
  readonly end: number;
}

interface Step {
  /** Of an element after the step. */
  readonly outBits: number;
  readonly inPlace: boolean;
  /** Elements that it needs beside those that are asked for, at most, … */
  readonly margin?: number;
  /** … and which. */
  around?(span: Span): Span;
  /** `start`: position of the first element in its tensor. */
  run(here: Arena, from: Slot, to: Slot, count: number, start: number): void;
}

type CastKernel = 'castF32ToBf16' | 'castF32ToF16' | 'castBf16ToF32' | 'castF16ToF32';
const SIMD_CASTS = new Map<string, CastKernel>([
  ['f32 bf16', 'castF32ToBf16'],
  ['f32 f16', 'castF32ToF16'],
  ['bf16 f32', 'castBf16ToF32'],
  ['f16 f32', 'castF16ToF32'],
]);
const SWAPS = { 2: 'byteswap16', 4: 'byteswap32', 8: 'byteswap64' } as const;

/** Kernel steps compiled for blocks in the slots of an arena. */
export class Pipeline {
  /** Bits of an element in the source and in the result. */
  readonly inBits: number;
  readonly outBits: number;
  /** Elements of the largest block that fits a slot before, between and after the steps: a multiple of 64. */
  readonly blockElements: number;
  /** Elements around a block are pulled too. */
  readonly pullsMore: boolean;
  readonly #steps: readonly Step[];

  /** `bits`: of an element in the source. */
  constructor(ops: readonly KernelOp[], bits: number) {
    const steps: Step[] = [];
    this.inBits = bits;
    let widest = bits;
    let margin = 0;
    for (const op of ops) {
      for (const step of stepsOf(op, bits)) {
        steps.push(step);
        bits = step.outBits;
        margin += step.margin ?? 0;
        widest = Math.max(widest, bits);
      }
    }
    this.outBits = bits;
    this.blockElements = Math.max(0, Math.floor(((SLOT_BYTES * 8) / widest - margin) / 64) * 64);
    this.pullsMore = margin > 0;
    this.#steps = steps;
  }

  /** What it is given stays as it is. */
  get leavesInput(): boolean {
    const [step] = this.#steps;
    return this.#steps.length === 1 && step?.inPlace === false;
  }

  /** The bytes are taken as they are. */
  get isEmpty(): boolean {
    return this.#steps.length === 0;
  }

  /** The elements that have to be pulled for those of a span. */
  around(span: Span): Span {
    return this.#steps.reduceRight((wanted, step) => step.around?.(wanted) ?? wanted, span);
  }

  /** Bytes of elements [start, end) in the source, and in the result; `start` is a multiple of GROUP. */
  inBytes = (start: number, end: number): number => spanBytes(this.inBits, start, end);
  outBytes = (start: number, end: number): number => spanBytes(this.outBits, start, end);

  /**
   * Runs the steps on `count` elements, from position `start` of their tensor on, that lie in `first`, between two
   * slots; says in which the result is.
   */
  run(here: Arena, first: Slot, second: Slot, count: number, start = 0): Slot {
    let [from, to] = [first, second];
    for (const step of this.#steps) {
      step.run(here, from, to, count, start);
      if (!step.inPlace) [from, to] = [to, from];
    }
    return from;
  }
}

export const spanBytes = (bits: number, start: number, end: number): number =>
  Math.ceil((end * bits) / 8) - (start * bits) / 8;

function stepsOf(op: KernelOp, bits: number): readonly Step[] {
  switch (op.op) {
    case 'cast':
      return castSteps(op.from, op.to);
    case 'byteswap':
      return [swapStep(op.width, bits)];
    case 'zero':
      return [zeroStep(op)];
    case 'pattern':
      return [patternStep(op)];
    case 'decode':
      return [decodeStep(op.decoding)];
  }
}

function decodeStep(decoding: Decoding): Step {
  const decode = decoderOf(decoding);
  return {
    outBits: 32,
    inPlace: false,
    run: (_here, { bytes }, to, count, start) =>
      decode(bytes, viewAs(Float32Array, to.bytes, count), count, start),
  };
}

const ZEROING = { 2: 'zeroBelow16', 4: 'zeroBelow32', 8: 'zeroBelow64' } as const;

function zeroStep({ width, below, tiesBefore }: ZeroRule): Step {
  const kernel = ZEROING[width];
  return {
    outBits: width * 8,
    inPlace: true,
    run({ kernels }, { at }, _to, count, start) {
      const ties = Math.max(0, Math.min(count, tiesBefore - start));
      kernels[kernel](at, ties, below + 1n);
      kernels[kernel](at + ties * width, count - ties, below);
    },
  };
}

const PATTERNS = { 2: 'pattern16', 4: 'pattern32', 8: 'pattern64' } as const;

type PatternOp = Extract<KernelOp, { op: 'pattern' }>;

/** Blocks begin on multiples of 64, so that no group of neighbours side by side is cut. */
const patternStep = ({ width, keep, of, along }: PatternOp): Step =>
  along
    ? alongStep(width, along, { keep, of })
    : {
        outBits: width * 8,
        inPlace: true,
        run: ({ kernels, codec }, { at }, _to, count) => {
          kernels[PATTERNS[width]](at, count, keep, of, codec.work[0]);
        },
      };

const PATTERNS_ALONG = { 2: 'patternAlong16', 4: 'patternAlong32', 8: 'patternAlong64' } as const;

/** Groups along any axis: whole ones are pulled, at most one more at each end. */
const alongStep = (width: 2 | 4 | 8, axis: Axis, pattern: Pattern): Step => ({
  outBits: width * 8,
  inPlace: true,
  margin: 2 * slabOf(axis, pattern),
  around: ({ start, end }) =>
    start >= end
      ? { start, end }
      : { start: groupsBefore(start, axis, pattern), end: groupsAfter(end - 1, axis, pattern) },
  run({ kernels, codec }, { at }, _to, count, start) {
    const { length, stride } = axis;
    const row = Math.floor(start / stride) % length;
    kernels[PATTERNS_ALONG[width]](at, count, row, length, stride, pattern.keep, pattern.of, codec.work[0]);
  },
});

function swapStep(width: 2 | 4 | 8, bits: number): Step {
  const kernel = SWAPS[width];
  return {
    outBits: bits,
    inPlace: true,
    run: (here, src, _dst, count) => here.kernels[kernel](src.at, src.at, (count * bits) / 8),
  };
}

function castSteps(from: DType, to: DType): Step[] {
  const key = `${from} ${to}`;
  if (key === 'f16 bf16' || key === 'bf16 f16') return [...castSteps(from, 'f32'), ...castSteps('f32', to)];
  const outBits = dtypeFacts(to).bits;
  const kernel = SIMD_CASTS.get(key);
  if (kernel)
    return [
      {
        outBits,
        inPlace: false,
        run: (here, src, dst, count) => here.kernels[kernel](src.at, dst.at, count),
      },
    ];
  const byTable = tableStep(from, to);
  if (byTable) return [byTable];
  const convert = converter(from, to);
  return [{ outBits, inPlace: false, run: (_here, src, dst, count) => convert(src.bytes, dst.bytes, count) }];
}

/** Casts into and out of one-byte types that look every code up. */
function tableStep(from: DType, to: DType): Step | undefined {
  const [inBits, outBits] = [dtypeFacts(from).bits, dtypeFacts(to).bits];
  const odd = from === 'f32' && isSmallFloat(to) && outBits === 8;
  const kernel = odd
    ? 'castF32ByTable'
    : inBits === 16 && outBits === 8
      ? 'cast16ByTable'
      : inBits === 8 && outBits === 16
        ? 'widenTo16ByTable'
        : inBits === 8 && outBits === 32
          ? 'widenTo32ByTable'
          : undefined;
  if (kernel === undefined) return undefined;
  const key = odd ? 'bf16' : from;
  return {
    outBits,
    inPlace: false,
    run(here, src, dst, count) {
      const table = here.table(`${key} ${to}`, () => tableBytes(key, to));
      here.kernels[kernel](src.at, dst.at, count, table);
    },
  };
}

/** The result of a pipeline on bytes in memory, which begin with the element at `first` of their tensor. */
export function runInMemory(pipeline: Pipeline, bytes: Uint8Array, count: number, first = 0): Uint8Array {
  const here = arena();
  const out = new Uint8Array(pipeline.outBytes(0, count));
  for (let start = 0; start < count; start += pipeline.blockElements) {
    const end = Math.min(count, start + pipeline.blockElements);
    const at = (start * pipeline.inBits) / 8;
    here.slot(0).bytes.set(bytes.subarray(at, at + pipeline.inBytes(start, end)));
    const result = pipeline.run(here, here.slot(0), here.slot(1), end - start, first + start);
    out.set(result.bytes.subarray(0, pipeline.outBytes(start, end)), (start * pipeline.outBits) / 8);
  }
  return out;
}
