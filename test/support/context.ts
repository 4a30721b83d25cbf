import { NO_PROGRESS, type WorkContext } from '../../src/core/format.js';

/** A quiet context for tests that call operations directly. */
export const testContext = (threads = 2): WorkContext => ({
  threads,
  maxMemory: 256 * 1024 * 1024,
  progress: NO_PROGRESS,
});
