import type { MetadataValue, Model } from '../core/model.js';
import type { SyncTransform } from '../core/transform.js';

export interface MetadataOptions {
  readonly set?: ReadonlyMap<string, MetadataValue>;
  readonly unset?: ReadonlySet<string>;
}

/**
 * Sets and removes metadata keys; new keys come last.
 *
 * @example
 * metadata({ set: new Map([['licence', 'Apache-2.0']]) }).apply(model)
 */
export const metadata = ({ set = new Map(), unset = new Set() }: MetadataOptions): SyncTransform => ({
  name: 'metadata',
  apply: (model: Model): Model => ({
    ...model,
    metadata: new Map([...[...model.metadata].filter(([key]) => !unset.has(key)), ...set]),
  }),
});
