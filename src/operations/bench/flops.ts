import type { NodeProfile } from '../../runtime/protocol.js';
import { elements, shapeOf } from './shapes.js';

type Shapes = Pick<NodeProfile, 'inputs' | 'outputs'>;
type Counter = (node: Shapes) => number;

const input = ({ inputs }: Shapes, at: number): readonly number[] => shapeOf(inputs[at]);
const output = ({ outputs }: Shapes, at = 0): readonly number[] => shapeOf(outputs[at]);
const size = (shape: readonly number[]): number => elements(shape);

/** A product and a sum for each element of the axis that is summed over, which is the last of A. */
const product: Counter = (node) => 2 * size(output(node)) * (input(node, 0).at(-1) ?? 1);

/** The same where A may be transposed: with A = M × K, B = K × N and C = M × N, K² = |A|·|B| ÷ |C|. */
const turnedProduct: Counter = (node) => {
  const [a, b, c] = [input(node, 0), input(node, 1), output(node)].map((shape) => size(shape.slice(-2)));
  if (input(node, 0).length < 2 || input(node, 1).length < 2 || !a || !b || !c) return product(node);
  return 2 * size(output(node)) * Math.sqrt((a * b) / c);
};

/** Each element of the result sums over a filter: weights are M × C/group × k…, whatever stride and padding are. */
const convolution =
  (weights: number): Counter =>
  (node) =>
    2 * size(output(node)) * size(input(node, weights).slice(1));
/** Each element of the input is spread over a filter: weights are C × M/group × k…. */
const spread: Counter = (node) => 2 * size(input(node, 0)) * size(input(node, 1).slice(1));

/** X is T × B × I, W and R hold the gates of all directions: each step multiplies with both. */
const recurrent: Counter = (node) => {
  const [steps, batch] = [input(node, 0)[0] ?? 0, input(node, 0)[1] ?? 0];
  return 2 * steps * batch * (size(input(node, 1)) + size(input(node, 2)));
};

/** Q·Kᵀ and ·V: for every element of Q, and of the result, as many products as there are keys. */
const scores = (node: Shapes, keys: number): number => 2 * keys * (size(input(node, 0)) + size(output(node)));
const attention: Counter = (node) => scores(node, input(node, 1).at(-2) ?? input(node, 0).at(-2) ?? 0);
/** com.microsoft.GroupQueryAttention: the second result holds all keys, those of before too. */
const cachedAttention: Counter = (node) => scores(node, output(node, 1).at(-2) ?? input(node, 1).at(-2) ?? 0);
/** com.microsoft.Attention projects its input itself: X is B × S × I, the weights I × 3H. */
const projectedAttention: Counter = (node) => {
  const rows = size(input(node, 0).slice(0, -1));
  return 2 * rows * size(input(node, 1)) + 4 * size(output(node)) * (input(node, 0).at(-2) ?? 0);
};

const perResult =
  (operations: number): Counter =>
  (node) =>
    operations * size(output(node));
const perInput: Counter = (node) => size(input(node, 0));
const none: Counter = () => 0;

const words = (text: string): readonly string[] => text.split(' ');
const table = new Map<string, Counter>();
const count = (names: string, counter: Counter): void => {
  for (const name of words(names)) table.set(name, counter);
};

count(
  'MatMul MatMulInteger MatMulIntegerToFloat DynamicQuantizeMatMul QLinearMatMul MatMulNBits MatMulBnb4 QGemm',
  product,
);
count('Gemm FusedGemm FusedMatMul TransposeMatMul', turnedProduct);
count('Conv FusedConv NhwcConv NhwcFusedConv ConvInteger', convolution(1));
count('QLinearConv', convolution(3));
count('ConvTranspose', spread);
count('LSTM GRU RNN DynamicQuantizeLSTM', recurrent);
count('MultiHeadAttention', attention);
count('GroupQueryAttention', cachedAttention);
// The standard operator (opset 23) takes Q, K, V; that of com.microsoft weights of rank 2.
count('Attention', (node) => (input(node, 1).length === 2 ? projectedAttention(node) : attention(node)));
// By convention one operation an element, however hard the function is.
count(
  'Abs Acos Acosh Add And Asin Asinh Atan Atanh Ceil Celu Clip Cos Cosh Div Elu Equal Erf Exp Floor Greater GreaterOrEqual HardSigmoid HardSwish LeakyRelu Less LessOrEqual Log Max Mean Min Mod Mul Neg Not Or PRelu Pow QLinearAdd QLinearMul QLinearSigmoid QLinearLeakyRelu Reciprocal Relu Round Selu Sigmoid Sign Sin Sinh Softplus Softsign Sqrt Sub Sum Tan Tanh ThresholdedRelu Where Xor QuickGelu',
  perResult(1),
);
count('BatchNormalization QuantizeLinear DequantizeLinear GatherBlockQuantized', perResult(2));
count('RotaryEmbedding', perResult(3));
count('DynamicQuantizeLinear', perResult(4));
count('Softmax LogSoftmax BiasSoftmax QLinearSoftmax Hardmax', perResult(5));
count(
  'Gelu FastGelu BiasGelu LayerNormalization EmbedLayerNormalization SkipLayerNormalization SimplifiedLayerNormalization SkipSimplifiedLayerNormalization RMSNormalization InstanceNormalization GroupNormalization LpNormalization MeanVarianceNormalization',
  perResult(8),
);
// Each element is looked at once; where windows overlap, more often, which shapes do not tell.
count(
  'AveragePool GlobalAveragePool GlobalMaxPool LpPool GlobalLpPool MaxPool NhwcMaxPool QLinearAveragePool QLinearGlobalAveragePool ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare ArgMax ArgMin CumSum',
  perInput,
);
count(
  'Cast CastLike Compress Concat Constant ConstantOfShape DepthToSpace Dropout Expand EyeLike Flatten Gather GatherElements GatherND Identity If Loop QLinearConcat Memcpy MemcpyFromHost MemcpyToHost NonZero OneHot Pad Range ReorderInput ReorderOutput Reshape Resize ReverseSequence Scan Scatter ScatterElements ScatterND Shape Size Slice SpaceToDepth Split Squeeze Tile TopK Transpose Trilu Unique Unsqueeze Upsample QuickTranspose',
  none,
);

/**
 * Operations of one run of a node: multiplications and additions, a fused pair being two. From the shapes that it
 * really had, which say enough: none of the counted operators needs its attributes. undefined: not one that is counted.
 */
export function flopsOf(node: Pick<NodeProfile, 'op' | 'inputs' | 'outputs'>): number | undefined {
  return table.get(node.op)?.(node);
}
