import { type DType, dtypeFacts } from '../../core/dtype.js';
import type { CodecChoice } from '../../core/format.js';
import { type Bench, type ChunkShape, shapeOf } from './bench.js';
import type { Codec, Codecs } from './codec.js';
import { RAW } from './numbers.js';

export interface Encoded {
  readonly codec: number;
  /** Good until the bench is used again: whoever needs them longer copies them. */
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
  let changed = hasBase ? undefined : count;
  let best: Omit<Encoded, 'changed'> | undefined;
  const limit = (): number => best?.bytes.byteLength ?? length;
  for (const id of candidates(shape, hasBase, choice, codecs)) {
    const codec = codecs.get(id);
    if (!codec || isHopeless(codec, bench, shape, limit())) continue;
    const stored = codec.encode(bench, shape, limit());
    changed ??= codec.changed?.(bench, shape);
    if (stored !== undefined && stored < limit()) best = { codec: codec.id, bytes: bench.setAside(stored) };
  }
  best ??= { codec: RAW, bytes: bench.raw.bytes.subarray(0, length) };
  return { ...best, changed: changed ?? kernels.countDiffering(raw.at, base.at, count, width) };
}

/** What the share of elements that differ (from the base, from zero) says cannot win. */
function isHopeless({ id }: Codec, bench: Bench, shape: ChunkShape, limit: number): boolean {
  const { kernels, raw, base } = bench;
  const { count, width } = shape;
  // Half a bit an element, found with the base: what does without it does not come near.
  if (id < 16 && limit < count / 16) return true;
  if (id === 16) return limit < count / 8; // it takes a bit an element at least
  if (id === 17)
    return (
      shareOf(shape, (from, n) => kernels.countDiffering(raw.at + from, base.at + from, n, width)) > 0.62
    );
  return id === 4 && shareOf(shape, (from, n) => kernels.countNonZero(raw.at + from, n, width)) > 0.9;
}

/** Of elements, how many are looked at of how many. */
const LOOK = 1024;
const LOOK_EVERY = 16 * LOOK;

/** The share of elements that `count` finds (from a byte on, so many), in a sample of large chunks. */
function shareOf({ count, width }: ChunkShape, found: (from: number, elements: number) => number): number {
  let seen = 0;
  let sum = 0;
  for (let at = 0; at < count; at += count > 4 * LOOK_EVERY ? LOOK_EVERY : LOOK) {
    const elements = Math.min(LOOK, count - at);
    sum += found(at * width, elements);
    seen += elements;
  }
  return sum / Math.max(1, seen);
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
