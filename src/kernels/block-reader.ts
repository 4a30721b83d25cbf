import * as path from 'node:path';
import { preadExactly } from '../io/disk.js';
import { arenaCrc32 } from './arena-crc.js';
import { ChunkReader } from './codecs/chunk-reader.js';
import { Pipeline } from './pipeline.js';
import type { Program } from './program.js';
import type { Slot } from './wasm.js';
import type { Workplace } from './workplace.js';

/** Pulls blocks of a program into the arena: pread straight into its memory, then the kernel steps. */
export class BlockReader {
  readonly pipeline: Pipeline;
  /** CRC-32 of the raw bytes read so far, if the program says what it must be. */
  rawCrc = 0;
  readonly #program: Program;
  readonly #place: Workplace;
  readonly #slots: readonly [Slot, Slot];
  readonly #chunks: ChunkReader | undefined;

  constructor(program: Program, place: Workplace, slots: readonly [number, number]) {
    this.pipeline = new Pipeline(program.ops, program.inBits);
    this.#program = program;
    this.#place = place;
    this.#chunks = program.coded && new ChunkReader(program.coded, program.tensor, place.files);
    this.#slots = [place.arena.slot(slots[0]), place.arena.slot(slots[1])];
  }

  /**
   * Canonical bytes of elements [start, end), for who is done with them before anything else is read on this thread:
   * a whole chunk is not copied.
   */
  bytes(start: number, end: number): Uint8Array {
    const { inBits } = this.#program;
    const from = (start * inBits) / 8;
    const chunk = this.pipeline.isEmpty
      ? this.#chunks?.whole(from, from + this.pipeline.inBytes(start, end))
      : undefined;
    return chunk ?? this.read(start, end).bytes.subarray(0, this.pipeline.outBytes(start, end));
  }

  /** Canonical bytes of elements [start, end) at the begin of a slot. `start` is a multiple of 8. */
  read(start: number, end: number): Slot {
    const { arena, files } = this.#place;
    const { path: file, offset, inBits, crc32: check } = this.#program;
    const [first, second] = this.#slots;
    const whole = this.pipeline.around({ start, end });
    const raw = first.bytes.subarray(0, this.pipeline.inBytes(whole.start, whole.end));
    const at = (whole.start * inBits) / 8;
    if (this.#chunks) this.#chunks.read(at, raw);
    else preadExactly(files.reader(file), raw, offset + at, path.basename(file));
    if (check) this.rawCrc = arenaCrc32(raw, this.rawCrc);
    const slot = this.pipeline.run(arena, first, second, whole.end - whole.start, whole.start);
    if (whole.start < start) {
      const { outBits } = this.pipeline;
      const [from, to] = [start, end].map((one) => ((one - whole.start) * outBits) / 8);
      slot.bytes.copyWithin(0, from ?? 0, to);
    }
    return slot;
  }
}
