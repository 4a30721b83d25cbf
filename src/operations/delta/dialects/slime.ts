import { isIndexName } from '../../../formats/sharding.js';
import type { Dialect } from './dialect.js';

export type SlimeEncoding = 'xor' | 'overwrite';

/** Where slime's receivers look. */
export const SLIME_INDEX = 'model.safetensors.index.json';

/** A folder as slime's disk transport publishes it for each version (README.md). */
const slime = (encoding: SlimeEncoding): Dialect => ({
  id: `slime-${encoding}`,
  title: `slime delta (${encoding})`,
  file: SLIME_INDEX,
  recognises: ({ descriptor, files, model }) =>
    descriptor.id === 'safetensors' &&
    isIndexName(files.main) &&
    model.metadata.get('delta_encoding') === encoding,
  apply: async (base, delta) => (await import('./slime-read.js')).applySlime(base, delta, encoding),
  write: async (base, next, files, context) =>
    (await import('./slime-write.js')).writeSlime(base, next, files, context, encoding),
});

export const slimeXor = slime('xor');
export const slimeOverwrite = slime('overwrite');
