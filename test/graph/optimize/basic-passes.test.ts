import { describe, expect, it } from 'vitest';
import { commonSubexpressions } from '../../../src/graph/optimize/passes/common-subexpressions.js';
import { deadCode } from '../../../src/graph/optimize/passes/dead-code.js';
import { duplicateInitializers } from '../../../src/graph/optimize/passes/duplicate-initializers.js';
import { foldConstants } from '../../../src/graph/optimize/passes/fold-constants.js';
import { identity } from '../../../src/graph/optimize/passes/identity.js';
import { graphOf, node, optimized, tensor } from './fusions.js';

const EXACT = { tolerance: 0 };
const names = (model: { readonly tensors: readonly { readonly info: { readonly name: string } }[] }) =>
  model.tensors.map(({ info }) => info.name).sort();

describe('dead-code', () => {
  it('takes out what nothing takes, chains of it too, and the initializers with it', async () => {
    const nodes = [node('Relu', ['x'], 'y'), node('Mul', ['x', 'w'], 'a'), node('Abs', ['a'], 'b')];
    const { ops, model } = await optimized(graphOf([2], nodes, { initializers: [tensor('w', [2])] }), [
      deadCode,
    ]);
    expect(ops).toEqual(['Relu']);
    expect(names(model)).toEqual([]);
  });
  it('keeps a node of which one output is taken', async () => {
    const split = { op: 'Split', inputs: ['x', 's'], outputs: ['y', 'unused'], attributes: { axis: 0n } };
    const initializers = [tensor('s', [2], [1n, 3n], 'i64')];
    expect((await optimized(graphOf([4], [split], { initializers }), [deadCode])).ops).toEqual(['Split']);
  });
});

describe('identity', () => {
  it('hands on what comes in, also where the result is an output of the graph', async () => {
    const nodes = [
      node('Identity', ['x'], 'a'),
      node('Dropout', ['a'], 'b'),
      node('Cast', ['b'], 'c', { to: 1n }),
      node('Relu', ['c'], 'd'),
      node('Identity', ['d'], 'y'),
    ];
    expect((await optimized(graphOf([3], nodes), [identity], EXACT)).ops).toEqual(['Relu']);
  });
  it('stays where input and output of the graph are the same value, or one value is two outputs', async () => {
    const through = await optimized(graphOf([3], [node('Identity', ['x'], 'y')]), [identity], EXACT);
    expect(through.ops).toEqual(['Identity']);
    const outputs = ['y', 'z'].map((name) => ({ name, dtype: 'f32' as const, shape: ['n'] }));
    const nodes = [node('Relu', ['x'], 'y'), node('Identity', ['y'], 'z')];
    expect((await optimized(graphOf([3], nodes, { outputs }), [identity], EXACT)).ops).toHaveLength(2);
  });
  it('leaves a Cast that changes the type, a Dropout that trains or whose mask is taken', async () => {
    const nodes = [node('Cast', ['x'], 'a', { to: 7n }), node('Cast', ['a'], 'y', { to: 1n })];
    expect((await optimized(graphOf([3], nodes), [identity], EXACT)).ops).toEqual(['Cast', 'Cast']);
    const mask = [
      { op: 'Dropout', inputs: ['x'], outputs: ['a', 'm'] },
      node('Cast', ['m'], 'f', { to: 1n }),
      node('Add', ['a', 'f'], 'y'),
    ];
    expect((await optimized(graphOf([3], mask), [identity], EXACT)).ops).toContain('Dropout');
  });
});

describe('fold-constants', () => {
  it('computes a node of several results whole, though others of them are taken only by what goes too', async () => {
    const split = { op: 'Split', inputs: ['w', 's'], outputs: ['p', 'q'], attributes: { axis: 0n } };
    const nodes = [
      split,
      node('Abs', ['p'], 'a'),
      node('Neg', ['a'], 'b'),
      node('Add', ['x', 'b'], 'c'),
      node('Add', ['c', 'q'], 'y'),
    ];
    const initializers = [tensor('w', [6]), tensor('s', [2], [3n, 3n], 'i64')];
    const { ops } = await optimized(graphOf([3], nodes, { initializers }), [foldConstants, deadCode], EXACT);
    expect(ops).toEqual(['Add', 'Add']);
  });
  it('computes what follows from constants, over several nodes', async () => {
    const initializers = [tensor('a', [2, 3]), tensor('b', [3, 2])];
    const nodes = [
      node('Transpose', ['a'], 't'),
      node('Add', ['t', 'b'], 'c'),
      node('MatMul', ['x', 'c'], 'y'),
    ];
    const { ops, model } = await optimized(graphOf([4, 3], nodes, { initializers }), [foldConstants], EXACT);
    expect(ops).toEqual(['MatMul']);
    expect(names(model)).toEqual(['c']);
  });
  it('takes Constant nodes of every form, and makes a constant output', async () => {
    const nodes = [
      { op: 'Constant', inputs: [], outputs: ['one'], attributes: { value_float: 1 } },
      { op: 'Constant', inputs: [], outputs: ['axes'], attributes: { value_ints: [0n] } },
      node('Unsqueeze', ['one', 'axes'], 'v'),
      node('Add', ['x', 'v'], 'y'),
    ];
    expect((await optimized(graphOf([3], nodes), [foldConstants], EXACT)).ops).toEqual(['Add']);
  });
  it('leaves random numbers, results above the limit and defaults of inputs that may be fed', async () => {
    const shape = tensor('big', [1], [4_000_000n], 'i64');
    const nodes = [
      { op: 'ConstantOfShape', inputs: ['big'], outputs: ['zeros'] },
      { op: 'ReduceSum', inputs: ['zeros'], outputs: ['s'], attributes: { keepdims: 0n } },
      node('Add', ['x', 's'], 'y'),
    ];
    // The sum is small, but what it is made of is not: 16 MB with a limit of 1 MiB.
    expect((await optimized(graphOf([3], nodes, { initializers: [shape] }), [foldConstants])).ops).toContain(
      'ConstantOfShape',
    );
    const defaulted = graphOf([3], [node('Relu', ['d'], 'r'), node('Add', ['x', 'r'], 'y')], {
      initializers: [tensor('d', [3])],
      inputs: [
        { name: 'x', dtype: 'f32', shape: [3] },
        { name: 'd', dtype: 'f32', shape: [3] },
      ],
    });
    expect((await optimized(defaulted, [foldConstants], EXACT)).ops).toEqual(['Relu', 'Add']);
  });
  it('leaves weights as small as they are stored', async () => {
    const initializers = [tensor('q', [2, 2], [1, 2, 3, 4], 'i8'), tensor('s', [], [0.5])];
    const nodes = [node('DequantizeLinear', ['q', 's'], 'w'), node('MatMul', ['x', 'w'], 'y')];
    const { ops } = await optimized(graphOf([2, 2], nodes, { initializers }), [foldConstants]);
    expect(ops).toEqual(['DequantizeLinear', 'MatMul']);
  });
});

describe('duplicate-initializers and common-subexpressions', () => {
  it('make one of what is twice the same', async () => {
    const same = [1, 2, 3, 4];
    const initializers = [tensor('a', [2, 2], same), tensor('b', [2, 2], same), tensor('c', [4], same)];
    const nodes = [
      node('MatMul', ['x', 'a'], 'p'),
      node('MatMul', ['x', 'b'], 'q'),
      node('Add', ['p', 'q'], 'r'),
      node('Reshape', ['r', 'flat'], 's'),
      node('Add', ['s', 'c'], 'y'),
    ];
    const description = graphOf([2, 2], nodes, {
      rank: 1,
      initializers: [...initializers, tensor('flat', [1], [-1n], 'i64')],
    });
    const both = [duplicateInitializers, commonSubexpressions];
    const { ops, model } = await optimized(description, both, EXACT);
    expect(ops).toEqual(['MatMul', 'Add', 'Reshape', 'Add']);
    expect(names(model)).toEqual(['a', 'c', 'flat']);
  });
  it('tell attributes, the order of inputs and random nodes apart', async () => {
    const nodes = [
      node('Sub', ['x', 'c'], 'p'),
      node('Sub', ['c', 'x'], 'q'),
      node('LeakyRelu', ['p'], 'r', { alpha: 0.1 }),
      node('LeakyRelu', ['p'], 's', { alpha: 0.2 }),
      node('Sum', ['q', 'r', 's'], 'y'),
    ];
    const { rewrites } = await optimized(graphOf([2], nodes, { initializers: [tensor('c', [2])] }), [
      commonSubexpressions,
    ]);
    expect(rewrites).toBe(0);
  });
});
