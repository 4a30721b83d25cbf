import { elementCount } from '../../core/dtype.js';
import type { EditNode } from '../edit.js';
import { numberOf } from '../opset/attributes.js';
import type { GramRequest } from '../quantize/types.js';
import type { ChannelGraph } from './graph.js';
import type { ChannelGroup, Member } from './groups.js';
import { inputAt } from './rule.js';

/** A weight that sums over channels of a group, as a matrix of outputs × columns. */
export interface Consumer {
  readonly node: EditNode;
  readonly weight: Member;
  readonly outputs: number;
  /** Positions of the summed axis, and the places of a kernel behind each: columns = positions · places. */
  readonly places: number;
  /** Outputs lie behind each other in memory; else the columns do (MatMul). */
  readonly outputsFirst: boolean;
  /** What it is multiplied with, a column of ones added. */
  readonly feeds: GramRequest;
}

/** The products of a group whose inputs can be looked at as rows: a weight of their own, no groups, two factors. */
export function consumersOf(graph: ChannelGraph, { weights }: ChannelGroup): readonly Consumer[] {
  if (graph.opset < 11) return [];
  return weights.flatMap((weight) => consumer(graph, weight) ?? []);
}

function consumer(graph: ChannelGraph, weight: Member): Consumer | undefined {
  const [node, ...others] = graph.takers(weight.value);
  const shape = graph.shape(weight.value);
  if (!node || others.length > 0 || !shape || (node.domain ?? '') !== '') return undefined;
  const [value, second] = [inputAt(node, 0), inputAt(node, 1)];
  if (value === undefined || second !== weight.value || graph.isStatic(value)) return undefined;
  const layout = layoutOf(node, shape, weight.axis);
  if (!layout) return undefined;
  const columns = layout.places * weight.units.length;
  const inner = shape.slice(1);
  const attributes = node.attribute.filter(({ name }) => name !== 'kernel_shape');
  const patches = node.opType === 'Conv' ? { patches: { shape: inner, attributes } } : {};
  const id = `${weight.value} of ${value}`;
  const source = { ...{ id, value, size: columns, ones: true }, ...patches };
  return {
    ...{ node, weight, outputs: elementCount(shape) / columns, ...layout },
    feeds: { key: id, size: columns + 1, sources: [source] },
  };
}

function layoutOf(
  node: EditNode,
  shape: readonly number[],
  axis: number,
): Pick<Consumer, 'places' | 'outputsFirst'> | undefined {
  switch (node.opType) {
    case 'Conv':
      if (axis !== 1 || (numberOf(node, 'group') ?? 1) !== 1) return undefined;
      return { places: elementCount(shape.slice(2)), outputsFirst: true };
    case 'Gemm': {
      if ((numberOf(node, 'transA') ?? 0) !== 0 || scaled(node)) return undefined;
      const turned = (numberOf(node, 'transB') ?? 0) !== 0;
      return axis === (turned ? 1 : 0) ? { places: 1, outputsFirst: turned } : undefined;
    }
    case 'MatMul':
      return axis === 0 && shape.length === 2 ? { places: 1, outputsFirst: false } : undefined;
    default:
      return undefined;
  }
}

/** Gemm with factors of its own. */
const scaled = (node: EditNode): boolean =>
  node.attribute.some(({ name, f }) => (name === 'alpha' || name === 'beta') && f !== undefined && f !== 1);
