import type { MetadataValue } from '../../core/model.js';
import { PROVENANCE_KEYS, type Provenance } from '../../core/provenance.js';

const TEXT_FIELDS = ['framework', 'frameworkVersion', 'gitCommit', 'datasetVersion', 'modelVersion'] as const;
const isContentId = (value: unknown): value is string =>
  typeof value === 'string' && /^[0-9a-f]{64}$/.test(value);

/**
 * Parts what metadata says of the provenance from the rest. A value of another type than the manifest's field has
 * stays metadata. What `given` says goes before.
 */
export function splitProvenance(
  metadata: ReadonlyMap<string, MetadataValue>,
  given: Provenance = {},
): { metadata: Map<string, MetadataValue>; provenance: Provenance | undefined } {
  const rest = new Map(metadata);
  const found: { -readonly [K in keyof Provenance]: Provenance[K] } = {};
  for (const field of TEXT_FIELDS) {
    const value = rest.get(PROVENANCE_KEYS[field]);
    if (typeof value !== 'string') continue;
    found[field] = value;
    rest.delete(PROVENANCE_KEYS[field]);
  }
  const parent = rest.get(PROVENANCE_KEYS.parent);
  if (isContentId(parent)) {
    found.parent = parent;
    rest.delete(PROVENANCE_KEYS.parent);
  }
  const hyperParameters = rest.get(PROVENANCE_KEYS.hyperParameters);
  if (hyperParameters instanceof Map && hyperParameters.size > 0) {
    found.hyperParameters = hyperParameters;
    rest.delete(PROVENANCE_KEYS.hyperParameters);
  }
  const provenance = { ...found, ...given };
  return { metadata: rest, provenance: Object.keys(provenance).length > 0 ? provenance : undefined };
}

/** The metadata of the manifest with its provenance under PROVENANCE_KEYS. */
export function joinProvenance(
  metadata: ReadonlyMap<string, MetadataValue>,
  provenance: Provenance | undefined,
): Map<string, MetadataValue> {
  const joined = new Map(metadata);
  if (!provenance) return joined;
  for (const field of [...TEXT_FIELDS, 'parent', 'hyperParameters'] as const) {
    const value = provenance[field];
    if (value !== undefined) joined.set(PROVENANCE_KEYS[field], value);
  }
  return joined;
}
