import { LIMITS } from '../../core/limits.js';
import type { NodeProto } from '../../formats/onnx/schema.js';
import { inputOf, intsOf, numberOf } from './attributes.js';
import type { Scope } from './scope.js';

type Shape = readonly (number | undefined)[];

const words = (text: string): ReadonlySet<string> => new Set(text.split(' '));

/** One result, as large as the first input. */
const KEEPING = words(
  'Abs BatchNormalization Cast CastLike Ceil Celu Clip CumSum Dropout Elu Erf Exp Floor Gelu GroupNormalization HardSigmoid HardSwish Hardmax Identity InstanceNormalization IsInf IsNaN LRN LayerNormalization LeakyRelu Log LogSoftmax LpNormalization MeanVarianceNormalization Mish Neg Not PRelu QuantizeLinear DequantizeLinear RMSNormalization Reciprocal Relu Round ScatterElements ScatterND Selu Shrink Sigmoid Sign Sin Cos Softmax Softplus Softsign Sqrt Swish Tan Tanh ThresholdedRelu Trilu',
);
/** As many dimensions as the first input, of other sizes. */
const SAME_RANK = words(
  'AveragePool CenterCropPad Conv ConvInteger ConvTranspose DepthToSpace GatherElements GlobalAveragePool GlobalLpPool GlobalMaxPool LpPool MaxPool Pad QLinearConv Resize ReverseSequence Slice SpaceToDepth Split Tile TopK Transpose Upsample',
);
/** Inputs are stretched to a common shape. */
const STRETCHING = words(
  'Add And BitShift BitwiseAnd BitwiseOr BitwiseXor Div Equal Greater GreaterOrEqual Less LessOrEqual Max Mean Min Mod Mul Or Pow Sub Sum Where Xor',
);

/** Where shapes of values are known. */
type Shapes = Pick<Scope, 'shape'>;

/** The shape of a node's results as far as it follows from what is known; only the number of dimensions, often. */
export function inferShape(node: NodeProto, scope: Scope): void {
  for (const [name, shape] of inferredShapes(node, scope))
    if (!scope.shape(name)) scope.setShape(name, shape);
}

/** Results whose shape follows from what is known of the inputs. */
export function inferredShapes(node: NodeProto, scope: Shapes): readonly (readonly [string, Shape])[] {
  const shape = shapeOf(node, scope);
  if (!shape) return [];
  const same = KEEPING.has(node.opType ?? '') ? node.output.slice(0, 1) : node.output;
  return same.flatMap((name) => (name === '' ? [] : [[name, shape]]));
}

function shapeOf(node: NodeProto, scope: Shapes): Shape | undefined {
  const operator = node.opType ?? '';
  const first = scope.shape(node.input[0]);
  if (KEEPING.has(operator)) return first;
  if (SAME_RANK.has(operator)) return first && unknown(first.length);
  if (STRETCHING.has(operator)) return stretched(node.input.map((name) => scope.shape(name)));
  if (operator.startsWith('Reduce')) return reduced(node, first, scope);
  switch (operator) {
    case 'Shape':
      return [first && node.attribute.length === 0 ? first.length : undefined];
    case 'Concat':
      return concatenated(node.input.map((name) => scope.shape(name)));
    case 'Gemm':
    case 'Flatten':
    case 'NonZero':
      return unknown(2);
    case 'MatMul':
    case 'MatMulInteger':
      return product(first, scope.shape(node.input[1]));
    case 'Gather':
      return joined(first, scope.shape(node.input[1]), -1);
    case 'Reshape':
    case 'ConstantOfShape':
      return lengthOf(scope.shape(node.input[operator === 'Reshape' ? 1 : 0]));
    case 'Expand':
      return stretched([first, lengthOf(scope.shape(node.input[1]))])?.map(() => undefined);
    case 'Unsqueeze': {
      const shape = resized(first, axisCount(node, scope), 1);
      return first?.length === 0 ? shape?.map(() => 1) : shape;
    }
    case 'Squeeze':
      return resized(first, axisCount(node, scope), -1);
    default:
      return undefined;
  }
}

/** So many sizes that are not known. What a broken graph claims may be more than there can be. */
const unknown = (rank: number): Shape | undefined =>
  rank >= 0 && rank <= LIMITS.RANK ? new Array<undefined>(rank).fill(undefined) : undefined;

/** Lists of sizes are put together from known pieces. */
function concatenated(shapes: readonly (Shape | undefined)[]): Shape | undefined {
  const rank = shapes.find((shape) => shape)?.length;
  if (rank !== 1) return rank === undefined ? undefined : unknown(rank);
  let length: number | undefined = 0;
  for (const shape of shapes) {
    const [dim] = shape ?? [];
    length = length === undefined || dim === undefined ? undefined : length + dim;
  }
  return [length];
}

/** The shape that a list of so many sizes describes. */
function lengthOf(sizes: Shape | undefined): Shape | undefined {
  const [rank] = sizes ?? [];
  return rank === undefined ? undefined : unknown(rank);
}

function stretched(shapes: readonly (Shape | undefined)[]): Shape | undefined {
  let result: Shape = [];
  for (const shape of shapes) {
    if (!shape) return undefined;
    const [long, short] = shape.length > result.length ? [shape, result] : [result, shape];
    const offset = long.length - short.length;
    result = long.map((dim, i) => {
      if (i < offset) return dim;
      const other = short[i - offset];
      if (dim === 1) return other;
      return other === 1 || dim === other ? dim : dim !== undefined ? dim : other;
    });
  }
  return result;
}

function product(a: Shape | undefined, b: Shape | undefined): Shape | undefined {
  if (!a || !b) return undefined;
  const rank = Math.max(a.length, b.length, 2) - (a.length === 1 ? 1 : 0) - (b.length === 1 ? 1 : 0);
  const inner = [...(a.length > 1 ? [a.at(-2)] : []), ...(b.length > 1 ? [b.at(-1)] : [])];
  return unknown(rank)?.toSpliced(rank - inner.length, inner.length, ...inner);
}

function joined(a: Shape | undefined, b: Shape | undefined, extra: number): Shape | undefined {
  return a && b && unknown(Math.max(0, a.length + b.length + extra));
}

/** How many axes a node names, as an attribute or an input; undefined if none or not known. */
function axisCount(node: NodeProto, scope: Shapes): number | undefined {
  const attribute = intsOf(node, 'axes');
  if (attribute) return attribute.length;
  return scope.shape(inputOf(node, 1))?.[0];
}

function resized(shape: Shape | undefined, count: number | undefined, sign: 1 | -1): Shape | undefined {
  if (!shape || count === undefined) return undefined;
  return unknown(Math.max(0, shape.length + sign * count));
}

function reduced(node: NodeProto, shape: Shape | undefined, scope: Shapes): Shape | undefined {
  if ((numberOf(node, 'keepdims') ?? 1) === 1) return shape && unknown(shape.length);
  return resized(shape, axisCount(node, scope), -1);
}
