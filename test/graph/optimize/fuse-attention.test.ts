import { describe, expect, it } from 'vitest';
import type { ModelDescription, NodeDescription } from '../../../src/graph/build.js';
import { fuseAttention } from '../../../src/graph/optimize/passes/fuse-attention.js';
import { fuseSkipLayerNorm } from '../../../src/graph/optimize/passes/fuse-skip-layernorm.js';
import { graphOf, node, numbers, optimized, tensor } from './fusions.js';

const [HEADS, WIDTH] = [2, 4];
const SIZE = HEADS * WIDTH;
const list = (name: string, ...values: readonly bigint[]) => tensor(name, [values.length], values, 'i64');
const matrix = (name: string, seed: number) =>
  tensor(
    name,
    [SIZE, SIZE],
    numbers(SIZE * SIZE, seed).map((value) => value / 4),
  );
const initializers = [
  ...['q', 'k', 'v'].flatMap((name, i) => [matrix(`w${name}`, i), tensor(`b${name}`, [SIZE])]),
  list('cut', 0n, 0n, BigInt(HEADS), BigInt(WIDTH)),
  list('cut_open', 0n, 0n, -1n, BigInt(WIDTH)),
  list('folded', 0n, -1n, BigInt(SIZE / 2)),
  list('swapped', 6n, 4n, BigInt(HEADS), BigInt(WIDTH)),
  list('joined', 0n, 0n, BigInt(SIZE)),
  list('zero', 0n),
  list('one', 1n),
  list('last', -1n),
  list('width', BigInt(WIDTH)),
  tensor('scale', [], [0.5]),
  tensor('mask', [1, 1, 6, 6]),
  tensor('mask_each', [3, HEADS, 6, 6]),
  tensor('narrow', [1, 1, 1, 6]),
];
const graph = (
  nodes: readonly NodeDescription[],
  shape: readonly (number | string)[] = ['n', 5, SIZE],
  more: Partial<ModelDescription> = {},
): ModelDescription => graphOf(shape, nodes, { initializers, ...more });

const projected = (name: string, from = 'x'): readonly NodeDescription[] => [
  node('MatMul', [from, `w${name}`], `${name}m`),
  node('Add', [`b${name}`, `${name}m`], name),
];
const heads = (name: string, cut: string, perm: readonly bigint[]): readonly NodeDescription[] => [
  node('Reshape', [name, cut], `${name}r`),
  node('Transpose', [`${name}r`], `${name}t`, { perm }),
];
const turned = [0n, 2n, 1n, 3n];
const core = (cut = 'cut', joined = 'joined'): readonly NodeDescription[] => [
  ...heads('q', cut, turned),
  ...heads('k', cut, [0n, 2n, 3n, 1n]),
  ...heads('v', cut, turned),
  node('MatMul', ['qt', 'kt'], 'raw'),
  node('Mul', ['raw', 'scale'], 'scores'),
  node('Softmax', ['scores'], 'p', { axis: -1n }),
  node('MatMul', ['p', 'vt'], 'o'),
  node('Transpose', ['o'], 'ot', { perm: turned }),
  node('Reshape', ['ot', joined], 'y'),
];
const projections = ['q', 'k', 'v'].flatMap((name) => projected(name));
const ops = async (description: ModelDescription): Promise<readonly string[]> =>
  (await optimized(description, [fuseAttention])).ops;

describe('attention over one value', () => {
  it('is Attention, with the three matrices in one', async () => {
    expect(await ops(graph([...projections, ...core()]))).toEqual(['com.microsoft::Attention']);
    expect(await ops(graph([...projections, ...core('cut_open')], ['n', 's', SIZE]))).toEqual([
      'com.microsoft::Attention',
    ]);
  });

  it('is found with keys that are turned twice, a factor of the queries, and no bias', async () => {
    const nodes = [
      ...projected('q').slice(0, 1),
      node('Mul', ['qm', 'scale'], 'q'),
      node('MatMul', ['x', 'wk'], 'k'),
      ...projected('v'),
      ...core().flatMap((one) =>
        one.outputs[0] === 'kt'
          ? [
              node('Transpose', ['kr'], 'k1', { perm: turned }),
              node('Transpose', ['k1'], 'kt', { perm: [0n, 1n, 3n, 2n] }),
            ]
          : one.outputs[0] === 'scores'
            ? []
            : [one.outputs[0] === 'p' ? node('Softmax', ['raw'], 'p', { axis: 3n }) : one],
      ),
    ];
    expect(await ops(graph(nodes))).toEqual(['com.microsoft::Attention']);
  });

  it('is found where sizes are computed from the value', async () => {
    const sizes = [
      node('Shape', ['x'], 'shape'),
      node('Gather', ['shape', 'zero'], 'batch'),
      node('Gather', ['shape', 'one'], 'places'),
      node('Concat', ['batch', 'places', 'last', 'width'], 'computed', { axis: 0n }),
      node('Concat', ['batch', 'places', 'last'], 'together', { axis: 0n }),
    ];
    const nodes = [...sizes, ...projections, ...core('computed', 'together')];
    expect(await ops(graph(nodes, ['n', 's', SIZE]))).toEqual(['com.microsoft::Attention']);
  });
});

const masked = (mask: string): readonly NodeDescription[] =>
  core().flatMap((one) =>
    one.outputs[0] === 'p'
      ? [node('Add', [mask, 'scores'], 'masked'), node('Softmax', ['masked'], 'p')]
      : [one],
  );

describe('attention with a mask', () => {
  it.each(['mask', 'mask_each'])('of the sizes of the products is Attention (%s)', async (mask) => {
    expect(await ops(graph([...projections, ...masked(mask)], [3, 6, SIZE]))).toEqual([
      'com.microsoft::Attention',
    ]);
  });
});

describe('attention over several values', () => {
  const inputs = ['q', 'k', 'v'].map((name) => ({ name, dtype: 'f32' as const, shape: [2, 300, SIZE] }));
  it('is MultiHeadAttention where there are many places', async () => {
    expect(await ops(graph(core(), [], { inputs, ...output(3) }))).toEqual([
      'com.microsoft::MultiHeadAttention',
    ]);
  });

  it('stays where there are few, or a batch is stretched', async () => {
    const few = inputs.map((one) => ({ ...one, shape: [2, 5, SIZE] }));
    expect(await ops(graph(core(), [], { inputs: few, ...output(3) }))).toContain('Softmax');
    const one = inputs.map((input, i) => (i === 0 ? input : { ...input, shape: [1, 300, SIZE] }));
    expect(await ops(graph(core(), [], { inputs: one, ...output(3) }))).toContain('Softmax');
  });
});

const output = (rank: number) => ({
  outputs: [{ name: 'y', dtype: 'f32' as const, shape: Array.from({ length: rank }, (_, i) => `d${i}`) }],
});

describe('attention is left alone', () => {
  const unchanged = async (nodes: readonly NodeDescription[], more: Partial<ModelDescription> = {}) => {
    expect((await optimized(graph(nodes, [4, 6, SIZE], more), [fuseAttention])).rewrites).toBe(0);
  };
  it('with a mask that is stretched along the places, or over values of several', async () => {
    await unchanged([...projections, ...masked('narrow')]);
    const inputs = ['q', 'k', 'v'].map((name) => ({ name, dtype: 'f32' as const, shape: [2, 6, SIZE] }));
    await unchanged(masked('mask'), { inputs });
  });

  it('where places and batches are not surely kept, or heads are cut otherwise', async () => {
    await unchanged([...projections, ...core('swapped')]);
    await unchanged([...projections, ...core('cut', 'folded')]);
    const plain = core().map((one) =>
      one.outputs[0] === 'vt' ? node('Reshape', ['vr', 'turned_by_size'], 'vt') : one,
    );
    const more = [...initializers, list('turned_by_size', 0n, BigInt(HEADS), -1n, BigInt(WIDTH))];
    await unchanged([...projections, ...plain], { initializers: more });
  });

  it('where weights of the softmax are used elsewhere, or it goes over another axis', async () => {
    const outputs = [
      { name: 'y', dtype: 'f32' as const, shape: ['a', 'b', 'c'] },
      { name: 'p', dtype: 'f32' as const, shape: ['a', 'b', 'c', 'd'] },
    ];
    await unchanged([...projections, ...core()], { outputs });
    await unchanged([
      ...projections,
      ...core().map((one) => (one.op === 'Softmax' ? node('Softmax', ['scores'], 'p', { axis: 2n }) : one)),
    ]);
  });
});

describe('a sum and its normalization', () => {
  const io = ['x', 'z'].map((name) => ({ name, dtype: 'f32' as const, shape: ['n', 3, SIZE] }));
  const sum = node('Add', ['x', 'z'], 's');
  const norm = (op: string): NodeDescription =>
    node(op, op === 'LayerNormalization' ? ['s', 'bq', 'bk'] : ['s', 'bq'], 'y', { epsilon: 1e-3 });
  const skip = async (nodes: readonly NodeDescription[], more: Partial<ModelDescription> = {}) =>
    (await optimized(graph(nodes, ['n', 3, SIZE], { inputs: io, ...more }), [fuseSkipLayerNorm])).ops;

  it('become one operator', async () => {
    expect(await skip([sum, norm('LayerNormalization')])).toEqual(['com.microsoft::SkipLayerNormalization']);
    expect(await skip([sum, norm('SimplifiedLayerNormalization')])).toEqual([
      'com.microsoft::SkipSimplifiedLayerNormalization',
    ]);
  });

  it('hand on the sum only where the runtime is faster with it', async () => {
    const used = (op: string): readonly NodeDescription[] => [
      sum,
      { ...norm(op), outputs: ['h'] },
      node('Mul', ['h', 's'], 'y'),
    ];
    expect(await skip(used('SimplifiedLayerNormalization'))).toEqual([
      'com.microsoft::SkipSimplifiedLayerNormalization',
      'Mul',
    ]);
    expect(await skip(used('LayerNormalization'))).toEqual(['Add', 'LayerNormalization', 'Mul']);
  });

  it('stay where sizes differ, or other axes are normalized', async () => {
    const [x, z] = io;
    const inputs = [
      { ...x, shape: ['n', 3, SIZE] },
      { ...z, shape: [1, 3, SIZE] },
    ] as ModelDescription['inputs'];
    expect(await skip([sum, norm('LayerNormalization')], { inputs })).toHaveLength(2);
    const more = [...initializers, tensor('wide', [3, SIZE])];
    const wide = node('LayerNormalization', ['s', 'wide', 'wide'], 'y', { axis: 1n });
    expect(await skip([sum, wide], { initializers: more })).toHaveLength(2);
  });
});
