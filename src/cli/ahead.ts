import { fileBytes } from '../io/disk.js';
import type { Session } from './session.js';

/** Of smaller files the main thread is done before a worker has started. */
const LARGE_BYTES = 96 << 20;

/** For verbs that will read all of these models: where one is large, worker threads start while the rest is loaded. */
export async function expectWork({ context }: Session, models: readonly string[]): Promise<void> {
  if (context.threads <= 1 || !models.some((model) => fileBytes(model) >= LARGE_BYTES)) return;
  const { startAhead } = await import('../kernels/start-workers.js');
  startAhead(context.threads);
}
