import { domainOf } from '../../formats/onnx/check-node.js';
import type { NodeProto } from '../../formats/onnx/schema.js';
import { textOf } from '../opset/attributes.js';
import { historyOf, type Parameter } from '../opset/history.js';

/** A 16-bit float that a graph can compute in, or store its weights as. */
export type Half = 'f16' | 'bf16';

export interface Signature {
  readonly inputs: readonly Parameter[];
  readonly outputs: readonly Parameter[];
}

const words = (text: string): ReadonlySet<string> => new Set(text.trim().split(/\s+/));

/**
 * They stay in f32. Because no half type is theirs (ONNX specification), because onnxruntime has no kernel that its
 * casts could lead to (1.30, tried one by one), or because half precision makes no sense for what they count, sum up or
 * point at: indices and coordinates past 2048, running sums, sums of squares, scores that are ranked.
 */
const FLOAT_ONLY = words(`
  Range CumSum CumProd NonMaxSuppression TopK RoiAlign MaxRoiPool GlobalLpPool Upsample GridSample AffineGrid Det
  DFT STFT MelWeightMatrix BlackmanWindow HammingWindow HannWindow TfIdfVectorizer
  QuantizeLinear DequantizeLinear DynamicQuantizeLinear QLinearConv QLinearMatMul
  RandomNormal RandomNormalLike RandomUniform RandomUniformLike Bernoulli Multinomial EyeLike
  SequenceConstruct SequenceEmpty SequenceInsert SequenceErase SequenceAt SequenceMap SplitToSequence
  ConcatFromSequence Optional OptionalGetElement OptionalHasElement
  ReduceL2 ReduceSumSquare ReduceProd ReduceLogSumExp LpNormalization
  NegativeLogLikelihoodLoss SoftmaxCrossEntropyLoss ImageDecoder LinearAttention CausalConvWithState
`);

/** They hand on elements as they are: what they compute in follows what is around them. */
const MOVING = words(`
  Identity Reshape Squeeze Unsqueeze Flatten Transpose Slice Gather GatherElements GatherND Concat Split Expand Tile
  DepthToSpace SpaceToDepth Compress
`);
/** Those of them that onnxruntime 1.30 runs on bf16; nothing that computes does. */
const MOVING_BF16 = words(
  'Identity Reshape Squeeze Unsqueeze Flatten Transpose Slice Gather GatherElements GatherND Concat Split',
);
/** Nothing of the elements shows in the result. */
const BLIND = words('Shape');

/** Inputs that stay f32 where the rest of a node is half: their variable is their own, and their values are exact. */
const FLOAT_INPUTS = new Map<string, readonly number[]>([
  ['Resize', [1, 2]],
  ['Dropout', [1]],
]);

/** Operators of onnxruntime that take and give f16 (ContribOperators.md), in the notation of the history table. */
const CONTRIB = new Map<string, string>([
  ['com.microsoft::Gelu', 'T>T'],
  ['com.microsoft::FastGelu', 'T,T>T'],
  ['com.microsoft::QuickGelu', 'T>T'],
  ['com.microsoft::BiasGelu', 'T,T>T'],
  ['com.microsoft::FusedMatMul', 'T,T>T'],
  ['com.microsoft::SkipLayerNormalization', 'T,T,T,T,T>T,f32,f32,T'],
  ['com.microsoft::SkipSimplifiedLayerNormalization', 'T,T,T,T>T,f32,f32,T'],
  ['com.microsoft::EmbedLayerNormalization', 'i32,i32,T,T,T,T,T,i32,i32>T,i32,T'],
  ['com.microsoft::Attention', 'T,T,T,i32,T,T,i32>T,T'],
  ['com.microsoft::MultiHeadAttention', 'T,T,T,T,i32,T,T,T>T,T,T'],
  // Weights, zero points and the order of groups are no activations: they have variables of their own.
  ['com.microsoft::MatMulNBits', 'T,B,T,Z,i32,T>T'],
  // onnxruntime's optimizer puts it into the default domain.
  ['SimplifiedLayerNormalization', 'T,V>V,f32'],
]);

const parameter = (text: string): Parameter =>
  text === 'f32' || text === 'i32' ? { fixed: text } : { variable: text };

/** `Op`, or `domain::Op` outside the default domain. */
export const operatorOf = (node: NodeProto): string => {
  const domain = domainOf(node.domain);
  return domain === '' ? (node.opType ?? '') : `${domain}::${node.opType ?? ''}`;
};

/** Types of the inputs and outputs of an operator; undefined where we know none. */
export function signatureOf(operator: string): Signature | undefined {
  const known = historyOf(operator);
  if (known) return known;
  const [inputs, outputs] = CONTRIB.get(operator)?.split('>') ?? [];
  if (inputs === undefined || outputs === undefined) return undefined;
  return { inputs: inputs.split(',').map(parameter), outputs: outputs.split(',').map(parameter) };
}

export const isContrib = (operator: string): boolean => CONTRIB.has(operator);
export const moves = (operator: string, half: Half): boolean =>
  (half === 'f16' ? MOVING : MOVING_BF16).has(operator);
export const isBlind = (operator: string): boolean => BLIND.has(operator);
export const staysFloat = (operator: string, index: number): boolean =>
  FLOAT_INPUTS.get(operator)?.includes(index) ?? false;

/** Whether a node adds elements up, or the like, where it puts them: onnxruntime does not in f16. */
const reduces = (operator: string, node: NodeProto): boolean =>
  (operator === 'ScatterElements' || operator === 'ScatterND') &&
  (textOf(node, 'reduction') ?? 'none') !== 'none';

/** Whether a node can compute in a half type, in a version of the standard operators. */
export function computesIn(operator: string, half: Half, opset: number, node: NodeProto): boolean {
  if (half === 'bf16') return MOVING_BF16.has(operator);
  if (FLOAT_ONLY.has(operator) || reduces(operator, node)) return false;
  if (CONTRIB.has(operator)) return true;
  const history = historyOf(operator);
  if (!history) return false;
  // Most have known f16 from the beginning; the history tells where a later version added it.
  return history.changes.every(
    ({ version, types }) => version <= opset || !types.some(({ added }) => added.has('f16')),
  );
}
