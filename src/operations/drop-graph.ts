import type { FormatDescriptor } from '../core/format.js';
import type { Model } from '../core/model.js';
import { type Finding, finding } from '../errors.js';

/** The weights alone, for formats that hold no graph. */
export function withoutGraph({ graph: _, ...model }: Model): Model {
  return model;
}

export const graphDropped = ({ title }: FormatDescriptor): Finding =>
  finding(
    'warning',
    'GRAPH_DROPPED',
    'graph',
    `the graph has no place in ${title}; only weights are written`,
  );
