/**
 * Operators of the domains that the ONNX project maintains, as `Name` or `Name:first version` (release 1.23,
 * docs/Operators.md). Only to tell a misspelt operator or one that is newer than the imported set: new releases
 * add operators, so an unknown one is never more than a warning.
 */
const OPERATORS: readonly (readonly [domain: string, names: string])[] = [
  [
    '',
    `
      Abs Acos:7 Acosh:9 Add AffineGrid:20 And ArgMax ArgMin Asin:7 Asinh:9 Atan:7 Atanh:9 Attention:23
      AveragePool BatchNormalization Bernoulli:15 BitCast:26 BitShift:11 BitwiseAnd:18 BitwiseNot:18
      BitwiseOr:18 BitwiseXor:18 BlackmanWindow:17 Cast CastLike:15 CausalConvWithState:27 Ceil Celu:12
      CenterCropPad:18 Clip Col2Im:18 Compress:9 Concat ConcatFromSequence:11 Constant ConstantOfShape:9
      Conv ConvInteger:10 ConvTranspose Cos:7 Cosh:9 CumProd:26 CumSum:11 DFT:17 DeformConv:19
      DepthToSpace DequantizeLinear:10 Det:11 Div Dropout DynamicQuantizeLinear:11 Einsum:12 Elu Equal
      Erf:9 Exp Expand:8 EyeLike:9 Flatten Floor GRU Gather GatherElements:11 GatherND:11 Gelu:20 Gemm
      GlobalAveragePool GlobalLpPool GlobalMaxPool Greater GreaterOrEqual:12 GridSample:16
      GroupNormalization:18 HammingWindow:17 HannWindow:17 HardSigmoid HardSwish:14 Hardmax Identity If
      ImageDecoder:20 InstanceNormalization IsInf:10 IsNaN:9 LRN LSTM LayerNormalization:17 LeakyRelu Less
      LessOrEqual:12 LinearAttention:27 Log LogSoftmax Loop LpNormalization LpPool MatMul MatMulInteger:10
      Max MaxPool MaxRoiPool MaxUnpool:9 Mean MeanVarianceNormalization:9 MelWeightMatrix:17 Min Mish:18
      Mod:10 Mul Multinomial:7 Neg NegativeLogLikelihoodLoss:12 NonMaxSuppression:10 NonZero:9 Not
      OneHot:9 Optional:15 OptionalGetElement:15 OptionalHasElement:15 Or PRelu Pad Pow QLinearConv:10
      QLinearMatMul:10 QuantizeLinear:10 RMSNormalization:23 RNN RandomNormal RandomNormalLike
      RandomUniform RandomUniformLike Range:11 Reciprocal ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp
      ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare RegexFullMatch:20 Relu Reshape
      Resize:10 ReverseSequence:10 RoiAlign:10 RotaryEmbedding:23 Round:11 STFT:17 Scan:8 Scatter:9
      ScatterElements:11 ScatterND:11 Selu SequenceAt:11 SequenceConstruct:11 SequenceEmpty:11
      SequenceErase:11 SequenceInsert:11 SequenceLength:11 SequenceMap:17 Shape Shrink:9 Sigmoid Sign:9
      Sin:7 Sinh:9 Size Slice Softmax SoftmaxCrossEntropyLoss:12 Softplus Softsign SpaceToDepth Split
      SplitToSequence:11 Sqrt Squeeze StringConcat:20 StringNormalizer:10 StringSplit:20 Sub Sum SwiGLU:28
      Swish:24 Tan:7 Tanh TensorScatter:24 TfIdfVectorizer:9 ThresholdedRelu:10 Tile TopK Transpose
      Trilu:14 Unique:11 Unsqueeze Upsample Where:9 Xor
    `,
  ],
  [
    'ai.onnx.ml',
    `
      ArrayFeatureExtractor Binarizer CastMap CategoryMapper DictVectorizer FeatureVectorizer Imputer
      LabelEncoder LinearClassifier LinearRegressor Normalizer OneHotEncoder SVMClassifier SVMRegressor
      Scaler TreeEnsemble:5 TreeEnsembleClassifier TreeEnsembleRegressor ZipMap
    `,
  ],
  [
    'ai.onnx.preview.training',
    `
      Adagrad Adam Gradient Momentum
    `,
  ],
];

/** The newest standard operator set that the table knows. */
export const NEWEST_OPSET = 28;

let table: ReadonlyMap<string, ReadonlyMap<string, number>> | undefined;

function parse(names: string): Map<string, number> {
  const first = new Map<string, number>();
  for (const entry of names.split(/\s+/)) {
    const [name = '', version = '1'] = entry.split(':');
    if (name !== '') first.set(name, Number(version));
  }
  return first;
}

/** The version that brought an operator, 'unknown' if the domain is ours to know and lacks it, else undefined. */
export function firstVersion(domain: string, op: string): number | 'unknown' | undefined {
  table ??= new Map(OPERATORS.map(([name, names]) => [name, parse(names)]));
  const ops = table.get(domain);
  return ops === undefined ? undefined : (ops.get(op) ?? 'unknown');
}
