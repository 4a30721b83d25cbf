import type { WorkContext } from '../../core/format.js';
import type { FeedSource, Slice } from '../../runtime/feed-source.js';
import { trim } from '../../runtime/feed-source.js';
import { type Comparison, compareOutput, nonFinite, type OutputComparison } from '../../runtime/metrics.js';
import type { Session } from '../../runtime/process.js';
import { isFloatType, type Value, type Values } from '../../runtime/values.js';
import { onlyInputs } from '../open-changed.js';
import type { Matches } from './match.js';
import type { Taps } from './taps.js';

/** What was seen of a value over all samples. */
export interface Seen {
  readonly type: Value['type'];
  /** Of the first run. */
  readonly dims: readonly number[];
  readonly nonFinite: number;
  readonly compared?: OutputComparison & { readonly nonFinite: number; readonly reason?: string };
}

/** The other side of a comparison. */
export interface Other {
  readonly taps: Taps;
  readonly feeds: FeedSource;
  readonly matches: Matches;
}

interface Growing {
  type: Value['type'];
  dims: readonly number[];
  nonFinite: number;
  otherNonFinite: number;
  comparison?: Comparison;
  reason?: string;
}

/** Runs both graphs over all feeds with the values of a window as outputs, and compares what comes out. */
export async function compareWindow(
  taps: Taps,
  feeds: FeedSource,
  window: readonly string[],
  other: Other | undefined,
  context: WorkContext,
): Promise<ReadonlyMap<string, Seen>> {
  const theirs = [...new Set(window.flatMap((name) => other?.matches.get(name)?.name ?? []))];
  const session = await taps.open(window);
  const reference = other && theirs.length > 0 ? await other.taps.open(theirs) : undefined;
  const growing = new Map<string, Growing>();
  try {
    for (const slice of feeds.slices ?? [undefined]) {
      const own = await outputs(session, await feeds.load(slice), slice);
      const found =
        other && reference ? await outputs(reference, await other.feeds.load(slice), slice) : undefined;
      for (const name of window) {
        const value = own.get(name);
        const counterpart = found?.get(other?.matches.get(name)?.name ?? '');
        if (value) growing.set(name, grow(growing.get(name), name, value, counterpart));
      }
      context.progress.advance(1);
    }
  } finally {
    await session.release();
    await reference?.release();
  }
  return new Map([...growing].map(([name, value]) => [name, settled(value)]));
}

async function outputs(session: Session, feeds: Values, slice: Slice | undefined): Promise<Values> {
  const { outputs } = await session.run(onlyInputs(session, feeds));
  return new Map([...outputs].map(([name, value]) => [name, trim(value, slice)]));
}

function grow(before: Growing | undefined, name: string, value: Value, other: Value | undefined): Growing {
  const next = before ?? { type: value.type, dims: value.dims, nonFinite: 0, otherNonFinite: 0 };
  next.nonFinite += nonFinite(value);
  if (!other) return next;
  next.otherNonFinite += nonFinite(other);
  if (next.reason !== undefined) return next;
  const floats = isFloatType(value.type) && isFloatType(other.type);
  next.comparison ??= compareOutput(name, { anyNumberType: floats });
  if (!next.comparison.add(value, other))
    next.reason = next.comparison.findings[0]?.message ?? 'not comparable';
  return next;
}

const settled = ({ type, dims, nonFinite, otherNonFinite, comparison, reason }: Growing): Seen => ({
  ...{ type, dims, nonFinite },
  ...(comparison
    ? {
        compared: {
          ...comparison.result(),
          nonFinite: otherNonFinite,
          ...(reason === undefined ? {} : { reason }),
        },
      }
    : {}),
});
