import type { MetadataValue } from './model.js';

/** Where a model comes from. Models carry it in their metadata, under PROVENANCE_KEYS. */
export interface Provenance {
  readonly framework?: string;
  readonly frameworkVersion?: string;
  readonly gitCommit?: string;
  readonly datasetVersion?: string;
  /** Semantic version of the model. */
  readonly modelVersion?: string;
  /** Content id (64 hexadecimal digits) of the model that this one was made from. */
  readonly parent?: string;
  readonly hyperParameters?: ReadonlyMap<string, MetadataValue>;
}

/** Metadata key of every field. */
export const PROVENANCE_KEYS = {
  framework: 'provenance.framework',
  frameworkVersion: 'provenance.framework_version',
  gitCommit: 'provenance.git_commit',
  datasetVersion: 'provenance.dataset_version',
  modelVersion: 'provenance.model_version',
  parent: 'provenance.parent',
  hyperParameters: 'provenance.hyper_parameters',
} as const satisfies Record<keyof Provenance, string>;

/** Metadata key of the recipe that made a model, as JSON text: `{"mlser":version,"recipe":{…},"steps":[figures]}`. */
export const RECIPE_KEY = 'provenance.recipe';
