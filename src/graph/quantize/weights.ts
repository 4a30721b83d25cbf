import type { EditNode, GraphEdit } from '../edit.js';
import type { QuantizeSettings } from './types.js';

export type WeightOp = 'MatMul' | 'Gemm' | 'Conv' | 'Gather';

/** How nodes take a weight. */
interface Role {
  readonly op: WeightOp;
  /** Axis of the outputs: each index may have a scale. */
  readonly channels: number;
  /** Axis that is summed over: blocks lie along it. */
  readonly sums: number;
}

/** An initializer that nodes take as a weight. */
export interface Weight extends Role {
  readonly name: string;
  readonly shape: readonly number[];
  readonly nodes: readonly EditNode[];
  /** It is needed under its name: other nodes or sub-graphs take it too, in other ways. */
  readonly shared: boolean;
}

const isSet = (node: EditNode, attribute: string): boolean =>
  (node.attribute.find(({ name }) => name === attribute)?.i ?? 0n) !== 0n;

/** By the definitions of the operators. */
function roleOf(node: EditNode, name: string, rank: number): Role | undefined {
  if ((node.domain ?? '') !== '' || node.input.filter((one) => one === name).length !== 1) return undefined;
  const at = node.input.indexOf(name);
  if (node.opType === 'MatMul' && at === 1 && rank >= 2)
    return { op: 'MatMul', channels: rank - 1, sums: rank - 2 };
  if (node.opType === 'Gemm' && at === 1 && rank === 2) {
    const channels = isSet(node, 'transB') ? 0 : 1;
    return { op: 'Gemm', channels, sums: 1 - channels };
  }
  if (node.opType === 'Conv' && at === 1 && rank >= 3) return { op: 'Conv', channels: 0, sums: 1 };
  if (node.opType === 'Gather' && at === 0 && rank === 2 && !isSet(node, 'axis'))
    return { op: 'Gather', channels: 1, sums: 1 };
  return undefined;
}

/** Weights of a graph that may be quantized: f32 and f16 that never change. A table that is also multiplied is a weight. */
export function weightsOf(
  edit: GraphEdit,
  settings: QuantizeSettings,
  ops: ReadonlySet<WeightOp>,
): readonly Weight[] {
  const consumers = edit.consumers();
  const { captured, outputNames } = edit;
  const found: Weight[] = [];
  for (const [name, { info, byteLength }] of edit.initializers) {
    if ((info.dtype !== 'f32' && info.dtype !== 'f16') || byteLength === 0) continue;
    if (!edit.isConstant(name) || outputNames.has(name) || !settings.selects(name)) continue;
    const nodes = consumers.get(name) ?? [];
    const roles = nodes.map((node) => roleOf(node, name, info.shape.length));
    const role = roles.find((one) => one && one.op !== 'Gather') ?? roles.find((one) => one);
    if (!role || !ops.has(role.op)) continue;
    const alike = roles.every((one) => one?.op === role.op && one.channels === role.channels);
    found.push({ name, ...role, shape: info.shape, nodes, shared: !alike || captured.has(name) });
  }
  return found;
}
