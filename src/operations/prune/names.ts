/** What decides which weights become zero. */
export const PRUNE_METHODS = ['magnitude', 'threshold', 'n:m'] as const;
export type PruneMethod = (typeof PRUNE_METHODS)[number];

/** What is ranked together: the elements of all tensors, or those of each. */
export const PRUNE_SCOPES = ['global', 'tensor'] as const;
export type PruneScope = (typeof PRUNE_SCOPES)[number];
