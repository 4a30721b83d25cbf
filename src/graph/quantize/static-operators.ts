import { domainOf } from '../../formats/onnx/check-node.js';
import type { AttributeProto } from '../../formats/onnx/schema.js';
import type { EditNode, GraphEdit } from '../edit.js';
import type { QuantizeSettings } from './types.js';

/**
 * What a node is to integer arithmetic. `compute`: multiplies with weights, the reason for all the rest. `mixing`: has
 * an integer kernel and an output range of its own. `passing`: hands on what it gets, in the scale that it has.
 */
export type Kind = 'compute' | 'mixing' | 'passing';

/** A node that could work on integers. */
export interface Candidate {
  readonly node: EditNode;
  readonly kind: Kind;
  /** Values computed by the graph that it takes as numbers. */
  readonly inputs: readonly string[];
  /** Constants that it takes as numbers: the weight, or the other side of a sum. */
  readonly constants: readonly string[];
  readonly bias?: string;
  /** Axis of output channels of the weight. */
  readonly axis?: number;
}

const MIXING = new Set(['Add', 'Mul', 'Concat', 'AveragePool', 'GlobalAveragePool', 'Sigmoid', 'LeakyRelu']);
const PASSING = new Set([
  'MaxPool',
  'Resize',
  'Reshape',
  'Transpose',
  'Flatten',
  'Squeeze',
  'Unsqueeze',
  'Slice',
  'Gather',
  'Split',
  'Expand',
  'Tile',
]);

/** Takes no elements: the integers of a value tell it as much as the value. */
export const readsShapeOnly = ({ domain, opType }: EditNode): boolean =>
  domainOf(domain) === '' && (opType === 'Shape' || opType === 'Size');

export const attribute = (node: EditNode, name: string): AttributeProto | undefined =>
  node.attribute.find((one) => one.name === name);

/** What can be quantized of a node as it stands; undefined for nothing. */
export function candidateOf(
  edit: GraphEdit,
  node: EditNode,
  settings: QuantizeSettings,
): Candidate | undefined {
  if (domainOf(node.domain) !== '') return undefined;
  const op = node.opType ?? '';
  if (op === 'Conv' || op === 'Gemm' || op === 'MatMul') return compute(edit, node, settings);
  if (MIXING.has(op)) return mixing(edit, node, settings);
  const passes = PASSING.has(op) || (op === 'Relu' && settings.symmetric === true);
  const [first = ''] = node.input;
  if (!passes || first === '' || edit.isConstant(first)) return undefined;
  if (op === 'Resize' && !picksNearest(node)) return undefined;
  // The second output of MaxPool counts positions.
  if (op === 'MaxPool' && node.output.length > 1) return undefined;
  return { node, kind: 'passing', inputs: [first], constants: [] };
}

function compute(edit: GraphEdit, node: EditNode, settings: QuantizeSettings): Candidate | undefined {
  const [a = '', b = '', bias = ''] = node.input;
  if (a === '' || edit.isConstant(a)) return undefined;
  if (!edit.isConstant(b))
    return node.opType === 'MatMul' && b !== ''
      ? { node, kind: 'compute', inputs: [a, b], constants: [] }
      : undefined;
  const weight = floats(edit, b);
  if (!weight || !settings.selects(b)) return undefined;
  const rank = weight.info.shape.length;
  const made = { node, kind: 'compute', inputs: [a], constants: [b] } as const;
  if (node.opType === 'MatMul') return rank === 2 ? { ...made, axis: 1 } : rank > 2 ? made : undefined;
  const channels = node.opType === 'Conv' ? 0 : (attribute(node, 'transB')?.i ?? 0n) === 0n ? 1 : 0;
  if (node.opType === 'Gemm') {
    const scaled =
      (attribute(node, 'alpha')?.f ?? 1) !== 1 || (bias !== '' && (attribute(node, 'beta')?.f ?? 1) !== 1);
    if (scaled || rank !== 2) return undefined;
  }
  if (bias === '') return { ...made, axis: channels };
  // One number for each output channel: that is what integer kernels add.
  const added = floats(edit, bias);
  if (added?.info.shape.length !== 1 || added.info.shape[0] !== weight.info.shape[channels]) return undefined;
  return { ...made, axis: channels, bias };
}

function picksNearest(node: EditNode): boolean {
  const mode = attribute(node, 'mode')?.s;
  return mode === undefined || Buffer.from(mode).toString('utf8') === 'nearest';
}

function mixing(edit: GraphEdit, node: EditNode, settings: QuantizeSettings): Candidate | undefined {
  // Kernels for integers know no dilations.
  if (node.opType === 'AveragePool' && attribute(node, 'dilations')?.ints.some((n) => n !== 1n))
    return undefined;
  const constants = node.input.filter((name) => edit.isConstant(name));
  const inputs = node.input.filter((name) => !edit.isConstant(name));
  if (inputs.length === 0 || inputs.includes('')) return undefined;
  const usable = constants.every((name) => floats(edit, name) && settings.selects(name));
  return usable ? { node, kind: 'mixing', inputs, constants } : undefined;
}

/** A constant of f32 with something in it. */
function floats(edit: GraphEdit, name: string) {
  const tensor = edit.isConstant(name) ? edit.tensor(name) : undefined;
  return tensor?.info.dtype === 'f32' && tensor.byteLength > 0 ? tensor : undefined;
}
