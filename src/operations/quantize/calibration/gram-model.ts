import type { Model } from '../../../core/model.js';
import type { NodeProto } from '../../../formats/onnx/schema.js';
import { type NodeDescription, nodeProto } from '../../../graph/build.js';
import type { GramSource } from '../../../graph/quantize/types.js';
import { withOutputs } from './observed-model.js';

/** What the output is called that holds the Gram matrix of a source, by its place among the sources. */
export const gramName = (index: number): string => `mlser_gram_${index}`;

/** TensorProto.DataType. */
const [FLOAT, DOUBLE] = [1n, 11n];

/**
 * The model with Gram matrices XᵀX as its outputs, X being the rows of each source. They are multiplied in f64, where
 * products of f32 values are exact.
 */
export const multiplying = (model: Model, sources: readonly GramSource[]): Model =>
  withOutputs(
    model,
    sources.map((_, index) => gramName(index)),
    sources.flatMap((source, index) => nodesFor(source, gramName(index))),
  );

function nodesFor({ value, size, patches }: GramSource, output: string): readonly NodeProto[] {
  const nodes: NodeProto[] = [];
  const step = (op: string, inputs: readonly string[], rest: Partial<NodeDescription> = {}): string => {
    const name = `${output}_${nodes.length}`;
    nodes.push(nodeProto({ op, inputs, outputs: [name], name, ...rest }, 0));
    return name;
  };
  const turn = (name: string, perm: readonly number[]): string =>
    step('Transpose', [name], { attributes: { perm: perm.map(BigInt) } });
  const cast = (name: string, to: bigint): string => step('Cast', [name], { attributes: { to } });
  const sizes = (...dims: readonly number[]): string => {
    const raw = new Uint8Array(BigInt64Array.from(dims.map(BigInt)).buffer);
    return step('Constant', [], {
      attributes: { value: { name: '', dtype: 'i64', shape: [dims.length], raw } },
    });
  };
  if (!patches) {
    const rows = step('Reshape', [cast(value, DOUBLE), sizes(-1, size)]);
    step('MatMul', [turn(rows, [1, 0]), rows], { outputs: [output] });
    return nodes;
  }
  // A kernel with an output for each of its places gives the patches themselves.
  const eye = step('EyeLike', [step('ConstantOfShape', [sizes(size, size)])], {
    attributes: { dtype: FLOAT },
  });
  const kernel = step('Reshape', [eye, sizes(size, ...patches.shape)]);
  const convolved = step('Conv', [cast(value, FLOAT), kernel]);
  const last = nodes.pop();
  if (last) nodes.push({ ...last, attribute: patches.attributes });
  const turned = turn(convolved, [1, 0, ...patches.shape.slice(1).map((_, axis) => axis + 2)]);
  const columns = step('Reshape', [cast(turned, DOUBLE), sizes(size, -1)]);
  step('MatMul', [columns, turn(columns, [1, 0])], { outputs: [output] });
  return nodes;
}
