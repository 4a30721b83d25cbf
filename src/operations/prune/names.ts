/** What decides which weights become zero; low-rank replaces matrices by products of smaller ones. */
export const PRUNE_METHODS = ['magnitude', 'threshold', 'n:m', 'low-rank'] as const;
export type PruneMethod = (typeof PRUNE_METHODS)[number];

/** What is ranked together: the elements of all tensors, or those of each. */
export const PRUNE_SCOPES = ['global', 'tensor'] as const;
export type PruneScope = (typeof PRUNE_SCOPES)[number];
