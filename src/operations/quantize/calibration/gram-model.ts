import type { Model } from '../../../core/model.js';
import type { NodeProto } from '../../../formats/onnx/schema.js';
import { type NodeDescription, nodeProto } from '../../../graph/build.js';
import type { GramSource } from '../../../graph/quantize/types.js';
import { withOutputs } from '../../observed-model.js';

/** What the output is called that holds the Gram matrix of a source, by its place among the sources. */
export const gramName = (index: number): string => `mlser_gram_${index}`;

/** TensorProto.DataType. */
const [FLOAT, DOUBLE] = [1n, 11n];
/** What columns of ones are filled with. */
const ONE = { name: '', dtype: 'f64' as const, shape: [], raw: new Uint8Array(Float64Array.of(1).buffer) };

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

/** What the outputs are called that hold the largest and the sum of |x|, and the sums of x² and of 1, of each column. */
export const largestName = (index: number): string => `mlser_largest_${index}`;
export const sumName = (index: number): string => `mlser_sum_${index}`;
export const squaresName = (index: number): string => `mlser_squares_${index}`;
export const shapeOfRows = (index: number): string => `mlser_rows_${index}`;

/** The model with the magnitudes of each source's columns as its outputs. */
export function magnifying(model: Model, sources: readonly GramSource[]): Model {
  const opset = model.graph?.opsets.get('') ?? 0;
  return withOutputs(
    model,
    sources.flatMap((_, index) =>
      [largestName, sumName, squaresName, shapeOfRows].map((name) => name(index)),
    ),
    sources.flatMap(({ value, size }, index) => {
      const name = (what: string): string => `mlser_column_${what}_${index}`;
      const constant = (what: string, numbers: readonly number[]): NodeDescription => {
        const raw = new Uint8Array(BigInt64Array.from(numbers.map(BigInt)).buffer);
        const tensor = { name: '', dtype: 'i64' as const, shape: [numbers.length], raw };
        return { op: 'Constant', inputs: [], outputs: [name(what)], attributes: { value: tensor } };
      };
      // Axes were an attribute before version 13 of ReduceSum and 18 of ReduceMax.
      const reduce = (op: string, from: string, output: string, since: number): NodeDescription => {
        const inputs = [name(from), ...(opset >= since ? [name('axis')] : [])];
        const axes = opset >= since ? {} : { axes: [0n] };
        return { op, inputs, outputs: [output], attributes: { keepdims: 0n, ...axes } };
      };
      return [
        constant('shape', [-1, size]),
        constant('axis', [0]),
        { op: 'Cast', inputs: [value], outputs: [name('wide')], attributes: { to: DOUBLE } },
        { op: 'Reshape', inputs: [name('wide'), name('shape')], outputs: [name('rows')] },
        { op: 'Abs', inputs: [name('rows')], outputs: [name('abs')] },
        { op: 'Mul', inputs: [name('rows'), name('rows')], outputs: [name('squares')] },
        { op: 'Shape', inputs: [name('rows')], outputs: [shapeOfRows(index)] },
        reduce('ReduceMax', 'abs', largestName(index), 18),
        reduce('ReduceSum', 'abs', sumName(index), 13),
        reduce('ReduceSum', 'squares', squaresName(index), 13),
      ].map((node, i) => nodeProto({ name: `${name('node')}_${i}`, ...node }, 0));
    }),
  );
}

function nodesFor({ value, size, patches, ones }: GramSource, output: string): readonly NodeProto[] {
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
  const extended = (rows: string, before: readonly number[], after: readonly number[]): string =>
    ones
      ? step('Pad', [rows, sizes(...before, ...after), step('Constant', [], { attributes: { value: ONE } })])
      : rows;
  if (!patches) {
    const rows = extended(step('Reshape', [cast(value, DOUBLE), sizes(-1, size)]), [0, 0], [0, 1]);
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
  const columns = extended(step('Reshape', [cast(turned, DOUBLE), sizes(size, -1)]), [0, 0], [1, 0]);
  step('MatMul', [columns, turn(columns, [1, 0])], { outputs: [output] });
  return nodes;
}
