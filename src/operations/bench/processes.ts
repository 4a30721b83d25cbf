import type { WorkContext } from '../../core/format.js';
import type { ArrayFile } from '../../runtime/arrays.js';
import { type ActualDevice, providersOf } from '../../runtime/devices.js';
import { type Runtime, type RuntimeSession, startRuntime } from '../../runtime/process.js';
import type { SessionSettings } from '../../runtime/protocol.js';
import type { Random } from '../../runtime/random.js';
import { benchFeeds } from './feeds.js';
import { alive, guarded, readyOf, type Subject } from './subject.js';
import { shuffled } from './turns.js';

export const startFor = ({ signal }: WorkContext): Runtime => startRuntime(signal ? { signal } : {});

/** A session as the runtime makes it for anybody: all optimizations, threads that spin during a run. */
export const settingsFor = (device: ActualDevice, threads: number): SessionSettings => ({
  providers: providersOf(device),
  threads,
  lean: false,
  spin: true,
});

/** The runtime opens the file itself, and maps what it maps for anybody. */
export function create(
  { path, graph }: Subject,
  runtime: Runtime,
  settings: SessionSettings,
): Promise<RuntimeSession> {
  if (graph === undefined) throw new Error(`${path} has no graph`);
  return runtime.create({ path: graph }, settings, path);
}

/** A fresh process for each model, with a session in it and feeds that it takes. They stay until `endAll`. */
export async function startAll(
  subjects: readonly Subject[],
  file: ArrayFile | undefined,
  threads: number,
  random: Random,
  context: WorkContext,
): Promise<void> {
  for (const subject of shuffled(alive(subjects), random)) {
    const { target } = subject;
    if (!target) continue;
    const runtime = startFor(context);
    subject.runtime = runtime; // closed whatever happens next
    await guarded(subject, async () => {
      await runtime.backends(); // loads the runtime itself
      const before = await runtime.memory();
      const session = await create(subject, runtime, settingsFor(subject.device, threads));
      subject.loads.push(session.loadMilliseconds);
      subject.feeds ??= await benchFeeds(session, target, file);
      subject.ready = { runtime, session, feeds: subject.feeds, before };
    });
  }
}

/** Notes what the processes took at most. */
export async function noteMemory(subjects: readonly Subject[]): Promise<void> {
  for (const subject of alive(subjects))
    await guarded(subject, async () => {
      const { runtime, before } = readyOf(subject);
      const { peak } = await runtime.memory();
      if (peak <= (subject.memory?.peak ?? 0)) return;
      subject.memory = { baseline: before.now, peak, model: peak - before.now };
    });
}

export async function endAll(subjects: readonly Subject[]): Promise<void> {
  for (const subject of subjects) {
    await subject.runtime?.close();
    delete subject.runtime;
    delete subject.ready;
  }
}
