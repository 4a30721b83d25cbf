import type { PruneModelOptions } from './prune.js';

/** What makes up for channels does so for inputs like the samples: noise would tell nothing of it. */
export const provedWith = (options: PruneModelOptions): PruneModelOptions => {
  const { method, inputs, calibration } = options;
  const samples = method === 'channels' && inputs === undefined ? calibration : undefined;
  return samples === undefined ? options : { ...options, inputs: samples };
};
