import * as path from 'node:path';
import { CODED_FIELDS, type Coded, type CodedLevel, type Recipe } from '../../core/recipe.js';
import type { MlserError } from '../../errors.js';
import type { Descriptors } from '../../io/descriptors.js';
import { preadExactly } from '../../io/disk.js';
import { arenaCrc32 } from '../arena-crc.js';
import { inPlaceOf, ownBenches } from './bench.js';
import { decodeChunk } from './decode.js';
import { damagedChunk, missingCodec, notOfCodec, sealedChunk, wrongResult } from './errors.js';
import { codecsNow, RAW } from './index.js';
import { unseal } from './seal.js';

/** Pulls the bytes of coded chunks on one thread, the chunk read last kept. Waits for nothing: codecs are loaded. */
export class ChunkReader {
  readonly #coded: Coded;
  readonly #tensor: string;
  readonly #files: Descriptors;
  /** The chunk read last, where parts of it are asked for. */
  #chunk: Uint8Array = new Uint8Array();
  #index = -1;

  constructor(coded: Coded, tensor: string, files: Descriptors) {
    this.#coded = coded;
    this.#tensor = tensor;
    this.#files = files;
  }

  /** The bytes from `start` on, as many as `target` takes. */
  read(start: number, target: Uint8Array): void {
    const { chunkBytes } = this.#coded;
    for (let done = 0; done < target.length; ) {
      const at = start + done;
      const index = Math.floor(at / chunkBytes);
      const from = at - index * chunkBytes;
      const part = this.#load(index).subarray(from, from + target.length - done);
      if (part.length === 0) throw new Error('read past the chunks');
      target.set(part, done);
      done += part.length;
    }
  }

  /**
   * The bytes [start, end) where they lie, if they are a whole chunk: valid until this thread decodes another one.
   * Undefined if they are not.
   */
  whole(start: number, end: number): Uint8Array | undefined {
    const { chunkBytes, length } = this.#coded;
    const index = start / chunkBytes;
    if (!Number.isInteger(index) || end !== Math.min(length, start + chunkBytes)) return undefined;
    return this.#unfold(index, end - start);
  }

  #load(index: number): Uint8Array {
    const { chunkBytes, length } = this.#coded;
    const bytes = Math.min(chunkBytes, length - index * chunkBytes);
    if (this.#chunk.length === 0) this.#chunk = new Uint8Array(Math.min(chunkBytes, length));
    const chunk = this.#chunk.subarray(0, bytes);
    if (index === this.#index) return chunk;
    this.#index = -1;
    chunk.set(this.#unfold(index, bytes));
    this.#index = index;
    return chunk;
  }

  /** From the highest level that needs no base, or from the base, upwards. The result lies in a bench. */
  #unfold(index: number, length: number): Uint8Array {
    const { levels, base } = this.#coded;
    const codecs = codecsNow();
    let first = levels.length - 1;
    while (first > 0 && needsBase(levels[first], index)) first--;
    let [bench, other] = ownBenches();
    const lowest = levels[first];
    if (base && needsBase(lowest, index))
      readRecipe(base, index * this.#coded.chunkBytes, bench.base.bytes.subarray(0, length), this.#files);
    for (const level of levels.slice(first)) {
      const chunk = chunkOf(level, index);
      if (chunk.codec !== RAW && !codecs.has(chunk.codec))
        throw missingCodec(path.basename(level.path), this.#tensor, chunk.codec);
      const plain = chunk.codec === RAW && !level.seal;
      const stored = (plain ? bench.raw : bench.stored).bytes.subarray(0, chunk.stored);
      preadExactly(this.#files.reader(level.path), stored, chunk.offset, path.basename(level.path));
      const sum = arenaCrc32(stored);
      if (sum !== chunk.crc) throw this.#damaged(level, index, sum, chunk.crc);
      if (level.seal && !unseal(level.seal, index, stored)) throw this.#sealed(level, index);
      const { codec, stored: size } = chunk;
      const inPlace = codecs.get(codec)?.inPlace ?? false;
      const at = inPlace ? inPlaceOf(bench) : bench;
      if (!plain && !decodeChunk(at, codecs, { codec, stored: size, length, dtype: this.#coded.dtype }))
        throw this.#notOf(level, index, codec, length);
      const raw = at.raw.bytes.subarray(0, length);
      if (chunk.rawCrc >= 0 && arenaCrc32(raw) !== chunk.rawCrc) throw this.#wrongBase(level, index);
      if (!inPlace) [bench, other] = [other, bench];
    }
    return other.raw.bytes.subarray(0, length);
  }

  #details(level: CodedLevel, chunk: number): { file: string; tensor: string; chunk: number } {
    return { file: path.basename(level.path), tensor: this.#tensor, chunk };
  }

  #damaged(level: CodedLevel, chunk: number, found: number, expected: number): MlserError {
    return damagedChunk(this.#details(level, chunk), found, expected);
  }

  #sealed(level: CodedLevel, chunk: number): MlserError {
    return sealedChunk(this.#details(level, chunk));
  }

  #notOf(level: CodedLevel, chunk: number, codec: number, length: number): MlserError {
    return notOfCodec(this.#details(level, chunk), codec, length);
  }

  #wrongBase(level: CodedLevel, chunk: number): MlserError {
    return wrongResult(this.#details(level, chunk));
  }
}

const chunkOf = ({ table }: CodedLevel, index: number) => {
  const at = index * CODED_FIELDS;
  const [offset = 0, stored = 0, codec = 0, crc = 0, rawCrc = -1] = table.subarray(at, at + CODED_FIELDS);
  return { offset, stored, codec, crc, rawCrc };
};

const needsBase = (level: CodedLevel | undefined, index: number): boolean =>
  level !== undefined && (codecsNow().get(chunkOf(level, index).codec)?.needsBase ?? false);

/** Canonical bytes of a recipe without chunks, from byte `start` on. A base is at most turned around, never cast. */
function readRecipe(
  { path: file, offset, ops }: Recipe,
  start: number,
  target: Uint8Array,
  files: Descriptors,
): void {
  preadExactly(files.reader(file), target, offset + start, path.basename(file));
  for (const op of ops) {
    if (op.op !== 'byteswap') throw new Error('a base is not cast');
    const bytes = Buffer.from(target.buffer, target.byteOffset, target.byteLength);
    if (op.width === 2) bytes.swap16();
    else if (op.width === 4) bytes.swap32();
    else bytes.swap64();
  }
}
