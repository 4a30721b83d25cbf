import type { WorkContext } from '../../core/format.js';
import { joinPath, scratchFolder } from '../../io/disk.js';
import type { ModelReference, NodeProfile, ProfileSettings, SessionProfile } from '../../runtime/protocol.js';
import type { Values } from '../../runtime/values.js';
import { settingsFor, startFor } from './processes.js';

export interface ProfileRequest {
  readonly runs: number;
  readonly threads: number;
  readonly label: string;
}

/** Works with a place for profiles, which goes with all that is in it. */
export async function withProfiles<T>(
  work: (settings: (unpacked: boolean) => ProfileSettings) => Promise<T>,
): Promise<T> {
  const { folder, remove } = scratchFolder('mlser-profile-');
  try {
    let next = 0;
    return await work((unpacked) => ({ prefix: joinPath(folder, `p${next++}-`), unpacked }));
  } finally {
    remove();
  }
}

/** A model under the runtime's profiler, in a process of its own, on the cpu. */
export async function profileRuns(
  model: ModelReference,
  feeds: Values,
  { runs, threads, label }: ProfileRequest,
  profile: ProfileSettings,
  context: WorkContext,
): Promise<SessionProfile> {
  const runtime = startFor(context);
  try {
    const session = await runtime.create(model, { ...settingsFor('cpu', threads), profile }, label);
    await session.hold(feeds);
    await session.measure(0, runs);
    return await session.endProfile();
  } finally {
    await runtime.close();
  }
}

export const profileGraph = (
  bytes: Uint8Array,
  feeds: Values,
  request: ProfileRequest,
  context: WorkContext,
): Promise<readonly NodeProfile[]> =>
  withProfiles(
    async (settings) => (await profileRuns({ bytes }, feeds, request, settings(false), context)).nodes,
  );
