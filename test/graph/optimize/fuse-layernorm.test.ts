import { describe, expect, it } from 'vitest';
import { protoOf } from '../../../src/formats/onnx/summary.js';
import type { ModelDescription, NodeDescription } from '../../../src/graph/build.js';
import { numberOf } from '../../../src/graph/opset/attributes.js';
import { fuseLayerNorm } from '../../../src/graph/optimize/passes/fuse-layernorm.js';
import { fuseLayerNormRuntime } from '../../../src/graph/optimize/passes/fuse-layernorm-runtime.js';
import { graphOf, node, type Outcome, optimized, tensor } from './fusions.js';

const WIDTH = 6;
const initializers = [
  tensor('two', [], [2]),
  tensor('half', [], [0.5]),
  tensor('minus_half', [], [-0.5]),
  tensor('one', [], [1]),
  tensor('eps', [], [1e-5]),
  tensor('w', [WIDTH]),
  tensor('b', [WIDTH]),
  tensor('w2', [3, WIDTH]),
  tensor('first', [1]),
  tensor('axis', [1], [-1n], 'i64'),
  tensor('axes', [2], [1n, 2n], 'i64'),
];
const graph = (nodes: readonly NodeDescription[], more: Partial<ModelDescription> = {}): ModelDescription =>
  graphOf(['n', 3, WIDTH], nodes, { initializers, ...more });

const mean = (from: string, to: string, axes: readonly bigint[] = [-1n]): NodeDescription =>
  node('ReduceMean', [from], to, { axes });
const root = [node('Add', ['v', 'eps'], 've'), node('Sqrt', ['ve'], 'r')];
const spread = (axes?: readonly bigint[]): readonly NodeDescription[] => [
  mean('x', 'm', axes),
  node('Sub', ['x', 'm'], 'd'),
  node('Pow', ['d', 'two'], 'd2'),
  mean('d2', 'v', axes),
  ...root,
];
const scaled = [node('Mul', ['q', 'w'], 's'), node('Add', ['b', 's'], 'y')];
const plain = [...spread(), node('Div', ['d', 'r'], 'q'), ...scaled];

const axisOf = ({ model }: Outcome): number | undefined => {
  const made =
    model.graph && protoOf(model.graph).graph?.node.find(({ opType }) => /Norm/.test(opType ?? ''));
  return made && numberOf(made, 'axis');
};
const fused = async (description: ModelDescription): Promise<readonly string[]> =>
  (await optimized(description, [fuseLayerNorm])).ops;

describe('layer normalization', () => {
  it('is found with its scale and bias', async () => {
    const outcome = await optimized(graph(plain), [fuseLayerNorm]);
    expect([outcome.rewrites, outcome.ops, axisOf(outcome)]).toEqual([1, ['LayerNormalization'], -1]);
  });

  const forms: Readonly<Record<string, readonly NodeDescription[]>> = {
    'with a product for the square': plain.map((one) =>
      one.op === 'Pow' ? node('Mul', ['d', 'd'], 'd2') : one,
    ),
    'with the difference taken twice': [
      ...spread(),
      node('Sub', ['x', 'm'], 'e'),
      node('Div', ['e', 'r'], 'q'),
      ...scaled,
    ],
    'with a reciprocal': [
      ...spread(),
      node('Reciprocal', ['r'], 'i'),
      node('Mul', ['i', 'd'], 'q'),
      ...scaled,
    ],
    'with one over the root': [
      ...spread(),
      node('Div', ['one', 'r'], 'i'),
      node('Mul', ['d', 'i'], 'q'),
      ...scaled,
    ],
    'with a power of −½': [
      ...spread().slice(0, -1),
      node('Pow', ['ve', 'minus_half'], 'i'),
      node('Mul', ['d', 'i'], 'q'),
      ...scaled,
    ],
    'with a power of ½': [
      ...spread().slice(0, -1),
      node('Pow', ['ve', 'half'], 'r'),
      node('Div', ['d', 'r'], 'q'),
      ...scaled,
    ],
    'without a bias': [...spread(), node('Div', ['d', 'r'], 'q'), node('Mul', ['w', 'q'], 'y')],
    'without both': [...spread(), node('Div', ['d', 'r'], 'y')],
    'with a bias alone': [...spread(), node('Div', ['d', 'r'], 'q'), node('Add', ['q', 'b'], 'y')],
  };
  it.each(Object.entries(forms))('is found %s', async (_, nodes) => {
    expect(await fused(graph(nodes))).toEqual(['LayerNormalization']);
  });

  it('goes over several axes, and takes them as an input from opset 18', async () => {
    const nodes = [
      node('ReduceMean', ['x', 'axes'], 'm'),
      node('Sub', ['x', 'm'], 'd'),
      node('Pow', ['d', 'two'], 'd2'),
      node('ReduceMean', ['d2', 'axes'], 'v'),
      ...root,
      node('Div', ['d', 'r'], 'q'),
      node('Mul', ['q', 'w2'], 'y'),
    ];
    const outcome = await optimized(graph(nodes, { opset: 18 }), [fuseLayerNorm]);
    expect([outcome.ops, axisOf(outcome)]).toEqual([['LayerNormalization'], -2]);
  });

  it('needs opset 17, or the runtime', async () => {
    const old = graph(plain, { opset: 13 });
    expect((await optimized(old, [fuseLayerNorm])).rewrites).toBe(0);
    expect((await optimized(old, [fuseLayerNormRuntime])).ops).toEqual(['LayerNormalization']);
  });

  it('holds where numbers are far from zero', async () => {
    const far = [node('Add', ['in', 'far'], 'x'), ...plain];
    const description = graph(far, {
      inputs: [{ name: 'in', dtype: 'f32', shape: ['n', 3, WIDTH] }],
      initializers: [...initializers, tensor('far', [], [100])],
    });
    expect((await optimized(description, [fuseLayerNorm])).ops).toEqual(['Add', 'LayerNormalization']);
  });
});

describe('layer normalization is left alone', () => {
  const unchanged = async (description: ModelDescription): Promise<void> => {
    expect((await optimized(description, [fuseLayerNorm])).rewrites).toBe(0);
  };
  it('where it does not go over the last axes', async () => {
    await unchanged(graph([...spread([1n]), node('Div', ['d', 'r'], 'y')]));
    await unchanged(graph([...spread([0n, 2n]), node('Div', ['d', 'r'], 'y')]));
  });

  it('where the two means go over other axes', async () => {
    const nodes = plain.map((one) => (one.outputs[0] === 'm' ? mean('x', 'm', [-2n]) : one));
    await unchanged(graph(nodes));
  });

  it('where a value in between is an output, or used elsewhere', async () => {
    const outputs = ['y', 'm'].map((name) => ({ name, dtype: 'f32' as const, shape: ['a', 'b', 'c'] }));
    await unchanged(graph(plain, { outputs }));
    await unchanged(graph([...plain.slice(0, -1), node('Add', ['s', 'r'], 'y')]));
  });

  it('where ε is added after the root', async () => {
    const nodes = [
      ...spread().slice(0, -2),
      node('Sqrt', ['v'], 'r0'),
      node('Add', ['r0', 'eps'], 'r'),
      node('Div', ['d', 'r'], 'y'),
    ];
    await unchanged(graph(nodes));
  });

  it('where the size of what is normalized is open', async () => {
    const open = graphOf(['n', 3, 'c'], plain, { initializers });
    expect((await optimized(open, [fuseLayerNorm], { size: WIDTH })).rewrites).toBe(0);
  });

  it('in f16', async () => {
    const io = { dtype: 'f16' as const, shape: ['n', 3, WIDTH] };
    const half = initializers.map(({ name, shape, dtype }) =>
      dtype === 'i64'
        ? tensor(name, shape, [-1n], 'i64')
        : tensor(name, shape, shape.length === 0 ? [2] : undefined, 'f16'),
    );
    await unchanged(
      graph(plain, {
        initializers: half.filter(({ name }) => name !== 'axes'),
        inputs: [{ name: 'x', ...io }],
        outputs: [{ name: 'y', ...io }],
      }),
    );
  });
});

it('a scale of other sizes stays a product', async () => {
  const nodes = [...spread(), node('Div', ['d', 'r'], 'q'), node('Mul', ['q', 'w2'], 'y')];
  expect(await fused(graph(nodes))).toEqual(['LayerNormalization', 'Mul']);
});

it('a difference that is used elsewhere is normalized by its root mean square', async () => {
  const nodes = [...spread(), node('Div', ['d', 'r'], 'q'), node('Add', ['q', 'd'], 'y')];
  expect(await fused(graph(nodes))).toHaveLength(nodes.length);
  const { ops } = await optimized(graph(nodes), [fuseLayerNormRuntime]);
  expect(ops).toEqual(['ReduceMean', 'Sub', 'SimplifiedLayerNormalization', 'Add']);
});

describe('the root mean square', () => {
  const nodes = [
    node('Pow', ['x', 'two'], 'x2'),
    node('ReduceMean', ['x2', 'axis'], 'v'),
    ...root,
    node('Reciprocal', ['r'], 'i'),
    node('Mul', ['x', 'i'], 'q'),
    node('Mul', ['w', 'q'], 'y'),
  ];
  it('becomes RMSNormalization from opset 23', async () => {
    expect(await fused(graph(nodes, { opset: 23, irVersion: 10 }))).toEqual(['RMSNormalization']);
    expect(await fused(graph(nodes, { opset: 22 }))).toHaveLength(nodes.length);
  });

  it("becomes onnxruntime's SimplifiedLayerNormalization before, with or without a scale; a bias stays", async () => {
    const old = async (own: readonly NodeDescription[]): Promise<readonly string[]> =>
      (await optimized(graph(own, { opset: 18 }), [fuseLayerNormRuntime])).ops;
    expect(await old(nodes)).toEqual(['SimplifiedLayerNormalization']);
    expect(await old([...nodes.slice(0, -2), node('Mul', ['x', 'i'], 'y')])).toEqual([
      'SimplifiedLayerNormalization',
    ]);
    expect(
      await old([...nodes.slice(0, -1), node('Mul', ['q', 'w'], 's'), node('Add', ['s', 'b'], 'y')]),
    ).toEqual(['SimplifiedLayerNormalization', 'Add']);
  });
});
