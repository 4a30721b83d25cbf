import { describe, expect, it } from 'vitest';
import type { ModelDescription, NodeDescription } from '../../../src/graph/build.js';
import { fusePadConv } from '../../../src/graph/optimize/passes/fuse-pad-conv.js';
import { graphOf, node, optimized, tensor } from './fusions.js';

const pads = [0n, 0n, 1n, 0n, 0n, 0n, 1n, 2n];
const initializers = [
  tensor('w', [4, 3, 3, 3]),
  tensor('pads', [8], pads, 'i64'),
  tensor('spatial', [4], [1n, 0n, 1n, 2n], 'i64'),
  tensor('axes', [2], [-2n, 3n], 'i64'),
  tensor('channels', [8], [0n, 1n, 0n, 0n, 0n, 0n, 0n, 0n], 'i64'),
  tensor('cut', [8], [0n, 0n, -1n, 0n, 0n, 0n, 1n, 0n], 'i64'),
  tensor('zero', [], [0]),
  tensor('one', [], [1]),
  tensor('lowest', [], [Number.NEGATIVE_INFINITY]),
];
const graph = (nodes: readonly NodeDescription[], more: Partial<ModelDescription> = {}): ModelDescription =>
  graphOf(['n', 3, 6, 6], nodes, { opset: 18, initializers, ...more });
const ops = async (description: ModelDescription): Promise<readonly string[]> =>
  (await optimized(description, [fusePadConv])).ops;

const conv = (attributes: NodeDescription['attributes'] = {}): NodeDescription =>
  node('Conv', ['p', 'w'], 'y', attributes);
const pad = (inputs: readonly string[], from = 'x'): NodeDescription => node('Pad', [from, ...inputs], 'p');
const pool = (op: string, attributes: NodeDescription['attributes'] = {}): NodeDescription =>
  node(op, ['p'], 'y', { kernel_shape: [3n, 3n], ...attributes });

describe('in front of Conv', () => {
  it('zeros become its padding, on top of what it has', async () => {
    expect(await ops(graph([pad(['pads']), conv()]))).toEqual(['Conv']);
    expect(await ops(graph([pad(['pads', 'zero']), conv({ auto_pad: 'VALID', strides: [2n, 2n] })]))).toEqual(
      ['Conv'],
    );
    const own = { pads: [2n, 1n, 0n, 1n], dilations: [2n, 1n] };
    expect(await ops(graph([pad(['spatial', '', 'axes']), conv(own)]))).toEqual(['Conv']);
  });

  it('they may be attributes, before opset 11', async () => {
    expect(await ops(graph([node('Pad', ['x'], 'p', { pads }), conv()], { opset: 9 }))).toEqual(['Conv']);
  });

  it('they stay where they are something else', async () => {
    for (const inputs of [['pads', 'one'], ['cut'], ['channels']]) {
      const x = { name: 'x', dtype: 'f32' as const, shape: ['n', inputs[0] === 'channels' ? 2 : 3, 6, 6] };
      expect(await ops(graph([pad(inputs), conv()], { inputs: [x] }))).toEqual(['Pad', 'Conv']);
    }
    const mirrored = node('Pad', ['x', 'pads'], 'p', { mode: 'reflect' });
    expect(await ops(graph([mirrored, conv()]))).toEqual(['Pad', 'Conv']);
  });

  it('they stay where sizes decide about the padding, or the value is used elsewhere', async () => {
    expect(await ops(graph([pad(['pads']), conv({ auto_pad: 'SAME_LOWER' })]))).toEqual(['Pad', 'Conv']);
    const used = [pad(['pads']), node('Conv', ['p', 'w'], 'c'), node('ReduceMean', ['p'], 'm')];
    expect(await ops(graph([...used, node('Add', ['c', 'm'], 'y')]))).toContain('Pad');
  });
});

describe('in front of AveragePool', () => {
  it('zeros become padding that counts', async () => {
    expect(await ops(graph([pad(['pads']), pool('AveragePool')]))).toEqual(['AveragePool']);
    const own = { pads: [1n, 1n, 1n, 0n], count_include_pad: 1n };
    expect(await ops(graph([pad(['pads']), pool('AveragePool', own)]))).toEqual(['AveragePool']);
  });

  it('they stay where its own padding does not count, or sizes are rounded up', async () => {
    for (const attributes of [{ pads: [1n, 1n, 1n, 0n] }, { ceil_mode: 1n }])
      expect(await ops(graph([pad(['pads']), pool('AveragePool', attributes)]))).toEqual([
        'Pad',
        'AveragePool',
      ]);
  });
});

describe('in front of MaxPool', () => {
  it('what no maximum sees becomes padding', async () => {
    expect(await ops(graph([pad(['pads', 'lowest']), pool('MaxPool')]))).toEqual(['MaxPool']);
    const positive = [node('Relu', ['x'], 'r'), pad(['pads'], 'r'), pool('MaxPool', { strides: [2n, 2n] })];
    expect(await ops(graph(positive))).toEqual(['Relu', 'MaxPool']);
  });

  it('zeros stay where values may be below them, or places are asked for', async () => {
    expect(await ops(graph([pad(['pads']), pool('MaxPool')]))).toEqual(['Pad', 'MaxPool']);
    const places = {
      op: 'MaxPool',
      inputs: ['p'],
      outputs: ['y', 'at'],
      attributes: { kernel_shape: [3n, 3n] },
    };
    const nodes = [pad(['pads', 'lowest']), places, node('Cast', ['at'], 'z', { to: 1n })];
    const outputs = ['y', 'z'].map((name) => ({ name, dtype: 'f32' as const, shape: ['a', 'b', 'c', 'd'] }));
    expect(await ops(graph(nodes, { outputs }))).toEqual(['Pad', 'MaxPool', 'Cast']);
  });
});
