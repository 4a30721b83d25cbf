/** The report of some work with the seconds of all of it: writing and proving is only its last part. */
export async function withWholeTime<T extends { readonly seconds: number }>(
  work: () => Promise<T>,
): Promise<T> {
  const started = performance.now();
  const report = await work();
  return { ...report, seconds: (performance.now() - started) / 1000 };
}
