import { readOwnFile } from '../io/descriptors.js';
import { builtFile } from './location.js';

/** Cast kernels: source, destination, elements. */
type Cast = (src: number, dst: number, count: number) => void;
/** Result kernels: block, elements, where the doubles go. */
type Reduce = (src: number, count: number, out: number) => void;

/** Casts by look-up: source, destination, elements, table. */
type TableCast = (src: number, dst: number, count: number, table: number) => void;

/** Digits of magnitudes: block, elements, where the digit begins, the bits above it, counts. */
type Levels = (
  ...args: [
    src: number,
    count: number,
    block: number,
    borders: number,
    levels: number,
    dst: number,
    scales: number,
    sums: number,
  ]
) => void;

type Digits = (src: number, count: number, shift: number, prefix: bigint, counts: number) => void;
/** Block, elements, magnitude, where the numbers of smaller and of equal ones go. */
type CountMagnitudes = (src: number, count: number, magnitude: bigint, out: number) => void;
/** In place: block, elements, how many stay of how many, room for 8 bytes of each of a group. */
type PatternKernel = (src: number, count: number, keep: number, of: number, sizes: number) => void;
/** In place, whole groups along an axis: the same, with the row of the first element, and the axis. */
type PatternAlong = (
  ...args: [
    src: number,
    count: number,
    row: number,
    length: number,
    stride: number,
    keep: number,
    of: number,
    sizes: number,
  ]
) => void;
/** In place: block, elements, magnitude. */
type ZeroBelow = (src: number, count: number, magnitude: bigint) => void;

/** The two highest planes and their symbols: planes, elements, the floor of the symbols, where six bits of each lie. */
type FinePlanes = (high: number, low: number, count: number, floor: number, packed: number) => void;

/** The exports of `assembly/index.ts`. Addresses are byte offsets into the arena's memory. */
export interface KernelExports {
  readonly castF32ToBf16: Cast;
  readonly castF32ToF16: Cast;
  readonly castBf16ToF32: Cast;
  readonly castF16ToF32: Cast;
  readonly castF32ByTable: TableCast;
  readonly cast16ByTable: TableCast;
  readonly widenTo16ByTable: TableCast;
  readonly widenTo32ByTable: TableCast;
  readonly byteswap16: Cast;
  readonly byteswap32: Cast;
  readonly byteswap64: Cast;
  readonly byteHistogram: (src: number, bytes: number, counts: number, scratch: number) => void;
  readonly leadingHistogram: (
    src: number,
    count: number,
    width: number,
    counts: number,
    scratch: number,
  ) => void;
  readonly markCodes: Reduce;
  readonly splitPlanes2: Cast;
  readonly splitPlanes4: Cast;
  readonly splitPlanes8: Cast;
  readonly joinPlanes2: Cast;
  readonly joinPlanes4: Cast;
  readonly joinPlanes8: Cast;
  readonly statisticsF32: Reduce;
  readonly statisticsBf16: Reduce;
  readonly statisticsF16: Reduce;
  readonly compareF32: (a: number, b: number, count: number, out: number) => void;
  readonly planeModel: (src: number, count: number, work: number) => number;
  readonly sampleElements: (src: number, count: number, width: number, out: number) => number;
  readonly planeSample: (src: number, count: number, work: number) => number;
  readonly fineFloor: (high: number, low: number, count: number) => number;
  readonly fineSplit: FinePlanes;
  readonly fineJoin: FinePlanes;
  readonly planeEncode: (src: number, count: number, out: number, work: number) => number;
  readonly planeDecode: (src: number, end: number, count: number, out: number, work: number) => number;
  readonly residualModel: (
    ...args: [
      src: number,
      base: number,
      count: number,
      width: number,
      shift: number,
      diffs: number,
      exps: number,
      work: number,
    ]
  ) => number;
  /** Elements in which what `residualModel` saw last differs. */
  readonly residualChanged: () => number;
  readonly residualEncode: (
    count: number,
    width: number,
    diffs: number,
    exps: number,
    out: number,
    aside: number,
    work: number,
  ) => number;
  readonly residualDecode: (
    ...args: [
      src: number,
      end: number,
      base: number,
      count: number,
      width: number,
      shift: number,
      out: number,
      work: number,
    ]
  ) => number;
  readonly countNonZero: (a: number, count: number, width: number) => number;
  readonly countDiffering: (a: number, b: number, count: number, width: number) => number;
  readonly differingPositions: (
    a: number,
    b: number,
    count: number,
    width: number,
    out: number,
    limit: number,
    work: number,
  ) => number;
  readonly gatherAt: (src: number, positions: number, n: number, width: number, out: number) => void;
  readonly scatterAt: (src: number, positions: number, n: number, width: number, out: number) => void;
  readonly gapsModel: (positions: number, n: number, work: number) => number;
  readonly gapsEncode: (positions: number, n: number, out: number, work: number) => number;
  readonly gapsDecode: (
    src: number,
    end: number,
    n: number,
    count: number,
    out: number,
    work: number,
  ) => number;
  readonly paletteOf: (
    src: number,
    count: number,
    width: number,
    values: number,
    indices: number,
    work: number,
  ) => number;
  readonly paletteElements: (
    indices: number,
    count: number,
    width: number,
    values: number,
    found: number,
    out: number,
  ) => number;
  readonly columnEnds: (src: number, rows: number, columns: number, low: number, high: number) => number;
  readonly halfErrors: (
    src: number,
    count: number,
    drop: number,
    tiny: number,
    limit: number,
    sums: number,
  ) => void;
  readonly rowEnds: (src: number, count: number, ends: number) => number;
  readonly linearRow: (
    ...args: [
      src: number,
      count: number,
      scales: number,
      zeros: number,
      step: number,
      low: number,
      high: number,
      dst: number,
      sums: number,
    ]
  ) => void;
  readonly nbitsBlock: (
    ...args: [
      src: number,
      stride: number,
      rows: number,
      columns: number,
      bits: number,
      symmetric: number,
      out: number,
      outStride: number,
      scales: number,
      zeros: number,
      blocks: number,
      half16: number,
      sums: number,
    ]
  ) => void;
  readonly nbitsRun: (
    ...args: [
      src: number,
      count: number,
      block: number,
      bits: number,
      symmetric: number,
      flip: number,
      dst: number,
      scales: number,
      zeros: number,
      sums: number,
    ]
  ) => void;
  readonly levelsRun: Levels;
  readonly powerLevelsRun: Levels;
  readonly codebookRun: (
    ...args: [src: number, count: number, borders: number, levels: number, dst: number, sums: number]
  ) => void;
  readonly packBytes: (src: number, count: number, bits: number, dst: number) => void;
  readonly turnF32: (src: number, stride: number, rows: number, columns: number, dst: number) => void;
  readonly magnitudeDigits32: Digits;
  readonly magnitudeDigits64: Digits;
  readonly countMagnitudes32: CountMagnitudes;
  readonly countMagnitudes64: CountMagnitudes;
  readonly nearMagnitudes32: (src: number, count: number, from: bigint, counts: number, out: number) => void;
  readonly pattern16: PatternKernel;
  readonly pattern32: PatternKernel;
  readonly pattern64: PatternKernel;
  readonly patternAlong16: PatternAlong;
  readonly patternAlong32: PatternAlong;
  readonly patternAlong64: PatternAlong;
  readonly zeroBelow16: ZeroBelow;
  readonly zeroBelow32: ZeroBelow;
  readonly zeroBelow64: ZeroBelow;
  readonly xorBytes: (a: number, b: number, bytes: number, out: number) => void;
  readonly addProducts: (
    a: number,
    rowsA: number,
    b: number,
    rowsB: number,
    length: number,
    out: number,
  ) => void;
  /** Source, bytes (a multiple of 64), register, work; says where what is left lies. */
  readonly crcFold: (src: number, bytes: number, register: number, work: number) => number;
  readonly adamWeight: (
    ...args: [
      weight: number,
      first: number,
      second: number,
      count: number,
      decay: number,
      step: number,
      root: number,
      eps: number,
    ]
  ) => void;
  readonly adamSecond: (
    second: number,
    before: number,
    after: number,
    count: number,
    rate: number,
    keep: number,
    add: number,
  ) => void;
}

/** Bytes of one slot: the largest block that any kernel is given. */
export const SLOT_BYTES = 1 << 20;
const SLOTS = 4;
/** Kernels read and write up to a vector past the end; slots also start on different cache sets. */
const SLOT_STRIDE = SLOT_BYTES + (64 << 10) + 256;
const FIRST_SLOT = 1 << 20;
const RESULTS = 64 << 10;
const COUNTS = 128 << 10;
const COUNT_SCRATCH = 256 << 10;
const SEEN = 512 << 10;
const TABLE = 640 << 10;
const CRC_WORK = 768 << 10;
// From 800 to 960 KiB differences are read (assembly/residual-work.ts, which has these addresses as constants).
/** Counts of 16-bit digits lie between the slots and the areas for the chunk codecs. */
const DIGITS = 6 << 20;
const FIRST_AREA = 8 << 20;
export const CODEC_AREA_BYTES = 4 << 20;
const CODEC_AREA_STRIDE = CODEC_AREA_BYTES + (64 << 10) + 256;
const CODEC_AREAS = 7;
const CODEC_WORK_BYTES = 640 << 10;
const MEMORY_PAGES = 625;

/** A block of the arena, by address and as bytes. */
export interface Slot {
  readonly at: number;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** 39 MiB of memory private to a thread with the kernels that work in it. Pages are real only once they are touched. */
export class Arena {
  readonly kernels: KernelExports;
  /** All of it. */
  readonly buffer: ArrayBuffer;
  /** Where `crcFold` works. */
  readonly crcWork = CRC_WORK;
  readonly slots: readonly Slot[];
  /** Doubles that result kernels write. */
  readonly results: { readonly at: number; readonly values: Float64Array };
  readonly counts: { readonly at: number; readonly scratch: number; readonly values: Uint32Array };
  /** A count for every 16-bit digit. */
  readonly digits: { readonly at: number; readonly values: Uint32Array };
  /** A byte for every 16-bit code. */
  readonly seen: Slot;
  readonly #table: Slot;
  #tableName = '';
  /** Areas of 4 MiB and more for codecs, and two for their tables. */
  readonly codec: { readonly areas: readonly Slot[]; readonly work: readonly [number, number] };

  constructor(wasm: Uint8Array) {
    const memory = new WebAssembly.Memory({ initial: MEMORY_PAGES, maximum: MEMORY_PAGES });
    const instance = new WebAssembly.Instance(new WebAssembly.Module(wasm), {
      env: {
        memory,
        abort: () => {
          throw new Error('a kernel aborted');
        },
      },
    });
    const exported: unknown = instance.exports;
    if (!isKernels(exported)) throw new Error('kernels.wasm is not of this build: run npm run build');
    this.kernels = exported;
    this.buffer = memory.buffer;
    const block = (at: number, length: number): Slot => ({
      at,
      bytes: new Uint8Array(memory.buffer, at, length),
    });
    this.slots = Array.from({ length: SLOTS }, (_, i) => block(FIRST_SLOT + i * SLOT_STRIDE, SLOT_BYTES));
    this.results = { at: RESULTS, values: new Float64Array(memory.buffer, RESULTS, 16) };
    this.counts = {
      at: COUNTS,
      scratch: COUNT_SCRATCH,
      values: new Uint32Array(memory.buffer, COUNTS, 256),
    };
    this.digits = { at: DIGITS, values: new Uint32Array(memory.buffer, DIGITS, 65536) };
    this.seen = block(SEEN, 65536);
    this.#table = block(TABLE, 65536);
    const tables = FIRST_AREA + CODEC_AREAS * CODEC_AREA_STRIDE;
    this.codec = {
      areas: Array.from({ length: CODEC_AREAS }, (_, i) =>
        block(FIRST_AREA + i * CODEC_AREA_STRIDE, CODEC_AREA_BYTES + (64 << 10)),
      ),
      work: [tables, tables + CODEC_WORK_BYTES],
    };
  }

  codecArea(index: number): Slot {
    const area = this.codec.areas[index];
    if (!area) throw new Error(`the arena has no codec area ${index}`);
    return area;
  }

  /** Where a look-up table of at most 64 KiB lies; it is put there unless it was the last one asked for. */
  table(name: string, make: () => Uint8Array): number {
    if (this.#tableName !== name) {
      this.#table.bytes.set(make());
      this.#tableName = name;
    }
    return this.#table.at;
  }

  slot(index: number): Slot {
    const slot = this.slots[index];
    if (!slot) throw new Error(`the arena has no slot ${index}`);
    return slot;
  }
}

function isKernels(exported: unknown): exported is KernelExports {
  return typeof exported === 'object' && exported !== null && 'compareF32' in exported;
}

let own: Arena | undefined;

/** The arena of this thread, made when it is first needed (about a millisecond). */
export function arena(): Arena {
  own ??= new Arena(readOwnFile(builtFile('kernels/kernels.wasm')));
  return own;
}
