import type { WorkContext } from '../../core/format.js';
import type { SessionProfile } from '../../runtime/protocol.js';
import { measurePeaks } from './peaks.js';
import { profileRuns, withProfiles } from './profile.js';
import { PROFILE_WARM_UP, summarize } from './roofline-summary.js';
import { guarded, type Subject } from './subject.js';

/** Microseconds are whole in the runtime's profile: short nodes need many runs to get a mean. */
const MOST_RUNS = 100;
const FEWEST_RUNS = 10;
const BUDGET_MS = 2000;
/** Events that a profile may have, which the runtime keeps in memory. */
const MOST_EVENTS = 200_000;

/**
 * Where the time of each model goes, at its first batch. Only on the cpu: elsewhere the profile tells when operators
 * were handed over, not how long they took.
 */
export async function measureRooflines(
  subjects: readonly Subject[],
  threads: number,
  context: WorkContext,
): Promise<void> {
  const able = subjects.filter(
    ({ error, device, batches }) => !error && device === 'cpu' && batches.length > 0,
  );
  if (able.length === 0) return;
  const before = await measurePeaks(threads, context);
  const profiles = new Map<Subject, Profiles>();
  for (const subject of able) {
    const seen = await guarded(subject, () => profileOf(subject, threads, context));
    if (seen) profiles.set(subject, seen);
  }
  // Whoever else was busy may have been so at one of the two times only.
  const after = await measurePeaks(threads, context);
  const peak = {
    flops: Math.max(before.flops, after.flops),
    bandwidth: Math.max(before.bandwidth, after.bandwidth),
  };
  for (const [subject, { timed, shaped, batch }] of profiles)
    subject.roofline = summarize(timed, shaped, peak, batch);
}

interface Profiles {
  readonly batch: number;
  readonly timed: SessionProfile;
  /** Packed weights are not in a profile: a second session leaves them as they are and tells their shapes. */
  readonly shaped: SessionProfile;
}

async function profileOf(
  { path, graph, target, feeds, batches }: Subject,
  threads: number,
  context: WorkContext,
): Promise<Profiles> {
  const [first] = batches;
  if (graph === undefined || !target || !feeds || !first) throw new Error(`${path} was not measured`);
  const nodes = Math.max(1, target.graph.nodes);
  const wanted = Math.min(MOST_RUNS, BUDGET_MS / first.latency.p50, MOST_EVENTS / nodes);
  const runs = PROFILE_WARM_UP + Math.max(FEWEST_RUNS, Math.floor(wanted));
  const values = await feeds.forBatch(first.batch);
  const model = { path: graph };
  return withProfiles(async (settings) => {
    const request = { runs, threads, label: path };
    const timed = await profileRuns(model, values, request, settings(false), context);
    const shaped = await profileRuns(model, values, { ...request, runs: 1 }, settings(true), context);
    return { batch: first.batch, timed, shaped };
  });
}
