import { type DType, dtypeFacts } from '../../core/dtype.js';
import { type Arena, arena, type KernelExports, type Slot } from '../wasm.js';

/** Bytes of the elements that codecs see: those of the type where they are whole, else bytes. */
export type ElementWidth = 1 | 2 | 4 | 8;

/** What a codec knows of a chunk besides its bytes. */
export interface ChunkShape {
  readonly dtype: DType;
  /** Canonical bytes. */
  readonly length: number;
  readonly width: ElementWidth;
  /** Elements of `width` bytes. */
  readonly count: number;
  /** Bits right of the exponent in an element that is shifted left by one; 0 where elements are no floats. */
  readonly shift: number;
}

/** Bits of the mantissa, and one for the sign that is shifted out. */
const SHIFTS = new Map<DType, number>([
  ['f32', 24],
  ['bf16', 8],
  ['f16', 11],
  ['f8_e4m3fn', 4],
  ['f8_e4m3fnuz', 4],
  ['f8_e5m2', 3],
  ['f8_e5m2fnuz', 3],
  ['c64', 24],
  ['c32', 11],
]);

export function shapeOf(dtype: DType, length: number): ChunkShape {
  const { kind, bits, block } = dtypeFacts(dtype);
  const own = kind === 'complex' ? bits / 16 : bits / 8; // a complex number is two floats
  const whole = block === 1 && (own === 2 || own === 4 || own === 8) && length % own === 0;
  const width = whole ? own : 1;
  return { dtype, length, width, count: length / width, shift: SHIFTS.get(dtype) ?? 0 };
}

/** Two areas for what is stored, of which one is in use. */
interface Shelf {
  stored: Slot;
  aside: Slot;
}

let shelf: Shelf | undefined;
function shelfOf(here: Arena): Shelf {
  shelf ??= { stored: here.codecArea(2), aside: here.codecArea(6) };
  return shelf;
}

/** The memory in which chunks are coded: one a thread, with the kernels. */
export class Bench {
  readonly kernels: KernelExports;
  /** Canonical bytes of the chunk. */
  readonly raw: Slot;
  /** Canonical bytes of the same place in the base. */
  readonly base: Slot;
  /** Scratch that codecs fill and use at once. */
  readonly a: Slot;
  readonly b: Slot;
  readonly c: Slot;
  /** Tables of byte planes, and of differences. */
  readonly planeWork: number;
  readonly work: number;
  readonly #shelf: Shelf;

  constructor(here: Arena, areas: readonly [raw: number, base: number]) {
    this.kernels = here.kernels;
    this.raw = here.codecArea(areas[0]);
    this.base = here.codecArea(areas[1]);
    this.a = here.codecArea(3);
    this.b = here.codecArea(4);
    this.c = here.codecArea(5);
    this.#shelf = shelfOf(here);
    [this.planeWork, this.work] = here.codec.work;
  }

  /** What is stored, before it is decoded and while it is encoded: the same for all benches of a thread. */
  get stored(): Slot {
    return this.#shelf.stored;
  }

  /** The first `length` stored bytes, which stay as they are until this is called twice more: others are stored elsewhere now. */
  setAside(length: number): Uint8Array<ArrayBuffer> {
    const shelf = this.#shelf;
    const { stored } = shelf;
    shelf.stored = shelf.aside;
    shelf.aside = stored;
    return stored.bytes.subarray(0, length);
  }
}

let places: readonly [Bench, Bench] | undefined;

/** The bench on which the base of one becomes the chunk: what is decoded there lies where the other one decodes to. */
export function inPlaceOf(bench: Bench): Bench {
  places ??= [new Bench(arena(), [0, 0]), new Bench(arena(), [1, 1])];
  return places[0].raw.at === bench.base.at ? places[0] : places[1];
}

let benches: readonly [Bench, Bench] | undefined;

/** The two benches of this thread: what one decodes into is the base of the other. */
export function ownBenches(): readonly [Bench, Bench] {
  benches ??= [new Bench(arena(), [0, 1]), new Bench(arena(), [1, 0])];
  return benches;
}
