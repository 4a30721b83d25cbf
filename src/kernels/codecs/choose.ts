import { type DType, dtypeFacts } from '../../core/dtype.js';
import type { CodecChoice } from '../../core/format.js';
import { type Bench, type ChunkShape, shapeOf } from './bench.js';
import type { Codec, Codecs } from './codec.js';
import { RAW } from './numbers.js';

export interface Encoded {
  readonly codec: number;
  /** Good until the next chunk is encoded on this thread: whoever needs them longer copies them. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Elements that differ from the base; all, where there is none. */
  readonly changed: number;
}

export const DEFAULT_CHOICE: CodecChoice = { level: 1 };

/**
 * The shortest form of the chunk of `length` bytes in `bench.raw`, against the base's bytes in `bench.base` if
 * `hasBase`: never longer than the chunk, raw where nothing pays. By measuring; what cannot win is not tried.
 */
export function encodeChunk(
  bench: Bench,
  dtype: DType,
  length: number,
  hasBase: boolean,
  codecs: Codecs,
  choice: CodecChoice = DEFAULT_CHOICE,
): Encoded {
  const shape = shapeOf(dtype, length);
  const { kernels, raw, base } = bench;
  const { count, width } = shape;
  const changed = hasBase ? kernels.countDiffering(raw.at, base.at, count, width) : count;
  let best: Encoded | undefined;
  const limit = (): number => best?.bytes.byteLength ?? length;
  for (const id of candidates(shape, hasBase, choice, codecs)) {
    const codec = codecs.get(id);
    if (!codec || isHopeless(codec, bench, shape, changed, limit())) continue;
    const stored = codec.encode(bench, shape, limit());
    if (stored !== undefined && stored < limit())
      best = { codec: codec.id, bytes: hold(bench.stored.bytes.subarray(0, stored)), changed };
  }
  return best ?? { codec: RAW, bytes: hold(bench.raw.bytes.subarray(0, length)), changed };
}

let held = new Uint8Array();

/** A copy in memory that is kept: fresh memory for every chunk took a quarter of the time of coding it. */
function hold(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  if (held.length < bytes.length) held = new Uint8Array(bytes.length);
  held.set(bytes);
  return held.subarray(0, bytes.length);
}

/** What the share of elements that differ (from the base, from zero) says cannot win. */
function isHopeless(
  { id }: Codec,
  bench: Bench,
  { count, width }: ChunkShape,
  changed: number,
  limit: number,
): boolean {
  // Half a bit an element, found with the base: what does without it does not come near.
  if (id < 16 && limit < count / 16) return true;
  if (id === 17) return changed > 0.6 * count;
  if (id === 16) return limit < count / 8; // it takes a bit an element at least
  if (id !== 4) return false;
  return bench.kernels.countNonZero(bench.raw.at, count, width) > 0.9 * count;
}

function* candidates(
  { dtype, width }: ChunkShape,
  hasBase: boolean,
  { level, only }: CodecChoice,
  codecs: Codecs,
): Generator<number> {
  const { kind } = dtypeFacts(dtype);
  const numbers = kind === 'float' || kind === 'complex';
  const wanted = [
    ...(hasBase ? [17, ...(width === 8 ? [18] : [16])] : []),
    4,
    5,
    3,
    ...(hasBase && level > 1 && width !== 8 ? [18] : []),
    ...(!numbers || level > 1 ? [1, 2] : []),
  ];
  for (const id of wanted) {
    const name = codecs.get(id)?.name;
    if (name !== undefined && (only === undefined || only.includes(name))) yield id;
  }
}
