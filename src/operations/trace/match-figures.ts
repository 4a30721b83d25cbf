import type { FeedSource } from '../../runtime/feed-source.js';
import { toNumbers, type Value } from '../../runtime/values.js';
import { onlyInputs } from '../open-changed.js';
import { windowsOf } from '../quantize/calibration/observe.js';
import type { Taps } from './taps.js';

/** Elements of a value that stand for all of it, evenly spread. */
const SAMPLES = 256;
/** Values of fewer different samples agree by chance: constants, masks, flags. */
const DISTINCT = 8;

/** A few elements of a value in one run. */
export interface Print {
  readonly key: string;
  readonly samples: Float64Array;
}

/** Prints of values in the first run, a window at a time. Those that say too little are left out. */
export async function printsOf(
  taps: Taps,
  feeds: FeedSource,
  names: readonly string[],
  sizes: ReadonlyMap<string, number>,
  limit: number,
): Promise<ReadonlyMap<string, Print>> {
  const prints = new Map<string, Print>();
  const slice = feeds.slices?.[0];
  const given = await feeds.load(slice);
  for (const window of windowsOf(names, sizes, limit)) {
    const session = await taps.open(window);
    try {
      const { outputs } = await session.run(onlyInputs(session, given));
      for (const [name, value] of outputs) {
        const print = printOf(value);
        if (print) prints.set(name, print);
      }
    } finally {
      await session.release();
    }
  }
  return prints;
}

function printOf(value: Value): Print | undefined {
  if (!value.type.startsWith('float')) return undefined;
  const numbers = toNumbers(value);
  const count = Math.min(SAMPLES, numbers.length);
  const samples = Float64Array.from(
    { length: count },
    (_, i) => numbers[Math.floor((i * numbers.length) / count)] ?? 0,
  );
  const distinct = new Set(samples).size;
  return distinct < Math.min(DISTINCT, count) || distinct < 2
    ? undefined
    : { key: `${value.dims.length}:${value.dims.join()}`, samples };
}

/**
 * Pairs of values with equal shapes whose samples agree within the tolerance, in the order of both graphs: values
 * between matched ones stay between them as far as that can be told, for the earliest free one is taken.
 */
export function matchPrints(
  own: ReadonlyMap<string, Print>,
  others: ReadonlyMap<string, Print>,
  tolerance: number,
): ReadonlyMap<string, string> {
  const byShape = new Map<string, [string, Float64Array][]>();
  for (const [name, { key, samples }] of others) {
    const list = byShape.get(key);
    if (list) list.push([name, samples]);
    else byShape.set(key, [[name, samples]]);
  }
  const found = new Map<string, string>();
  for (const [name, { key, samples }] of own) {
    const list = byShape.get(key) ?? [];
    const at = list.findIndex(([, other]) => agree(samples, other, tolerance));
    const [pair] = at < 0 ? [] : list.splice(at, 1);
    if (pair) found.set(name, pair[0]);
  }
  return found;
}

const agree = (a: Float64Array, b: Float64Array, t: number): boolean =>
  a.every((x, i) => {
    const y = b[i] ?? 0;
    return Object.is(x, y) || Math.abs(x - y) <= t + t * Math.abs(y);
  });
