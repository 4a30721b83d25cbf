/** What decides which weights become zero. */
export const PRUNE_METHODS = ['magnitude', 'threshold', 'n:m'] as const;
export type PruneMethod = (typeof PRUNE_METHODS)[number];

/** What is ranked together: the elements of a tensor, or those of all. */
export const PRUNE_SCOPES = ['tensor', 'global'] as const;
export type PruneScope = (typeof PRUNE_SCOPES)[number];
