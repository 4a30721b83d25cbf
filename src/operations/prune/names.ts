/** What decides which weights become zero; low-rank, channels and layers make the model itself smaller. */
export const PRUNE_METHODS = ['magnitude', 'threshold', 'n:m', 'low-rank', 'channels', 'layers'] as const;
export type PruneMethod = (typeof PRUNE_METHODS)[number];

/** What is ranked together: the elements of all tensors, or those of each. */
export const PRUNE_SCOPES = ['global', 'tensor'] as const;
export type PruneScope = (typeof PRUNE_SCOPES)[number];

/** What makes a channel important: the size of its weights, or what it does to the next layers over samples. */
export const IMPORTANCES = ['l1', 'l2', 'activation'] as const;
export type Importance = (typeof IMPORTANCES)[number];

/** How what is left makes up for what is gone. */
export const COMPENSATIONS = ['none', 'bias', 'weights'] as const;
export type Compensation = (typeof COMPENSATIONS)[number];
