import type { Program } from './program.js';
import { BLOCK_ELEMENTS, rangesOf, type Task } from './tasks.js';

/**
 * Work over all elements of a tensor that has no pass of its own: it is done in parts, by tasks that ride along where
 * others read the same bytes.
 */
export interface Passenger {
  readonly program: Program;
  /** Each part goes on where the one before it has ended, on the same thread. */
  readonly inOrder: boolean;
  /** Does elements [start, end); `start` is a multiple of BLOCK_ELEMENTS. */
  part(start: number, end: number): Task;
}

/** A range of a file. */
export interface Span {
  readonly path: string;
  readonly from: number;
  readonly to: number;
}

/** Its bytes in the file. */
export const spanOf = ({ program: { path, offset, inBits, count } }: Passenger): Span => ({
  path,
  from: offset,
  to: offset + Math.ceil((inBits * count) / 8),
});

export const bySpan = (a: Span, b: Span): number =>
  a.path < b.path ? -1 : a.path > b.path ? 1 : a.from - b.from || a.to - b.to;

/** What nobody else has to read is read for a passenger up to this share of its bytes. */
const MOST_MISSING = 1 / 8;

/** Those, in order of their places, whose bytes are read by `spans`, which are in order too. */
export function carried(passengers: readonly Passenger[], spans: readonly Span[]): readonly Passenger[] {
  const reach = reachOf(spans);
  const ordered = passengers
    .filter(({ program }) => program.coded === undefined && program.count > 0)
    .map((passenger) => ({ passenger, span: spanOf(passenger) }))
    .filter(({ span }) => span.from < (reach.get(span.path) ?? 0))
    .sort((a, b) => bySpan(a.span, b.span));
  let first = 0;
  const found: Passenger[] = [];
  for (const { passenger, span } of ordered) {
    while (endsBefore(spans[first], span)) first++;
    if (missing(span, spans, first) <= (span.to - span.from) * MOST_MISSING) found.push(passenger);
  }
  return found;
}

/** Where the last bytes of each file are that are read. */
function reachOf(spans: readonly Span[]): ReadonlyMap<string, number> {
  const reach = new Map<string, number>();
  for (const { path, to } of spans) reach.set(path, Math.max(to, reach.get(path) ?? 0));
  return reach;
}

/** It has nothing of what begins there. */
export const endsBefore = (one: Span | undefined, { path, from }: Span): boolean =>
  one !== undefined && (one.path < path || (one.path === path && one.to <= from));

/** Bytes of a span that no other one has; the first that may have some is at `first`. */
function missing({ path, from, to }: Span, spans: readonly Span[], first: number): number {
  let [bytes, reached] = [0, from];
  for (let i = first; reached < to; i++) {
    const span = spans[i];
    if (!span || span.path !== path || span.from >= to) break;
    bytes += Math.max(0, span.from - reached);
    reached = Math.max(reached, span.to);
  }
  return bytes + Math.max(0, to - reached);
}

/**
 * Elements of a passenger that ride in each of some carriers: whole blocks up to where a carrier ends, in the last one the
 * rest. Empty ranges stand for carriers that have nothing for it.
 */
export function partsIn(
  { program: { offset, inBits, count } }: Passenger,
  carriers: readonly Span[],
): { readonly start: number; readonly end: number }[] {
  let start = 0;
  return carriers.map(({ to }, i) => {
    const reached = Math.floor(((to - offset) * 8) / inBits / BLOCK_ELEMENTS) * BLOCK_ELEMENTS;
    const end = i === carriers.length - 1 ? count : Math.min(count, Math.max(start, reached));
    const part = { start, end };
    start = end;
    return part;
  });
}

/** Bytes of a part of what does not ride. */
const PART_BYTES = 16 << 20;

/** The tasks of a passenger that does not ride: one, if it has to be done in order. */
export function tasksAlone({ program, inOrder, part }: Passenger): readonly Task[] {
  if (inOrder) return [part(0, program.count)];
  const blocks = Math.max(1, Math.floor((PART_BYTES * 8) / program.inBits / BLOCK_ELEMENTS));
  return rangesOf(program.count, blocks * BLOCK_ELEMENTS).map(({ start, end }) => part(start, end));
}
