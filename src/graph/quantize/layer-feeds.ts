import { intOf } from '../opset/attributes.js';
import type { GramRequest } from './types.js';
import type { Weight } from './weights.js';

/** What a matrix is multiplied with: values whose last axis is summed over. undefined where they are not that simple. */
export function feedsOf({ op, nodes, shape, sums, shared }: Weight): GramRequest | undefined {
  if ((op !== 'MatMul' && op !== 'Gemm') || shape.length !== 2 || shared) return undefined;
  if (nodes.some((node) => node.opType === 'Gemm' && (intOf(node, 'transA') ?? 0n) !== 0n)) return undefined;
  const values = [...new Set(nodes.map(({ input: [value = ''] }) => value))].sort();
  const size = shape[sums] ?? 0;
  return size === 0 ? undefined : { key: JSON.stringify([size, ...values]), size, values };
}
