import { describe, expect, it } from 'vitest';
import type { ModelDescription, NodeDescription } from '../../../src/graph/build.js';
import { fuseActivations } from '../../../src/graph/optimize/passes/fuse-activations.js';
import { graphOf, node, optimized, tensor } from './fusions.js';

const initializers = [
  tensor('zero', [], [0]),
  tensor('one', [], [1]),
  tensor('three', [], [3]),
  tensor('six', [], [6]),
  tensor('sixth', [], [1 / 6]),
  tensor('half', [], [0.5]),
  tensor('two', [], [2]),
];
const graph = (nodes: readonly NodeDescription[], more: Partial<ModelDescription> = {}): ModelDescription =>
  graphOf(['n', 7], nodes, { opset: 18, initializers, ...more });
const fused = async (description: ModelDescription): Promise<readonly string[]> =>
  (await optimized(description, [fuseActivations])).ops;

const clip = [node('Add', ['x', 'three'], 'u'), node('Clip', ['u', 'zero', 'six'], 'c')];

describe('HardSigmoid', () => {
  it('is clip(x + 3, 0, 6) / 6', async () => {
    expect(await fused(graph([...clip, node('Div', ['c', 'six'], 'y')]))).toEqual(['HardSigmoid']);
    expect(await fused(graph([...clip, node('Mul', ['sixth', 'c'], 'y')]))).toEqual(['HardSigmoid']);
  });

  it('is clip(ax + b, 0, 1)', async () => {
    const nodes = [
      node('Mul', ['x', 'sixth'], 'u'),
      node('Add', ['half', 'u'], 'v'),
      node('Clip', ['v', 'zero', 'one'], 'y'),
    ];
    expect(await fused(graph(nodes))).toEqual(['HardSigmoid']);
    expect(await fused(graph(nodes.slice(0, 2).concat(node('Clip', ['v', 'zero', 'two'], 'y'))))).toEqual([
      'Mul',
      'Add',
      'Clip',
    ]);
  });

  it('is not made of a Clip by itself, which the runtime merges with a Conv', async () => {
    expect(await fused(graph([node('Clip', ['x', 'zero', 'one'], 'y')]))).toEqual(['Clip']);
    const divided = [node('Clip', ['x', 'zero', 'six'], 'c'), node('Div', ['c', 'six'], 'y')];
    expect(await fused(graph(divided))).toEqual(['Clip', 'Div']);
  });

  it('has its limits in attributes before opset 11', async () => {
    const nodes = [
      node('Add', ['x', 'three'], 'u'),
      node('Clip', ['u'], 'c', { min: 0, max: 6 }),
      node('Div', ['c', 'six'], 'y'),
    ];
    expect(await fused(graph(nodes, { opset: 9 }))).toEqual(['HardSigmoid']);
  });

  it('is none with other limits, or where the sum is used elsewhere', async () => {
    const divided = node('Div', ['c', 'six'], 'y');
    const other = [node('Add', ['x', 'three'], 'u'), node('Clip', ['u', 'one', 'six'], 'c'), divided];
    expect(await fused(graph(other))).toEqual(['Add', 'Clip', 'Div']);
    const open = [node('Add', ['x', 'three'], 'u'), node('Clip', ['u', 'zero'], 'c'), divided];
    expect(await fused(graph(open))).toEqual(['Add', 'Clip', 'Div']);
    const used = [...clip, node('Div', ['c', 'six'], 'd'), node('Add', ['d', 'u'], 'y')];
    expect(await fused(graph(used))).toEqual(['Add', 'Clip', 'Div', 'Add']);
  });
});

describe('HardSwish', () => {
  const forms = [
    [...clip, node('Mul', ['x', 'c'], 'm'), node('Div', ['m', 'six'], 'y')],
    [...clip, node('Div', ['c', 'six'], 'g'), node('Mul', ['g', 'x'], 'y')],
    [node('HardSigmoid', ['x'], 'g', { alpha: 1 / 6, beta: 0.5 }), node('Mul', ['x', 'g'], 'y')],
  ];
  it('is x · clip(x + 3, 0, 6) / 6 in any order', async () => {
    for (const nodes of forms) expect(await fused(graph(nodes))).toEqual(['HardSwish']);
  });

  it('becomes a product with HardSigmoid before opset 14', async () => {
    for (const nodes of forms)
      expect(await fused(graph(nodes, { opset: 13 }))).toEqual(['HardSigmoid', 'Mul']);
  });

  it('is none with another slope, or as a gate of another value', async () => {
    const slope = [node('HardSigmoid', ['x'], 'g'), node('Mul', ['x', 'g'], 'y')];
    expect(await fused(graph(slope))).toEqual(['HardSigmoid', 'Mul']);
    const gate = [
      node('Neg', ['x'], 'z'),
      node('HardSigmoid', ['x'], 'g', { alpha: 1 / 6, beta: 0.5 }),
      node('Mul', ['z', 'g'], 'y'),
    ];
    expect(await fused(graph(gate))).toEqual(['Neg', 'HardSigmoid', 'Mul']);
  });
});

describe('Mish', () => {
  const nodes = [node('Softplus', ['x'], 's'), node('Tanh', ['s'], 't'), node('Mul', ['x', 't'], 'y')];
  it('is x · tanh(softplus(x)) from opset 18', async () => {
    expect(await fused(graph(nodes))).toEqual(['Mish']);
    expect(await fused(graph(nodes, { opset: 17 }))).toEqual(['Softplus', 'Tanh', 'Mul']);
  });

  it('is none where the gate is an output, or in f16', async () => {
    const outputs = ['y', 't'].map((name) => ({ name, dtype: 'f32' as const, shape: ['n', 7] }));
    expect(await fused(graph(nodes, { outputs }))).toEqual(['Softplus', 'Tanh', 'Mul']);
    const io = { dtype: 'f16' as const, shape: ['n', 7] };
    const half = graph(nodes, { inputs: [{ name: 'x', ...io }], outputs: [{ name: 'y', ...io }] });
    expect(await fused(half)).toEqual(['Softplus', 'Tanh', 'Mul']);
  });
});

it('log(1 + exp(x)) and x · sigmoid(x) stay: the runtime is slower with their operators', async () => {
  const softplus = [node('Exp', ['x'], 'e'), node('Add', ['e', 'one'], 's'), node('Log', ['s'], 'y')];
  expect(await fused(graph(softplus))).toEqual(['Exp', 'Add', 'Log']);
  const swish = [node('Sigmoid', ['x'], 's'), node('Mul', ['x', 's'], 'y')];
  expect(await fused(graph(swish, { opset: 24, irVersion: 10 }))).toEqual(['Sigmoid', 'Mul']);
});
