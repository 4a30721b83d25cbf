/**
 * How the operators of the default domain changed from version 7 on (release 1.23, docs/Changelog.md), one a line:
 * name, types of inputs and outputs, then the versions that changed it.
 *
 * Types: `T` is a type variable, `i64` a fixed type, `T*` any number of values of one type, `V+` any number of values
 * of any type. Versions: `13+bf16` lets T be bf16 too, `14T1+i8/T2+i8` the same for the variables T1 and T2, `28-wide`
 * takes types away, `18!` changes attributes, inputs, outputs or meaning: opset/adapters has what that takes, or says that
 * it cannot be done. A bare number is a change of wording.
 */
export const OPERATOR_HISTORY = `
Abs T>T 13+bf16
Acos T>T 22+bf16
Acosh T>T 22+bf16
Add T,T>T 13+bf16 14+small
AffineGrid T1,i64>T1
And bool,bool>bool
ArgMax T>i64 11! 12! 13+bf16
ArgMin T>i64 11! 12! 13+bf16
Asin T>T 22+bf16
Asinh T>T 22+bf16
Atan T>T 22+bf16
Atanh T>T 22+bf16
Attention T1,T1,T2,U,T1,T2,i64>T1,T1,T2,T1 24! 25!
AveragePool T>T 10! 11 19! 22+bf16
BatchNormalization T,T1,T1,T2,T2>T,T2,T2 9! 14!+bf16/T1+bf16/T2+bf16 15!
Bernoulli T1>T2 22T1+bf16
BitCast T1>T2
BitShift T,T>T 28+i16,i32,i64,i8
BitwiseAnd T,T>T
BitwiseNot T>T
BitwiseOr T,T>T
BitwiseXor T,T>T
BlackmanWindow T1>T2
Cast T1>T2 9T1+str/T2+str 13T1+bf16/T2+bf16 19!T1+float8/T2+float8 21T1+int4/T2+int4 23T1+f4_e2m1/T2+f4_e2m1 24!T1+f8_e8m0/T2+f8_e8m0 25T1+int2/T2+int2 28T1+float6/T2+float6
CastLike T1,T2>T2 19!T1+float8/T2+float8 21T1+int4/T2+int4 23T1+f4_e2m1/T2+f4_e2m1 24!T1+f8_e8m0/T2+f8_e8m0 25T1+int2/T2+int2
CausalConvWithState T,T,T,T>T,T
Ceil T>T 13+bf16
Celu T>T 28+bf16,f16,f64
CenterCropPad T,Tind>T
Clip T,T,T>T 11! 12+small,wide 13+bf16
Col2Im T,i64,i64>T
Compress T,bool>T 11! 28+bf16
Concat T*>T 11! 13+bf16
ConcatFromSequence S>T
Constant >T 9+bool,c128,c64,small,str,wide 11! 12! 13+bf16 19+float8 21+int4 23+f4_e2m1 24+f8_e8m0 25+int2
ConstantOfShape i64>T2 20T2+bf16,float8 21T2+int4 23T2+f4_e2m1 24T2+f8_e8m0 25T2+int2
Conv T,T,T>T 11 22+bf16
ConvInteger T1,T2,T1,T2>i32
ConvTranspose T,T,T>T 11 22+bf16
Cos T>T 22+bf16
Cosh T>T 22+bf16
CumProd T,T2>T
CumSum T,T2>T 14+bf16,f16
DFT T1,T2,i64>T1 20!
DeformConv T,T,T,T,T>T 22+bf16
DepthToSpace T>T 11! 13+bf16 28
DequantizeLinear T1,T2,T1>T3 13! 19T1+float8/T2+bf16,f16/T3+bf16,f16 21!T1+i16,int4,u16 23!T1+f4_e2m1 24T2+f8_e8m0 25T1+int2 28T1+float6
Det T>T 22+bf16
Div T,T>T 13+bf16 14+small
Dropout T,T1,bool>T,bool 10! 12! 13+bf16 22+float8/T1+bf16,float8
DynamicQuantizeLinear f32>u8,f32,u8
Einsum T*>T 28+bf16
Elu T>T 22+bf16
Equal T,T>bool 11+f16,f32,f64,small,u32,u64 13+bf16 19+str
Erf T>T 13+bf16/-small,wide
Exp T>T 13+bf16
Expand T,i64>T 13+bf16
EyeLike T1>T2 22T1+bf16/T2+bf16
Flatten T>T 9+bool,c128,c64,small,str,wide 11! 13+bf16 21+float8,int4 23+f4_e2m1 24+f8_e8m0 25+int2
Floor T>T 13+bf16
GRU T,T,T,T,i32,T>T,T 14! 22+bf16
Gather T,Tind>T 11! 13+bf16
GatherElements T,Tind>T 13+bf16
GatherND T,i64>T 12! 13+bf16
Gelu T>T
Gemm T,T,T>T 9+wide 11! 13+bf16
GlobalAveragePool T>T 22+bf16
GlobalLpPool T>T 22+bf16
GlobalMaxPool T>T 22+bf16
Greater T,T>bool 9+small,wide 13+bf16
GreaterOrEqual T,T>bool 16+bf16
GridSample T1,T2>T1 20! 22T1+bf16/T2+bf16
GroupNormalization T,T,T>T 21!
HammingWindow T1>T2
HannWindow T1>T2
HardSigmoid T>T 22+bf16
HardSwish T>T 22+bf16
Hardmax T>T 11! 13!+bf16
Identity V>V 13V+bf16 14V+sequence 16V+optional 19V+float8 21V+int4 23V+f4_e2m1 24V+f8_e8m0 25V+int2
If bool>V+ 11 13V+sequence 16V+bf16,optional 19V+float8 21V+int4 23V+f4_e2m1 24V+f8_e8m0 25V+int2
ImageDecoder u8>u8
InstanceNormalization T,T,T>T 22+bf16
IsInf T1>bool 20T1+bf16,f16,float8
IsNaN T1>bool 13T1+bf16 20T1+float8
LRN T>T 13+bf16
LSTM T,T,T,T,i32,T,T,T>T,T,T 14! 22+bf16
LayerNormalization T,T,T>T,U,U
LeakyRelu T>T 16+bf16
Less T,T>bool 9+small,wide 13+bf16
LessOrEqual T,T>bool 16+bf16
LinearAttention T,T,T,S,T,T>T,S
Log T>T 13+bf16
LogSoftmax T>T 11! 13!+bf16
Loop i64,bool,V+>V+ 11 13V+sequence 16V+bf16,optional 19V+float8 21V+int4 23V+f4_e2m1 24V+f8_e8m0 25V+int2
LpNormalization T>T 22+bf16
LpPool T>T 11 18! 22+bf16
MatMul T,T>T 9+wide 13+bf16
MatMulInteger T1,T2,T1,T2>i32
Max T*>T 8! 12+small,wide 13+bf16
MaxPool T>T,i64 8! 10! 11 12+i8,u8 22+bf16
MaxRoiPool T,T>T 22+bf16
MaxUnpool T1,i64,i64>T1 11 22T1+bf16
Mean T*>T 8! 13+bf16
MeanVarianceNormalization T>T 13+bf16
MelWeightMatrix T1,T1,T1,T2,T2>T3
Min T*>T 8! 12+small,wide 13+bf16
Mish T>T 22+bf16
Mod T,T>T 13+bf16 28!
Mul T,T>T 13+bf16 14+small
Multinomial T1>T2 22T1+bf16
Neg T>T 13+bf16
NegativeLogLikelihoodLoss T,Tind,T>T 13 22+bf16
NonMaxSuppression f32,f32,i64,f32,f32>i64 11
NonZero T>i64 13+bf16
Not bool>bool
OneHot T1,T2,T3>T3 11! 28T3+bf16
Optional V>O 28V+bf16,f4_e2m1,f8_e8m0,float6,float8,int2,int4
OptionalGetElement O>V 18O+bool,c128,c64,f16,f32,f64,sequence,small,str,wide 28O+bf16,f4_e2m1,f8_e8m0,float6,float8,int2,int4/V+bf16,f4_e2m1,f8_e8m0,float6,float8,int2,int4
OptionalHasElement O>bool 18!O+bool,c128,c64,f16,f32,f64,sequence,small,str,wide 28O+bf16,f4_e2m1,f8_e8m0,float6,float8,int2,int4
Or bool,bool>bool
PRelu T,T>T 9+wide 16+bf16
Pad T,i64,T,Tind>T 11!+small,wide 13+bf16,bool,c128,c64,str 18! 19! 21+float8,int4 23+f4_e2m1 24+f8_e8m0 25+int2
Pow T,T1>T 12!+i32,i64/T1+small,wide 13+bf16 15T1+bf16
QLinearConv T1,f32,T1,T2,f32,T2,f32,T3,i32>T3
QLinearMatMul T1,TS,T1,T2,TS,T2,TS,T3>T3 21T1+float8/TS+bf16,f16/T2+float8/T3+float8
QuantizeLinear T1,T2,T3>T3 13! 19!T1+bf16,f16/T2+bf16,f16,i32/T3+float8 21!T3+i16,int4,u16 23!T3+f4_e2m1 24T2+f8_e8m0 25T3+int2 28T3+float6
RMSNormalization T,V>V
RNN T,T,T,T,i32,T>T,T 14! 22+bf16
RandomNormal >T 22+bf16
RandomNormalLike T1>T2 22T1+bf16/T2+bf16
RandomUniform >T 22+bf16
RandomUniformLike T1>T2 22T1+bf16/T2+bf16
Range T,T,T>T 27!+bf16,f16
Reciprocal T>T 13+bf16
ReduceL1 T,i64>T 11! 13+bf16 18!
ReduceL2 T,i64>T 11! 13+bf16 18!
ReduceLogSum T,i64>T 11! 13+bf16 18! 28-wide
ReduceLogSumExp T,i64>T 11! 13+bf16 18! 28-wide
ReduceMax T,i64>T 11! 12+i8,u8 13+bf16 18! 20+bool
ReduceMean T,i64>T 11! 13+bf16 18!
ReduceMin T,i64>T 11! 12+i8,u8 13+bf16 18! 20+bool
ReduceProd T,i64>T 11! 13+bf16 18!
ReduceSum T,i64>T 11! 13!+bf16
ReduceSumSquare T,i64>T 11! 13+bf16 18!
RegexFullMatch str>bool
Relu T>T 13+bf16 14+i16,i32,i64,i8
Reshape T,i64>T 13+bf16 14! 19+float8 21+int4 23+f4_e2m1 24+f8_e8m0 25+int2
Resize T1,T2,f32,i64>T1 11!T2+f16,f64 13!T1+bf16 18! 19!
ReverseSequence T,i64>T 28+bf16
RoiAlign T1,T1,i64>T1 16! 22T1+bf16
RotaryEmbedding T,T,T,i64>T
Round T>T 22+bf16
STFT T1,T2,T1,T2>T1
Scan V+>V+ 9!V+bool,c128,c64,f16,f32,f64,i32,small,str,u32,u64 11! 16V+bf16 19V+float8 21V+int4 23V+f4_e2m1 24V+f8_e8m0 25V+int2
Scatter T,Tind,T>T 11!
ScatterElements T,Tind,T>T 13+bf16 16! 18!
ScatterND T,i64,T>T 13+bf16 16! 18!
Selu T>T 22+bf16
SequenceAt S,I>T
SequenceConstruct T*>S
SequenceEmpty >S
SequenceErase S,I>S
SequenceInsert S,T,I>S
SequenceLength S>i64
SequenceMap S,V+>S+
Shape T>i64 13+bf16 15! 19+float8 21+int4 23+f4_e2m1 24+f8_e8m0 25+int2
Shrink T>T
Sigmoid T>T 13+bf16
Sign T>T 13+bf16
Sin T>T 22+bf16
Sinh T>T 22+bf16
Size T>i64 13+bf16 19+float8 21+int4 23+f4_e2m1 24+f8_e8m0 25+int2
Slice T,Tind,Tind,Tind,Tind>T 10! 11! 13+bf16
Softmax T>T 11! 13!+bf16
SoftmaxCrossEntropyLoss T,Tind,T>T,T 13+bf16
Softplus T>T 22+bf16
Softsign T>T 22+bf16
SpaceToDepth T>T 13+bf16 28!
Split T,i64>T* 11! 13!+bf16 18!
SplitToSequence T,I>S 24+bf16
Sqrt T>T 13+bf16
Squeeze T,i64>T 11! 13!+bf16 21+float8,int4 23+f4_e2m1 24+f8_e8m0 25+int2
StringConcat str,str>str
StringNormalizer str>str
StringSplit str>str,i64
Sub T,T>T 13+bf16 14+small
Sum T*>T 8! 13+bf16
SwiGLU T,T>T
Swish T>T
Tan T>T 22+bf16
Tanh T>T 13+bf16
TensorScatter T,T,i64>T
TfIdfVectorizer T>f32
ThresholdedRelu T>T 22+bf16
Tile T,i64>T 13+bf16
TopK T,i64>T,i64 10! 11!+small,wide 24+bf16
Transpose T>T 13+bf16 21+float8,int4 23+f4_e2m1 24+f8_e8m0 25+int2
Trilu T,i64>T
Unique T>T,i64,i64,i64 28+bf16
Unsqueeze T,i64>T 11! 13!+bf16 21+float8,int4 23+f4_e2m1 24+f8_e8m0 25+int2
Upsample T,f32>T 9! 10!
Where bool,T,T>T 16+bf16
Xor bool,bool>bool
`;
