import { ENDS, inputAt, linked, outputAt, type Rule, stop } from '../rule.js';
import { stretching, unary } from './elementwise.js';
import { alongAxis, batchNorm, groupNorm, layerNorm, meanVariance } from './norms.js';
import { concat, gather, pad, pool, sameLength, slice, split } from './parts.js';
import { convolution, gemm, matMul } from './products.js';
import { reduction } from './reductions.js';
import { expand, filled, reshaping, transpose } from './reshaping.js';

const words = (text: string): readonly string[] => text.split(' ');

const UNARY = words(
  'Abs Acos Acosh Asin Asinh Atan Atanh BitwiseNot Cast Ceil Celu Cos Cosh Elu Erf Exp Floor Gelu HardSigmoid HardSwish Identity IsInf IsNaN LeakyRelu Log Mish Neg Not Reciprocal Relu Round Selu Shrink Sigmoid Sign Sin Sinh Softplus Softsign Sqrt Swish Tan Tanh ThresholdedRelu Bernoulli RandomNormalLike RandomUniformLike',
);
const STRETCHING = words(
  'Add And BitShift BitwiseAnd BitwiseOr BitwiseXor Div Equal Greater GreaterOrEqual Less LessOrEqual Max Mean Min Mod Mul Or Pow PRelu Sub Sum Where Xor',
);
const REDUCTIONS = words(
  'ArgMax ArgMin ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare',
);
const POOLS = words('AveragePool GlobalAveragePool GlobalLpPool GlobalMaxPool LpPool MaxPool');

/** Of two and more inputs the first counts, the rest are single numbers or types. */
const leading: Rule = ({ node, side, index, axis }) => {
  if (side === 'input' && index > 0) return stop('it is taken as a limit');
  return linked({ value: inputAt(node, 0) ?? '', axis }, { value: outputAt(node), axis });
};

/** The mask that it gives has the same shape. */
const dropout: Rule = ({ node, axis }) =>
  linked(
    { value: inputAt(node, 0) ?? '', axis },
    ...node.output.flatMap((value) => (value === '' ? [] : [{ value, axis }])),
  );

/** Instances of a channel are normalized by themselves. */
const instanceNorm: Rule = (entry, around) => batchNorm(entry, around);

const each = (names: readonly string[], rule: Rule): readonly (readonly [string, Rule])[] =>
  names.map((name) => [name, rule]);

const STANDARD: ReadonlyMap<string, Rule> = new Map<string, Rule>([
  ...each(UNARY, unary),
  ...each(STRETCHING, stretching),
  ...each(REDUCTIONS, reduction),
  ...each(POOLS, pool),
  ...each(words('Conv ConvTranspose'), convolution),
  ...each(words('Reshape Flatten Squeeze Unsqueeze'), reshaping),
  ...each(words('Softmax LogSoftmax Hardmax LpNormalization'), alongAxis(-1)),
  ...each(words('LayerNormalization RMSNormalization'), layerNorm),
  ...each(words('Tile Resize Upsample'), sameLength),
  ...each(words('Clip CastLike'), leading),
  ['MatMul', matMul],
  ['Gemm', gemm],
  ['BatchNormalization', batchNorm],
  ['InstanceNormalization', instanceNorm],
  ['GroupNormalization', groupNorm],
  ['MeanVarianceNormalization', meanVariance],
  ['Transpose', transpose],
  ['Expand', expand],
  ['ConstantOfShape', filled],
  ['Concat', concat],
  ['Split', split],
  ['Slice', slice],
  ['Gather', gather],
  ['Pad', pad],
  ['Dropout', dropout],
  ['Shape', () => ENDS],
]);

/** Operators of onnxruntime that work element by element, or as those of the standard do. */
const MICROSOFT: ReadonlyMap<string, Rule> = new Map<string, Rule>([
  ...each(words('Gelu QuickGelu'), unary),
  ...each(words('BiasGelu FastGelu'), stretching),
  ['LayerNormalization', layerNorm],
  ['SimplifiedLayerNormalization', layerNorm],
]);

/** How an operator hangs its axes together; undefined for one that is not understood. */
export function ruleFor(domain: string, operator: string): Rule | undefined {
  if (domain === '' || domain === 'ai.onnx')
    return STANDARD.get(operator) ?? (operator === 'SimplifiedLayerNormalization' ? layerNorm : undefined);
  return domain === 'com.microsoft' ? MICROSOFT.get(operator) : undefined;
}
