import type { DType } from '../../src/core/dtype.js';
import type {
  AttributeValue,
  ModelDescription,
  NodeDescription,
  TensorDescription,
} from '../../src/graph/build.js';

/** A small graph, and the operator sets that it is converted to: the results must stay. */
export interface OpsetCase {
  readonly name: string;
  readonly from: number;
  readonly to: readonly number[];
  readonly model: ModelDescription;
  /** Operators of the last of `to`, in order. */
  readonly ops?: string;
}

export const floats = (
  name: string,
  shape: readonly number[],
  values: readonly number[],
): TensorDescription => ({
  name,
  dtype: 'f32',
  shape,
  raw: new Uint8Array(Float32Array.from(values).buffer),
});
export const ints = (
  name: string,
  values: readonly number[],
  shape = [values.length],
): TensorDescription => ({
  name,
  dtype: 'i64',
  shape,
  raw: new Uint8Array(BigInt64Array.from(values.map(BigInt)).buffer),
});
const bytes = (
  name: string,
  dtype: DType,
  shape: readonly number[],
  values: readonly number[],
): TensorDescription => ({
  name,
  dtype,
  shape,
  raw: Uint8Array.from(values),
});
const node = (
  op: string,
  inputs: string,
  outputs: string,
  attributes: Readonly<Record<string, AttributeValue>> = {},
): NodeDescription => ({
  op,
  inputs: inputs === '' ? [] : inputs.split(' ').map((name) => (name === '-' ? '' : name)),
  outputs: outputs.split(' '),
  attributes,
});

interface Short {
  readonly nodes: readonly NodeDescription[];
  readonly initializers?: readonly TensorDescription[];
  /** Shape of the input x; f32 unless said otherwise. */
  readonly x?: readonly number[];
  readonly dtype?: DType;
  /** Results: `y` alone unless said otherwise. */
  readonly y?: readonly (readonly [name: string, dtype: DType, rank: number])[];
  readonly rank?: number;
  readonly ops?: string;
}

const anything = (rank: number, name: string): string[] =>
  Array.from({ length: rank }, (_, i) => `${name}${i}`);

function one(name: string, from: number, to: number | readonly number[], short: Short): OpsetCase {
  const { nodes, initializers = [], x = [2, 3, 4], dtype = 'f32' } = short;
  const y = short.y ?? ([['y', dtype, short.rank ?? x.length]] as const);
  return {
    name,
    from,
    to: typeof to === 'number' ? [to] : to,
    model: {
      opset: from,
      irVersion: 8,
      nodes,
      initializers,
      inputs: [{ name: 'x', dtype, shape: x }],
      outputs: y.map(([out, type, rank]) => ({ name: out, dtype: type, shape: anything(rank, out) })),
    },
    ...(short.ops === undefined ? {} : { ops: short.ops }),
  };
}

const f32 = (name: string, rank: number) => [name, 'f32', rank] as const;
const i64 = (name: string, rank: number) => [name, 'i64', rank] as const;

const axes: readonly OpsetCase[] = [
  one('Unsqueeze, Squeeze and ReduceSum with attributes', 11, [13, 21], {
    nodes: [
      node('Unsqueeze', 'x', 'u', { axes: [0n, -1n] }),
      node('Squeeze', 'u', 's', { axes: [0n] }),
      node('ReduceSum', 's', 'y', { axes: [1n], keepdims: 0n }),
    ],
    rank: 3,
  }),
  one('Unsqueeze, Squeeze and ReduceSum with inputs', 13, [11, 9], {
    nodes: [
      node('Constant', '', 'c', { value: ints('c', [0, -1]) }),
      node('Unsqueeze', 'x c', 'u'),
      node('Squeeze', 'u first', 's'),
      node('ReduceSum', 's last', 'y', { keepdims: 0n }),
    ],
    initializers: [ints('first', [0]), ints('last', [-1])],
    rank: 3,
    ops: 'Unsqueeze Squeeze ReduceSum',
  }),
  one('Squeeze and ReduceSum without axes', 11, [13, 11], {
    nodes: [node('ReduceSum', 'x', 's'), node('Squeeze', 's', 'y')],
    rank: 0,
  }),
  one('reductions with attributes', 17, 18, {
    nodes: [
      node('ReduceMean', 'x', 'm', { axes: [-1n] }),
      node('ReduceL2', 'x', 'l', { axes: [-1n] }),
      node('Add', 'm l', 'y'),
    ],
  }),
  one('reductions with inputs', 18, [17, 10], {
    nodes: [
      node('ReduceMax', 'x a', 'm'),
      node('ReduceMin', 'm', 'n', { noop_with_empty_axes: 1n }),
      node('ReduceLogSumExp', 'n', 'y'),
    ],
    initializers: [ints('a', [-1, 1])],
    ops: 'ReduceMax Identity ReduceLogSumExp',
  }),
  one('axes that count from the end', 13, 10, {
    nodes: [
      node('Concat', 'x x', 'c', { axis: -1n }),
      node('Gather', 'c i', 'g', { axis: -2n }),
      node('Softmax', 'g', 'y', { axis: -1n }),
    ],
    initializers: [ints('i', [2, 0])],
  }),
  one('Slice with negative axes', 13, [10, 9], {
    nodes: [node('Slice', 'x starts ends axes', 'y')],
    initializers: [ints('starts', [1, 0]), ints('ends', [3, 2]), ints('axes', [-1, -2])],
  }),
];

const shapes: readonly OpsetCase[] = [
  one('Split with an attribute', 11, [13, 18, 21], {
    nodes: [
      node('Split', 'x', 'a b', { axis: 2n, split: [1n, 3n] }),
      node('Split', 'b', 'c d e', { axis: 2n }),
      node('Concat', 'e d c a', 'y', { axis: 2n }),
    ],
  }),
  one('Split with num_outputs, evenly and not', 18, [17, 12], {
    nodes: [
      node('Split', 'x', 'a b', { axis: -1n, num_outputs: 2n }),
      node('Split', 'x', 'c d', { axis: 1n, num_outputs: 2n }),
    ],
    y: [f32('a', 3), f32('b', 3), f32('c', 3), f32('d', 3)],
  }),
  one('Shape from and to', 15, [14, 12], {
    nodes: [
      node('Shape', 'x', 'y', { start: -2n }),
      node('Shape', 'x', 'z', { start: 0n, end: 1n }),
      node('Shape', 'x', 'w', { end: -1n }),
    ],
    y: [i64('y', 1), i64('z', 1), i64('w', 1)],
  }),
  one('Reshape that means what it says', 14, 13, {
    nodes: [node('Reshape', 'x s', 'y', { allowzero: 1n })],
    initializers: [ints('s', [6, -1])],
    rank: 2,
  }),
  one('Slice and Pad with attributes', 9, [10, 11, 13, 19], {
    nodes: [
      node('Slice', 'x', 's', { starts: [0n, 1n], ends: [2n, 3n], axes: [0n, 1n] }),
      node('Pad', 's', 'y', { pads: [0n, 1n, 0n, 0n, 0n, 2n], value: 1.5 }),
    ],
  }),
  one('Pad with inputs', 13, [11, 10], {
    nodes: [node('Pad', 'x p v', 'z'), node('Pad', 'z p', 'y', { mode: 'reflect' })],
    initializers: [ints('p', [0, 1, 0, 0, 0, 2]), floats('v', [], [0.25])],
  }),
  one('Pad of chosen axes', 18, [13, 10], {
    nodes: [node('Pad', 'x p - a', 'y')],
    initializers: [ints('p', [1, 2, 3, 4]), ints('a', [-1, 0])],
  }),
  one('TopK with an attribute', 9, [10, 11, 24], {
    nodes: [node('TopK', 'x', 'y i', { k: 2n, axis: 1n })],
    y: [f32('y', 3), i64('i', 3)],
  }),
  one('TopK with an input', 11, [10, 9], {
    nodes: [node('TopK', 'x k', 'y i', { axis: -2n, largest: 1n })],
    initializers: [ints('k', [2])],
    y: [f32('y', 3), i64('i', 3)],
  }),
  one('Scatter', 10, [11, 18], {
    nodes: [node('Scatter', 'x i u', 'y', { axis: 1n })],
    initializers: [ints('i', [0, 2], [1, 1, 2]), floats('u', [1, 1, 2], [5, 6])],
  }),
  one('ScatterElements and ScatterND', 18, [16, 13], {
    nodes: [
      node('ScatterElements', 'x i u', 's', { axis: 1n, reduction: 'none' }),
      node('ScatterND', 's j v', 'y'),
    ],
    initializers: [
      ints('i', [0, 2], [1, 1, 2]),
      floats('u', [1, 1, 2], [5, 6]),
      ints('j', [0, 1, 2], [1, 3]),
      floats('v', [1], [7]),
    ],
  }),
  one('Constants in short', 12, [11, 9], {
    nodes: [
      node('Constant', '', 'c', { value_floats: [1.5, -2, 0, 4] }),
      node('Constant', '', 'd', { value_float: 0.5 }),
      node('Constant', '', 's', { value_ints: [4n, 6n] }),
      node('Mul', 'x c', 'm'),
      node('Add', 'm d', 'a'),
      node('Reshape', 'a s', 'y'),
    ],
    rank: 2,
  }),
  one('DFT', 17, [20, 17], {
    nodes: [node('DFT', 'x', 'y', { axis: 1n })],
    x: [2, 5, 1],
  }),
  one('DFT with its own axis', 20, 17, { nodes: [node('DFT', 'x', 'y')], x: [2, 5, 1] }),
];

const activations: readonly OpsetCase[] = [
  one('Softmax over all that follows', 11, [13, 17], {
    nodes: [
      node('Softmax', 'x', 's', { axis: 1n }),
      node('LogSoftmax', 's', 'l'),
      node('Hardmax', 'l', 'y', { axis: 2n }),
    ],
    ops: 'Shape Flatten Softmax Reshape Shape Flatten LogSoftmax Reshape Hardmax',
  }),
  one('Softmax over one axis', 13, [12, 10], {
    nodes: [node('Softmax', 'x', 's', { axis: 0n }), node('LogSoftmax', 's', 'y', { axis: -2n })],
    ops: 'Transpose Softmax Transpose Transpose LogSoftmax Transpose',
  }),
  one('Clip with attributes', 10, [11, 13], {
    nodes: [node('Clip', 'x', 'c', { min: -0.5 }), node('Clip', 'c', 'y', { max: 0.5 })],
  }),
  one('Clip with inputs', 13, [11, 10], {
    nodes: [node('Clip', 'x - b', 'c'), node('Clip', 'c a', 'y')],
    initializers: [floats('a', [], [-0.5]), floats('b', [], [0.75])],
    ops: 'Clip Clip',
  }),
  one('Dropout that does nothing', 9, [12, 13], { nodes: [node('Dropout', 'x', 'y', { ratio: 0.25 })] }),
  one('Dropout that is told to do nothing', 13, [12, 10, 7], {
    nodes: [node('Dropout', 'x r t', 'y')],
    initializers: [floats('r', [], [0.25]), bytes('t', 'bool', [], [0])],
    ops: 'Dropout',
  }),
  one('Gelu', 20, [19, 13, 9], {
    nodes: [node('Gelu', 'x', 'g'), node('Gelu', 'g', 'y', { approximate: 'tanh' })],
  }),
  one('HardSwish and Mish', 18, [17, 13], { nodes: [node('HardSwish', 'x', 'h'), node('Mish', 'h', 'y')] }),
  one('comparisons', 13, 11, {
    nodes: [
      node('GreaterOrEqual', 'x z', 'g'),
      node('LessOrEqual', 'x z', 'l'),
      node('Xor', 'g l', 'b'),
      node('Where', 'b x z', 'y'),
    ],
    initializers: [floats('z', [1], [0.125])],
  }),
  one('CastLike and Cast', 19, [14, 9], {
    nodes: [node('Cast', 'x', 'c', { to: 7n, saturate: 1n }), node('CastLike', 'c x', 'y')],
  }),
  one('ArgMax', 13, [11, 10], {
    nodes: [node('ArgMax', 'x', 'y', { axis: -1n, select_last_index: 0n })],
    y: [i64('y', 3)],
  }),
];

const layers: readonly OpsetCase[] = [
  one('LayerNormalization with all its results', 17, [16, 12, 9], {
    nodes: [node('LayerNormalization', 'x s b', 'y m d', { axis: -2n, epsilon: 0.01 })],
    initializers: [floats('s', [3, 4], [...Array(12).keys()]), floats('b', [4], [1, 2, 3, 4])],
    y: [f32('y', 3), f32('m', 3), f32('d', 3)],
  }),
  one('GroupNormalization', 21, [20, 17, 13, 8], {
    nodes: [node('GroupNormalization', 'x s b', 'y', { num_groups: 2n })],
    initializers: [floats('s', [4], [1, 2, 3, 4]), floats('b', [4], [0, 1, 0, -1])],
    x: [2, 4, 3, 3],
  }),
  one('BatchNormalization', 8, [9, 14, 15], {
    nodes: [node('BatchNormalization', 'x s s m v', 'y', { epsilon: 0.01, spatial: 1n })],
    initializers: [floats('s', [3], [1, 2, 3]), floats('m', [3], [0, 1, 2]), floats('v', [3], [1, 2, 3])],
  }),
  one('BatchNormalization back', 15, [14, 9, 7], {
    nodes: [node('BatchNormalization', 'x s s m v', 'y', { training_mode: 0n })],
    initializers: [floats('s', [3], [1, 2, 3]), floats('m', [3], [0, 1, 2]), floats('v', [3], [1, 2, 3])],
  }),
  one('Gemm without C', 13, [11, 9, 7], {
    nodes: [node('Gemm', 'x w', 'y')],
    initializers: [floats('w', [3, 2], [1, 2, 3, 4, 5, 6])],
    x: [2, 3],
  }),
  one('pools', 19, [18, 10, 7], {
    nodes: [
      node('AveragePool', 'x', 'a', { kernel_shape: [2n, 2n], dilations: [1n, 1n], ceil_mode: 0n }),
      node('MaxPool', 'a', 'y', { kernel_shape: [2n, 2n], storage_order: 0n }),
    ],
    x: [1, 2, 5, 5],
  }),
  one('Upsample', 8, [9, 10, 11, 13, 19], {
    nodes: [node('Upsample', 'x', 'y', { scales: [1, 1, 2, 3], mode: 'nearest' })],
    x: [1, 1, 2, 3],
    ops: 'Resize',
  }),
  one('Upsample, linear', 9, [10, 11, 18], {
    nodes: [node('Upsample', 'x s', 'y', { mode: 'linear' })],
    initializers: [floats('s', [4], [1, 1, 2, 2])],
    x: [1, 1, 2, 3],
  }),
  one('Resize of old', 13, [11, 10, 9, 7], {
    nodes: [
      node('Resize', 'x - s', 'y', {
        coordinate_transformation_mode: 'asymmetric',
        nearest_mode: 'floor',
        mode: 'nearest',
      }),
    ],
    initializers: [floats('s', [4], [1, 1, 2, 2])],
    x: [1, 1, 2, 3],
    ops: 'Upsample',
  }),
  one('Resize to a size', 19, [18, 13, 11], {
    nodes: [
      node('Resize', 'x - - s', 'y', { mode: 'cubic', antialias: 0n, keep_aspect_ratio_policy: 'stretch' }),
    ],
    initializers: [ints('s', [1, 1, 5, 7])],
    x: [1, 1, 4, 4],
  }),
  one('GRU', 14, [13, 8], {
    nodes: [node('GRU', 'x w r', '- y', { hidden_size: 1n, layout: 0n }), node('Identity', 'y', 'z')],
    initializers: [
      floats(
        'w',
        [1, 3, 4],
        [...Array(12).keys()].map((i) => i / 10),
      ),
      floats('r', [1, 3, 1], [1, 2, 3]),
    ],
    y: [f32('z', 3)],
  }),
  one('GridSample', 16, [20, 16], {
    nodes: [node('GridSample', 'x g', 'y', { mode: 'bicubic' }), node('GridSample', 'x g', 'z')],
    initializers: [floats('g', [1, 1, 2, 2], [0.1, -0.3, 0.7, 0.2])],
    x: [1, 2, 4, 4],
    y: [f32('y', 4), f32('z', 4)],
  }),
  one('RoiAlign', 10, [16, 12], {
    nodes: [node('RoiAlign', 'x r b', 'y', { output_height: 2n, output_width: 2n })],
    initializers: [floats('r', [1, 4], [0, 0, 2.5, 2.5]), ints('b', [0])],
    x: [1, 1, 4, 4],
  }),
];

const quantized: readonly OpsetCase[] = [
  one('quantization of a whole tensor', 10, [13, 19, 21, 23], {
    nodes: [node('QuantizeLinear', 'x s z', 'q'), node('DequantizeLinear', 'q s z', 'y')],
    initializers: [floats('s', [], [0.05]), bytes('z', 'u8', [], [128])],
  }),
  one('quantization of a whole tensor, back', 23, [21, 19, 13, 10], {
    nodes: [
      node('QuantizeLinear', 'x s z', 'q', { axis: 1n, saturate: 1n, block_size: 0n }),
      node('DequantizeLinear', 'q s z', 'y', { axis: 1n }),
    ],
    initializers: [floats('s', [], [0.05]), bytes('z', 'u8', [], [128])],
  }),
  one('quantization by channel', 21, 13, {
    nodes: [node('QuantizeLinear', 'x s', 'q'), node('DequantizeLinear', 'q s', 'y')],
    initializers: [floats('s', [3], [0.05, 0.1, 0.2])],
  }),
];

export const OPSET_CASES: readonly OpsetCase[] = [
  ...axes,
  ...shapes,
  ...activations,
  ...layers,
  ...quantized,
];
