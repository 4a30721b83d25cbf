import { elementCount } from '../../core/dtype.js';
import { intOf } from '../opset/attributes.js';
import type { Plan } from './integer-plan.js';
import { specOf } from './integer-plan.js';
import type { GramRequest, GramSource } from './types.js';
import type { Weight } from './weights.js';

/** What a weight is multiplied with. undefined where it is not that simple. */
export function feedsOf(plan: Plan): GramRequest | undefined {
  const { weight } = plan;
  if (weight.shared) return undefined;
  const sources = weight.op === 'Conv' ? patchesOf(weight, specOf(plan).block) : rowsOf(weight);
  const [first] = sources ?? [];
  if (!sources || !first || first.size === 0) return undefined;
  return { key: JSON.stringify(sources.map(({ id }) => id)), size: first.size, sources };
}

/** MatMul and Gemm: the last axis is summed over. */
function rowsOf({ op, nodes, shape, sums }: Weight): readonly GramSource[] | undefined {
  if ((op !== 'MatMul' && op !== 'Gemm') || shape.length !== 2) return undefined;
  if (nodes.some((node) => node.opType === 'Gemm' && (intOf(node, 'transA') ?? 0n) !== 0n)) return undefined;
  const values = new Set(nodes.map(({ input: [value = ''] }) => value));
  return [...values].sort().map((value) => ({ id: value, value, size: shape[sums] ?? 0 }));
}

/** Conv without groups is a product with patches, where a scale is for all that an output sums up. */
function patchesOf(
  { name, nodes, shape }: Weight,
  block: number | undefined,
): readonly GramSource[] | undefined {
  const [node, ...others] = nodes;
  if (!node || others.length > 0 || block !== undefined || (intOf(node, 'group') ?? 1n) !== 1n)
    return undefined;
  const [value = ''] = node.input;
  const inner = shape.slice(1);
  const attributes = node.attribute.filter((one) => one.name !== 'kernel_shape');
  return [
    { id: `${name} of ${value}`, value, size: elementCount(inner), patches: { shape: inner, attributes } },
  ];
}
