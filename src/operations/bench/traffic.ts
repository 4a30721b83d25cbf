import type { NodeProfile } from '../../runtime/protocol.js';
import { bytesOf } from './shapes.js';

/** The runtime hands the same memory on under another shape. */
const VIEWS = new Set(['Reshape', 'Flatten', 'Squeeze', 'Unsqueeze', 'Identity', 'Dropout']);
/** They read no more of the first input than they give. */
const PICKING = new Set([
  'Gather',
  'GatherElements',
  'GatherND',
  'Slice',
  'Compress',
  'EmbedLayerNormalization',
]);
/** They look at the shape only, or run others, which are told apart. */
const SHAPES = new Set(['Shape', 'Size', 'If', 'Loop', 'Scan']);

/** The least that a node must move: every operand read once, every result written once. */
export function trafficOf({ op, inputs, outputs }: Pick<NodeProfile, 'op' | 'inputs' | 'outputs'>): number {
  if (VIEWS.has(op)) return 0;
  const sum = (values: NodeProfile['inputs']): number =>
    values.reduce((total, value) => total + bytesOf(value), 0);
  const written = sum(outputs);
  if (SHAPES.has(op)) return written;
  const [first, ...others] = inputs;
  const read = first ? bytesOf(first) : 0;
  return (PICKING.has(op) ? Math.min(read, written) : read) + sum(others) + written;
}
