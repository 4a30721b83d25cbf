/** Runs jobs side by side; the first that fails stops the others, and all have ended when this settles. */
export async function together(
  outer: AbortSignal | undefined,
  jobs: readonly ((signal: AbortSignal) => Promise<void>)[],
): Promise<void> {
  const controller = new AbortController();
  const abort = (): void => controller.abort();
  if (outer?.aborted) abort();
  outer?.addEventListener('abort', abort);
  let failure: { readonly error: unknown } | undefined;
  await Promise.all(
    jobs.map(async (job) => {
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
