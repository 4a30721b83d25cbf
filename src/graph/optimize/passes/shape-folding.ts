import type { DType } from '../../../core/dtype.js';
import { memoryTensor } from '../../../core/tensor.js';
import type { NodeProto } from '../../../formats/onnx/schema.js';
import { inputOf, numberOf, outputOf } from '../../opset/attributes.js';
import { constantBytes } from '../../opset/constant-value.js';
import type { GraphPass } from '../pass.js';
import { type Sizes, sizesOf } from '../shape-values.js';
import type { WorkGraph } from '../work-graph.js';

/** Operators that sizes go through on their way into a Reshape. */
const COMPUTING = ['Shape', 'Size', 'Cast', 'Squeeze', 'Unsqueeze', 'Concat', 'Gather', 'Slice', 'Mul'];

/**
 * Sizes that are known become constants, also where others of the same shape are open. A Reshape with one open
 * size is told -1, or 0 where it is that of its input.
 */
export const shapeFolding: GraphPass = {
  name: 'shape-folding',
  summary: 'sizes that are known become constants; Reshape to one open size is told -1',
  level: 'basic',
  async apply(graph) {
    let found = 0;
    for (const original of graph.nodes) {
      const node = graph.maker(
        original.output.find((name) => name !== ''),
        ...COMPUTING,
        'Reshape',
      );
      if (!node) continue;
      const rewrite = graph.op(node) === 'Reshape' ? fixReshape : fold;
      if (await rewrite(graph, node)) found++;
    }
    return found;
  },
};

const isNumbers = (sizes: Sizes | undefined): sizes is readonly number[] =>
  sizes?.every((size) => typeof size === 'number') ?? false;

async function fold(graph: WorkGraph, node: NodeProto): Promise<boolean> {
  const output = outputOf(node, 0);
  // The runtime wants results of sub-graphs to come out of nodes.
  if (output === undefined || (graph.leaves(output) && graph.outer)) return false;
  const { dtype, shape = graph.op(node) === 'Size' ? [] : undefined } = graph.fact(output);
  if ((dtype !== 'i64' && dtype !== 'i32') || !shape || shape.length > 1) return false;
  const sizes = await sizesOf(graph, output);
  if (!isNumbers(sizes) || (shape.length === 0 && sizes.length !== 1)) return false;
  const dims = shape.length === 0 ? [] : [sizes.length];
  graph.setTensor(output, integers(output, dtype, dims, sizes));
  graph.remove(node);
  return true;
}

const integers = (name: string, dtype: DType, shape: readonly number[], values: readonly number[]) =>
  memoryTensor(
    { name, dtype, shape },
    constantBytes(dtype, dtype === 'i64' ? values.map(BigInt) : values),
    'constant',
  );

/** All sizes but one are known, or those of the input at the same place. */
async function fixReshape(graph: WorkGraph, node: NodeProto): Promise<boolean> {
  const [input, list] = [inputOf(node, 0), inputOf(node, 1)];
  if (!input || list === undefined || graph.constant(list) || numberOf(node, 'allowzero') === 1) return false;
  const sizes = await sizesOf(graph, list);
  if (!sizes || isNumbers(sizes)) return false;
  const from = graph.fact(input).shape;
  const open = sizes.filter((size) => typeof size !== 'number' || size === -1).length;
  const target = sizes.map((size, i) => {
    if (typeof size === 'number') return size;
    return open > 1 && size !== undefined && from?.[i] === size ? 0 : -1;
  });
  if (target.filter((size) => size === -1).length > 1) return false;
  const name = graph.addConstant(`${node.output[0] ?? ''}_shape`, 'i64', [target.length], target.map(BigInt));
  graph.replace(node, { ...node, input: [input, name] });
  return true;
}
