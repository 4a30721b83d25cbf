import { intsOf, numberOf } from '../../opset/attributes.js';
import { ENDS, fromFront, inputAt, linked, outputAt, type Rule, stop } from '../rule.js';

/** Sums do not notice channels that are zero, means do, and the rest depends on which ones there are. */
const SUMS: ReadonlySet<string> = new Set(['ReduceSum', 'ReduceL1', 'ReduceL2', 'ReduceSumSquare']);

export const reduction: Rule = ({ node, side, index, axis }, around) => {
  if (side === 'input' && index > 0) return stop('axes are taken from it');
  const [from = ''] = node.input;
  const rank = around.shape(from)?.length;
  if (rank === undefined) return stop('its shape is not known');
  const listed = intsOf(node, 'axes')?.map(Number) ?? around.integers(inputAt(node, 1));
  if (inputAt(node, 1) !== undefined && !listed) return stop('the axes it is given are computed');
  const one = node.opType?.startsWith('Arg') ? [numberOf(node, 'axis') ?? 0] : undefined;
  const empty = (listed?.length ?? 0) === 0 && one === undefined;
  const nothing = empty && (numberOf(node, 'noop_with_empty_axes') ?? 0) !== 0;
  const all = Array.from({ length: rank }, (_, i) => i);
  const axes = nothing ? [] : empty ? all : (one ?? listed ?? []).map((at) => fromFront(at, rank));
  const kept = (numberOf(node, 'keepdims') ?? 1) !== 0;
  const left = all.filter((at) => !axes.includes(at));
  const inside = side === 'input' ? axis : kept ? axis : (left[axis] ?? 0);
  if (!axes.includes(inside))
    return linked(
      { value: from, axis: inside },
      { value: outputAt(node), axis: kept ? inside : left.indexOf(inside) },
    );
  if (SUMS.has(node.opType ?? '')) return ENDS;
  if (node.opType === 'ReduceMean')
    return { links: [], inexact: 'it takes the mean over the channels that would change' };
  return stop('what it gives depends on which channels there are');
};
