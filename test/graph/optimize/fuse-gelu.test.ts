import { describe, expect, it } from 'vitest';
import type { ModelDescription, NodeDescription } from '../../../src/graph/build.js';
import { fuseGelu } from '../../../src/graph/optimize/passes/fuse-gelu.js';
import { fuseGeluRuntime } from '../../../src/graph/optimize/passes/fuse-gelu-runtime.js';
import { graphOf, node, optimized, tensor } from './fusions.js';

const scalars = [
  tensor('half', [], [0.5]),
  tensor('one', [1], [1]),
  tensor('two', [], [2]),
  tensor('three', [], [3]),
  tensor('root2', [], [Math.SQRT2]),
  tensor('minus_root_half', [], [-Math.SQRT1_2]),
  tensor('k', [], [Math.sqrt(2 / Math.PI)]),
  tensor('c', [], [0.044715]),
  tensor('alpha', [], [1.702]),
];
const graph = (nodes: readonly NodeDescription[], more: Partial<ModelDescription> = {}): ModelDescription =>
  graphOf(['n', 5], nodes, { opset: 20, initializers: scalars, ...more });

const erf = [node('Div', ['x', 'root2'], 'u'), node('Erf', ['u'], 'e'), node('Add', ['e', 'one'], 's')];
const cube = [
  node('Pow', ['x', 'three'], 'x3'),
  node('Mul', ['x3', 'c'], 'cx3'),
  node('Add', ['x', 'cx3'], 'p'),
  node('Mul', ['p', 'k'], 'u'),
];
const tanh = [node('Tanh', ['u'], 't'), node('Add', ['one', 't'], 's')];

const erfForms: Readonly<Record<string, readonly NodeDescription[]>> = {
  'x · (1 + erf) · ½': [...erf, node('Mul', ['x', 's'], 'm'), node('Mul', ['m', 'half'], 'y')],
  '(½x) · (1 + erf)': [node('Mul', ['half', 'x'], 'h'), ...erf, node('Mul', ['h', 's'], 'y')],
  'x · (½ · (1 + erf))': [...erf, node('Mul', ['half', 's'], 'h'), node('Mul', ['h', 'x'], 'y')],
  'x · (1 + erf) / 2': [...erf, node('Mul', ['s', 'x'], 'm'), node('Div', ['m', 'two'], 'y')],
  '½x · (1 − erf(−x/√2))': [
    node('Mul', ['minus_root_half', 'x'], 'u'),
    node('Erf', ['u'], 'e'),
    node('Sub', ['one', 'e'], 's'),
    node('Mul', ['half', 'x'], 'h'),
    node('Mul', ['h', 's'], 'y'),
  ],
};
const tanhForms: Readonly<Record<string, readonly NodeDescription[]>> = {
  'with a power': [...cube, ...tanh, node('Mul', ['x', 'half'], 'h'), node('Mul', ['h', 's'], 'y')],
  'with products': [
    node('Mul', ['x', 'x'], 'x2'),
    node('Mul', ['x', 'x2'], 'x3'),
    ...cube.slice(1),
    ...tanh,
    node('Mul', ['s', 'half'], 'h'),
    node('Mul', ['x', 'h'], 'y'),
  ],
  'kx · (1 + cx·x)': [
    node('Mul', ['x', 'k'], 'kx'),
    node('Mul', ['c', 'x'], 'cx'),
    node('Mul', ['cx', 'x'], 'cxx'),
    node('Add', ['cxx', 'one'], 'q'),
    node('Mul', ['kx', 'q'], 'u'),
    ...tanh,
    node('Mul', ['x', 's'], 'm'),
    node('Mul', ['m', 'half'], 'y'),
  ],
};

describe.each(Object.entries(erfForms))('GELU as %s', (_, nodes) => {
  it('becomes Gelu from opset 20', async () => {
    const { rewrites, ops } = await optimized(graph(nodes), [fuseGelu]);
    expect([rewrites, ops]).toEqual([1, ['Gelu']]);
  });

  it("becomes onnxruntime's before", async () => {
    const old = graph(nodes, { opset: 13 });
    expect((await optimized(old, [fuseGelu])).rewrites).toBe(0);
    const { rewrites, ops } = await optimized(old, [fuseGeluRuntime]);
    expect([rewrites, ops]).toEqual([1, ['com.microsoft::Gelu']]);
  });
});

describe.each(Object.entries(tanhForms))('GELU with tanh, %s', (_, nodes) => {
  it('becomes Gelu from opset 20', async () => {
    const { rewrites, ops } = await optimized(graph(nodes), [fuseGelu]);
    expect([rewrites, ops]).toEqual([1, ['Gelu']]);
  });

  it('becomes FastGelu before', async () => {
    const { rewrites, ops } = await optimized(graph(nodes, { opset: 13 }), [fuseGeluRuntime]);
    expect([rewrites, ops]).toEqual([1, ['com.microsoft::FastGelu']]);
  });
});

it('GELU of a scaled value is the GELU of that value', async () => {
  const scaled = [node('Mul', ['in', 'two'], 'x'), ...(erfForms['(½x) · (1 + erf)'] ?? [])];
  const description = graph(scaled, { inputs: [{ name: 'in', dtype: 'f32', shape: ['n', 5] }] });
  const { ops } = await optimized(description, [fuseGelu]);
  expect(ops).toEqual(['Mul', 'Gelu']);
});

describe('x · sigmoid(αx)', () => {
  const sigmoid = [node('Sigmoid', ['u'], 's'), node('Mul', ['x', 's'], 'y')];
  it('becomes QuickGelu', async () => {
    const quick = await optimized(graph([node('Mul', ['x', 'alpha'], 'u'), ...sigmoid]), [fuseGeluRuntime]);
    expect(quick.ops).toEqual(['com.microsoft::QuickGelu']);
    const silu = await optimized(graph([node('Sigmoid', ['x'], 's'), node('Mul', ['s', 'x'], 'y')]), [
      fuseGeluRuntime,
    ]);
    expect(silu.ops).toEqual(['com.microsoft::QuickGelu']);
  });

  it('is left alone with a shift, and where it gates another value', async () => {
    const shifted = graph([node('Add', ['x', 'one'], 'u'), ...sigmoid]);
    expect((await optimized(shifted, [fuseGeluRuntime])).rewrites).toBe(0);
    const gate = graph([node('Neg', ['x'], 'z'), node('Sigmoid', ['x'], 's'), node('Mul', ['z', 's'], 'y')]);
    expect((await optimized(gate, [fuseGeluRuntime])).rewrites).toBe(0);
  });
});

describe('GELU is left alone', () => {
  const nodes = erfForms['x · (1 + erf) · ½'] ?? [];
  const both = [fuseGelu, fuseGeluRuntime];
  it('where a value in between is an output', async () => {
    const outputs = ['y', 'e'].map((name) => ({ name, dtype: 'f32' as const, shape: ['n', 5] }));
    expect((await optimized(graph(nodes, { outputs }), both)).rewrites).toBe(0);
  });

  it('where a value in between is used elsewhere', async () => {
    const used = [...nodes.slice(0, -1), node('Mul', ['m', 'half'], 'h'), node('Add', ['h', 's'], 'y')];
    expect((await optimized(graph(used), both)).rewrites).toBe(0);
  });

  it('with other numbers', async () => {
    const initializers = scalars.map((one) => (one.name === 'root2' ? tensor('root2', [], [1.4]) : one));
    expect((await optimized(graph(nodes, { initializers }), both)).rewrites).toBe(0);
  });

  it('where a constant is a vector, or gives the result another rank', async () => {
    for (const shape of [[5], [1, 1, 1]]) {
      const initializers = scalars.map((one) =>
        one.name === 'half' ? tensor('half', shape, Array<number>(shape[0] ?? 1).fill(0.5)) : one,
      );
      expect(
        (await optimized(graph(nodes, { initializers, outputs: [anyShape(shape)] }), both)).rewrites,
      ).toBe(0);
    }
  });

  it('where the number is fed', async () => {
    const inputs = [
      { name: 'x', dtype: 'f32' as const, shape: ['n', 5] },
      { name: 'half', dtype: 'f32' as const, shape: [] },
    ];
    expect((await optimized(graph(nodes, { inputs }), both)).rewrites).toBe(0);
  });

  it('in f16, where every step rounds', async () => {
    const initializers = scalars.map(({ name, shape }) =>
      tensor(name, shape, [name === 'half' ? 0.5 : name === 'root2' ? Math.SQRT2 : 1], 'f16'),
    );
    const io = { dtype: 'f16' as const, shape: ['n', 5] };
    const half = graph(nodes, {
      initializers,
      inputs: [{ name: 'x', ...io }],
      outputs: [{ name: 'y', ...io }],
    });
    expect((await optimized(half, both)).rewrites).toBe(0);
  });
});

const anyShape = (shape: readonly number[]) => ({
  name: 'y',
  dtype: 'f32' as const,
  shape: shape.length === 3 ? ['a', 'b', 'c'] : ['a', 'b'],
});
