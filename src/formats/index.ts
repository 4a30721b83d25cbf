import type { FormatDescriptor } from '../core/format.js';

/** The registry: a line per format. */
export const FORMATS: readonly FormatDescriptor[] = [];

export const formatById = (id: string): FormatDescriptor | undefined => FORMATS.find((f) => f.id === id);
