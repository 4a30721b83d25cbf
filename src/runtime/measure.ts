import type { InferenceSession, Tensor } from 'onnxruntime-node';
import { known, tensorsOf } from './session.js';
import type { Value } from './values.js';

/** Feeds that sessions are timed on. Runs in the child process only. */
interface Held {
  readonly inputs: Readonly<Record<string, Tensor>>;
  readonly fetches: readonly string[];
}
const held = new WeakMap<InferenceSession, Held>();

export async function holdFeeds(
  session: number,
  feeds: readonly (readonly [string, Value])[],
  fetches: readonly string[],
): Promise<void> {
  held.set(known(session), { inputs: await tensorsOf(feeds), fetches });
}

/**
 * Milliseconds of each run, as a caller in JavaScript sees them: from the call to the outputs. Nothing else happens in
 * between, no message goes out.
 */
export async function measureRuns(request: {
  readonly session: number;
  readonly warmup: number;
  readonly runs: number;
}): Promise<Float64Array> {
  const session = known(request.session);
  const on = held.get(session);
  if (!on) throw new Error(`session ${request.session} holds no feeds`);
  for (let i = 0; i < request.warmup; i++) await session.run(on.inputs, on.fetches);
  const milliseconds = new Float64Array(request.runs);
  for (let i = 0; i < request.runs; i++) {
    const started = performance.now();
    await session.run(on.inputs, on.fetches);
    milliseconds[i] = performance.now() - started;
  }
  return milliseconds;
}
