import type { MetadataValue, Model } from '../../src/core/model.js';
import { memoryTensor, renamed, type TensorSource } from '../../src/core/tensor.js';
import type { StateNode } from '../../src/core/training.js';

const int = (value: bigint): StateNode => ({ kind: 'int', value });
const text = (value: string): StateNode => ({ kind: 'string', value });

/** Every kind of node, at the edges of what it holds. */
export const EVERY_NODE: StateNode = {
  kind: 'dict',
  ordered: true,
  entries: [
    [text('none'), { kind: 'none' }],
    [text('yes'), { kind: 'bool', value: true }],
    [text('no'), { kind: 'bool', value: false }],
    ...[
      0n,
      1n,
      -1n,
      127n,
      128n,
      -128n,
      -129n,
      255n,
      256n,
      2n ** 63n,
      -(2n ** 63n),
      2n ** 200n,
      -(3n ** 99n),
    ].map((value): readonly [StateNode, StateNode] => [int(value), int(value)]),
    ...[0, -0, 0.1, NaN, Infinity, -Infinity, 5e-324, 1.7976931348623157e308].map(
      (value): readonly [StateNode, StateNode] => [
        { kind: 'float', value },
        { kind: 'float', value },
      ],
    ),
    [
      { kind: 'bool', value: true },
      { kind: 'complex', re: -0, im: NaN },
    ],
    [text(''), text('')],
    [text('__proto__'), text('ключ \u0000 \ufeff 𝔘')],
    [text('bytes'), { kind: 'bytes', value: Uint8Array.of(0, 255, 10) }],
    [text('no bytes'), { kind: 'bytes', value: new Uint8Array() }],
    [
      { kind: 'tuple', items: [int(1n), text('b')] },
      { kind: 'list', items: [] },
    ],
    [
      { kind: 'tuple', items: [] },
      { kind: 'set', items: [int(3n), int(1n)] },
    ],
    [text('plain'), { kind: 'dict', ordered: false, entries: [[int(0n), { kind: 'none' }]] }],
    [text('weight'), { kind: 'tensor', name: 'layer.weight', parameter: true, requiresGrad: false }],
    [text('moment'), { kind: 'tensor', name: 'optimizer.state.0.exp_avg' }],
    [text('dtype'), { kind: 'opaque', type: 'torch.dtype', text: 'torch.bfloat16' }],
  ],
};

export const EVERY_METADATA: ReadonlyMap<string, MetadataValue> = new Map<string, MetadataValue>([
  ['text', 'ünïcode'],
  ['empty', ''],
  ['number', 0.5],
  ['minus zero', -0],
  ['nan', NaN],
  ['bigint', 12345678901234567890n],
  ['true', true],
  ['null', null],
  ['list', [1, 'two', [3n, null]]],
  ['map', new Map<string, MetadataValue>([['__proto__', new Map()]])],
  ['__proto__', 'a name like any other'],
]);

export const numbered = (bytes: number, step = 7): Uint8Array =>
  Uint8Array.from({ length: bytes }, (_, i) => (i * step + (i >> 8)) & 0xff);

/**
 * f32 bytes that look like weights: exponents in a narrow band, mantissas like noise. Sums and products only, which
 * are the same in every version of Node.
 */
export function weights(count: number, seed = 1): Uint8Array {
  const values = new Float32Array(count);
  let state = seed;
  const uniform = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
  for (let i = 0; i < count; i++) values[i] = 0.05 * (uniform() + uniform() + uniform() + uniform() - 2);
  return new Uint8Array(values.buffer);
}

/** A small training checkpoint: several types, a tied tensor, empty ones, every kind of value. */
export function checkpointModel(): Model {
  const weight = memoryTensor(
    { name: 'layer.weight', dtype: 'f32', shape: [8, 6] },
    weights(48),
    'parameter',
  );
  const tensors: TensorSource[] = [
    weight,
    memoryTensor({ name: 'scalar', dtype: 'i64', shape: [] }, numbered(8), 'buffer'),
    { ...renamed(weight, 'head.weight'), role: 'parameter' },
    memoryTensor({ name: 'none', dtype: 'bf16', shape: [0, 4] }, new Uint8Array()),
    memoryTensor({ name: '', dtype: 'u8', shape: [3] }, numbered(3)),
    memoryTensor({ name: '__proto__', dtype: 'q8_0', shape: [2, 64] }, numbered(136), 'constant'),
    memoryTensor({ name: 'words', dtype: 'str', shape: [2] }, numbered(21)),
    memoryTensor({ name: 'packed', dtype: 'f6_e2m3', shape: [5] }, numbered(4)),
    memoryTensor(
      { name: 'optimizer.state.0.exp_avg', dtype: 'f32', shape: [8, 6] },
      weights(48, 2),
      'optimizer',
    ),
  ];
  return {
    format: 'memory',
    tensors,
    aliases: new Map([['head.weight', 'layer.weight']]),
    metadata: EVERY_METADATA,
    training: { tree: EVERY_NODE, step: 1200, epoch: 3, loss: NaN, learningRate: 0, optimizer: 'AdamW' },
    findings: [],
  };
}
