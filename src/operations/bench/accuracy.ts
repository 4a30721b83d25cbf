import { trim } from '../../runtime/feed-source.js';
import { AccuracyCounter } from '../../validate/accuracy.js';
import type { Accuracy } from './report.js';
import { wilson } from './statistics.js';
import type { Ready } from './subject.js';

/** The share of samples whose arg-max of the first output is their label. E_USAGE where outputs are not scores. */
export async function accuracyOf({ session, feeds }: Ready, labels: Float64Array): Promise<Accuracy> {
  const counter = new AccuracyCounter(labels);
  const { file } = feeds;
  for (const slice of file?.slices ?? [undefined]) {
    const { outputs } = await session.run((await file?.load(slice)) ?? new Map());
    const kept = new Map([...outputs].map(([name, value]) => [name, trim(value, slice)]));
    counter.add(kept, slice?.start ?? 0, slice?.count ?? labels.length);
  }
  const { share, samples } = counter;
  const right = Math.round(share * samples);
  return { share, right, samples, interval: wilson(right, samples) };
}
