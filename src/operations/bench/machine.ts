import { availableParallelism, cpus } from 'node:os';
import type { Machine } from './report.js';

/** Where it was measured: figures of different machines do not compare. */
export const machineOf = (): Machine => ({
  cpu: cpus()[0]?.model.trim() ?? 'unknown',
  cores: availableParallelism(),
  platform: `${process.platform} ${process.arch}`,
  node: process.version,
});
