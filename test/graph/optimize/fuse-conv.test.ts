import { describe, expect, it } from 'vitest';
import type { ModelDescription, NodeDescription } from '../../../src/graph/build.js';
import { fuseConvBatchNorm } from '../../../src/graph/optimize/passes/fuse-conv-batchnorm.js';
import { fuseScaleConv } from '../../../src/graph/optimize/passes/fuse-scale-conv.js';
import { graphOf, node, numbers, optimized, tensor } from './fusions.js';

const OUT = 6;
const IN = 4;
const initializers = [
  tensor('w', [OUT, IN, 3, 3]),
  tensor('w_group', [OUT, 2, 3, 3]),
  tensor('w_up', [IN, OUT, 2, 2]),
  tensor('w_up_group', [IN, OUT / 2, 2, 2]),
  tensor('bias', [OUT]),
  ...norm('', OUT),
  ...norm('_in', IN),
  tensor('each', [OUT, 1, 1]),
  tensor('each4', [1, OUT, 1, 1]),
  tensor('each_in', [1, IN, 1, 1]),
  tensor('columns', [5]),
  tensor('number', [], [1.7]),
];

function norm(suffix: string, size: number) {
  return [
    tensor(`gamma${suffix}`, [size]),
    tensor(`beta${suffix}`, [size]),
    tensor(`mean${suffix}`, [size]),
    tensor(
      `variance${suffix}`,
      [size],
      numbers(size).map((value) => 0.1 + value * value),
    ),
  ];
}

const graph = (nodes: readonly NodeDescription[], more: Partial<ModelDescription> = {}): ModelDescription =>
  graphOf(['n', IN, 5, 5], nodes, { initializers, ...more });
const batchNorm = (from: string, to: string, suffix = ''): NodeDescription =>
  node(
    'BatchNormalization',
    [from, `gamma${suffix}`, `beta${suffix}`, `mean${suffix}`, `variance${suffix}`],
    to,
    { epsilon: 1e-3 },
  );
const behind = async (description: ModelDescription): Promise<readonly string[]> =>
  (await optimized(description, [fuseConvBatchNorm])).ops;
const inFront = async (description: ModelDescription): Promise<readonly string[]> =>
  (await optimized(description, [fuseScaleConv])).ops;

const pads = { pads: [1n, 1n, 1n, 1n] };
const convs: Readonly<Record<string, NodeDescription>> = {
  Conv: node('Conv', ['x', 'w'], 'c', pads),
  'Conv with a bias': node('Conv', ['x', 'w', 'bias'], 'c', pads),
  'Conv in groups': node('Conv', ['x', 'w_group', 'bias'], 'c', { group: 2n }),
  ConvTranspose: node('ConvTranspose', ['x', 'w_up', 'bias'], 'c'),
  'ConvTranspose in groups': node('ConvTranspose', ['x', 'w_up_group'], 'c', { group: 2n }),
};

describe.each(Object.entries(convs))('behind %s', (_, conv) => {
  const left = [conv.op];
  it('BatchNormalization goes into the weights', async () => {
    expect(await behind(graph([conv, batchNorm('c', 'y')]))).toEqual(left);
  });

  it('so do products, quotients, sums and differences', async () => {
    const nodes = [
      node('Mul', ['c', 'each'], 'm'),
      node('Add', ['each4', 'm'], 'a'),
      node('Div', ['a', 'number'], 'd'),
      node('Sub', ['number', 'd'], 's'),
      node('Sub', ['s', 'each'], 'y'),
    ];
    const outcome = await optimized(graph([conv, ...nodes]), [fuseConvBatchNorm]);
    expect([outcome.rewrites, outcome.ops]).toEqual([5, left]);
  });
});

describe('behind a convolution they stay', () => {
  const conv = node('Conv', ['x', 'w', 'bias'], 'c', pads);
  it('where its result is used elsewhere, or is an output', async () => {
    const used = [conv, batchNorm('c', 'b'), node('Add', ['b', 'c'], 'y')];
    expect(await behind(graph(used))).toEqual(['Conv', 'BatchNormalization', 'Add']);
    const outputs = ['y', 'c'].map((name) => ({ name, dtype: 'f32' as const, shape: ['a', 'b', 'c', 'd'] }));
    expect(await behind(graph([conv, batchNorm('c', 'y')], { outputs }))).toHaveLength(2);
  });

  it('where another node takes the weight', async () => {
    const nodes = [
      conv,
      node('Conv', ['x', 'w'], 'c2', pads),
      batchNorm('c', 'b'),
      node('Add', ['b', 'c2'], 'y'),
    ];
    expect(await behind(graph(nodes))).toContain('BatchNormalization');
  });

  it('where the weight can be fed, or the constants are not constant', async () => {
    const x = { name: 'x', dtype: 'f32' as const, shape: ['n', IN, 5, 5] };
    const weight = { name: 'w', dtype: 'f32' as const, shape: [OUT, IN, 3, 3] };
    expect(await behind(graph([conv, batchNorm('c', 'y')], { inputs: [x, weight] }))).toHaveLength(2);
    const fed = { name: 'each', dtype: 'f32' as const, shape: [OUT, 1, 1] };
    const product = [conv, node('Mul', ['c', 'each'], 'y')];
    expect(await behind(graph(product, { inputs: [x, fed] }))).toHaveLength(2);
  });

  it('where the constant goes along another axis, or adds one', async () => {
    expect(await behind(graph([conv, node('Mul', ['c', 'columns'], 'y')]))).toHaveLength(2);
    const deep = [...initializers, tensor('deep', [1, 1, OUT, 1, 1])];
    expect(
      await behind(graph([conv, node('Mul', ['c', 'deep'], 'y')], { initializers: deep, ...rank(5) })),
    ).toHaveLength(2);
  });

  it('where a constant divides by zero, or is divided', async () => {
    const zero = [...initializers, tensor('zero', [1], [0])];
    const infinite = [conv, node('Div', ['c', 'zero'], 'd'), node('Sign', ['d'], 'y')];
    expect(await behind(graph(infinite, { initializers: zero }))).toHaveLength(3);
    expect(await behind(graph([conv, node('Div', ['number', 'c'], 'y')]))).toHaveLength(2);
  });

  it('in f16', async () => {
    const half = initializers.map(({ name, shape }) => tensor(name, shape, undefined, 'f16'));
    const io = (name: string) => ({ name, dtype: 'f16' as const, shape: ['n', IN, 5, 5] });
    const description = graph([conv, node('Mul', ['c', 'each'], 'y')], {
      initializers: half,
      inputs: [io('x')],
      outputs: [{ ...io('y'), shape: ['a', 'b', 'c', 'd'] }],
    });
    expect(await behind(description)).toHaveLength(2);
  });
});

const rank = (size: number) => ({
  outputs: [{ name: 'y', dtype: 'f32' as const, shape: Array.from({ length: size }, (_, i) => `d${i}`) }],
});

describe('in front of a convolution', () => {
  const convOf = (attributes: NodeDescription['attributes']): NodeDescription =>
    node('Conv', ['s', 'w', 'bias'], 'y', attributes);
  it('a scale goes into the weights, with padding too', async () => {
    for (const factor of ['each_in', 'number'])
      expect(await inFront(graph([node('Mul', ['x', factor], 's'), convOf(pads)]))).toEqual(['Conv']);
    const up = node('ConvTranspose', ['s', 'w_up_group'], 'y', { group: 2n, ...pads });
    expect(await inFront(graph([node('Div', ['x', 'number'], 's'), up]))).toEqual(['ConvTranspose']);
  });

  it('a shift goes into the bias where nothing is padded', async () => {
    expect(await inFront(graph([batchNorm('x', 's', '_in'), convOf({})]))).toEqual(['Conv']);
    const group = node('Conv', ['s', 'w_group'], 'y', { group: 2n, dilations: [2n, 2n] });
    expect(await inFront(graph([node('Sub', ['x', 'each_in'], 's'), group]))).toEqual(['Conv']);
    expect(await inFront(graph([batchNorm('x', 's', '_in'), convOf(pads)]))).toHaveLength(2);
    expect(
      await inFront(graph([batchNorm('x', 's', '_in'), convOf({ auto_pad: 'SAME_UPPER' })])),
    ).toHaveLength(2);
    const up = node('ConvTranspose', ['s', 'w_up'], 'y');
    expect(await inFront(graph([batchNorm('x', 's', '_in'), up]))).toHaveLength(2);
  });

  it('a number that belongs to an activation stays with it', async () => {
    const swish = [
      node('Sigmoid', ['x'], 'g'),
      node('Mul', ['x', 'g'], 'a'),
      node('Mul', ['a', 'number'], 's'),
    ];
    expect(await inFront(graph([...swish, convOf(pads)]))).toEqual(['Sigmoid', 'Mul', 'Mul', 'Conv']);
  });

  it('both stay where the value is used elsewhere, or gets its channels from the constant', async () => {
    const used = [node('Mul', ['x', 'each_in'], 's'), node('Conv', ['s', 'w'], 'c', pads)];
    const sum = [...used, node('ReduceMean', ['s'], 'm'), node('Add', ['c', 'm'], 'y')];
    expect(await inFront(graph(sum))).toContain('Mul');
    const one = [{ name: 'x', dtype: 'f32' as const, shape: ['n', 1, 5, 5] }];
    expect(
      await inFront(graph([node('Mul', ['x', 'each_in'], 's'), convOf(pads)], { inputs: one })),
    ).toHaveLength(2);
  });
});
