import { interrupted } from './messages.js';

type Job = (signal: AbortSignal) => Promise<void>;

/** Runs jobs side by side; the first that fails stops the others, and all have ended when this settles. */
export async function together(
  outer: AbortSignal | undefined,
  jobs: readonly Job[] | ((signal: AbortSignal) => readonly Job[]),
): Promise<void> {
  const controller = new AbortController();
  const abort = (): void => controller.abort(interrupted());
  if (outer?.aborted) abort();
  outer?.addEventListener('abort', abort);
  let failure: { readonly error: unknown } | undefined;
  await Promise.all(
    (typeof jobs === 'function' ? jobs(controller.signal) : jobs).map(async (job) => {
      try {
        await job(controller.signal);
      } catch (error) {
        failure ??= { error };
        abort();
      }
    }),
  );
  outer?.removeEventListener('abort', abort);
  if (failure) throw failure.error;
}
