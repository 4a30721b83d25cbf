import { isIndexName } from '../../../formats/sharding.js';
import type { Dialect } from './dialect.js';

/** A sparse patch as TRL uploads it for a weight sync (README.md). */
export const trlSparse: Dialect = {
  id: 'trl-sparse',
  title: 'TRL sparse delta',
  file: 'step_000001.safetensors',
  recognises: ({ descriptor, files, model: { metadata } }) =>
    descriptor.id === 'safetensors' &&
    !isIndexName(files.main) &&
    metadata.get('sparse') !== 'False' &&
    (metadata.get('sparse') === 'True' || metadata.get('format') === 'sparse_weight_patch'),
  apply: async (base, delta) => (await import('./trl-read.js')).applyTrl(base, delta),
  verify: async (result, delta, context) => (await import('./trl-read.js')).verifyTrl(result, delta, context),
  write: async (base, next, files, context) =>
    (await import('./trl-write.js')).writeTrl(base, next, files, context),
};
