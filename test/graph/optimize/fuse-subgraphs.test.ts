import { Tensor } from 'onnxruntime-node';
import { describe, expect, it } from 'vitest';
import { PASSES } from '../../../src/graph/optimize/index.js';
import { fuseConvBatchNorm } from '../../../src/graph/optimize/passes/fuse-conv-batchnorm.js';
import { fuseGelu } from '../../../src/graph/optimize/passes/fuse-gelu.js';
import { floats, node, type Sample, sampleBytes } from '../half-support.js';
import { numbers, optimizedBytes } from './fusions.js';

const scalars = [floats('half', [0.5], []), floats('one', [1], []), floats('root2', [Math.SQRT2], [])];
const gelu = (x: string, y: string) => [
  node('Div', [x, 'root2'], ['u']),
  node('Erf', ['u'], ['e']),
  node('Add', ['e', 'one'], ['s']),
  node('Mul', [x, 's'], ['m']),
  node('Mul', ['m', 'half'], [y]),
];
const x = new Tensor('float32', Float32Array.from(numbers(6)), [2, 3]);
const c = (value: boolean): Tensor => new Tensor('bool', Uint8Array.of(value ? 1 : 0), []);
const plain = (name: string) => ({ nodes: [node('Neg', [name], ['n'])], outputs: ['n[2,3]'] });
const sample = (more: Pick<Sample, 'nodes'> & Partial<Sample>): Sample => ({
  inputs: ['x[2,3]', 'c:bool[]'],
  outputs: ['y[2,3]'],
  constants: scalars,
  opset: 20,
  ...more,
});

describe('graphs inside a graph', () => {
  it('are fused with constants and values of the graph around them', async () => {
    const choice = {
      ...node('If', ['c'], ['y']),
      graphs: { then_branch: { nodes: gelu('x', 't'), outputs: ['t[2,3]'] }, else_branch: plain('x') },
    };
    const bytes = await sampleBytes(sample({ nodes: [choice] }));
    for (const value of [true, false]) {
      const { insides } = await optimizedBytes(bytes, { x, c: c(value) }, [fuseGelu]);
      expect(insides).toEqual([['Gelu'], ['Neg']]);
    }
  });

  it('keep what they take from the graph around them', async () => {
    const choice = {
      ...node('If', ['c'], ['z']),
      graphs: { then_branch: plain('e'), else_branch: plain('x') },
    };
    const nodes = [...gelu('x', 'g'), choice, node('Add', ['g', 'z'], ['y'])];
    const { rewrites } = await optimizedBytes(await sampleBytes(sample({ nodes })), { x, c: c(true) }, [
      fuseGelu,
    ]);
    expect(rewrites).toBe(0);
  });

  it('leave weights alone that belong to the graph around them, and others may take', async () => {
    const branch = {
      nodes: [node('Conv', ['i', 'w'], ['a']), node('Mul', ['a', 'half'], ['t'])],
      outputs: ['t[1,2,4]'],
    };
    const other = { nodes: [node('Conv', ['i', 'w'], ['b'])], outputs: ['b[1,2,4]'] };
    const choice = { ...node('If', ['c'], ['y']), graphs: { then_branch: branch, else_branch: other } };
    const bytes = await sampleBytes(
      sample({
        nodes: [choice],
        inputs: ['i[1,2,6]', 'c:bool[]'],
        outputs: ['y[1,2,4]'],
        constants: [...scalars, floats('w', numbers(12), [2, 2, 3])],
      }),
    );
    const i = new Tensor('float32', Float32Array.from(numbers(12)), [1, 2, 6]);
    const { insides } = await optimizedBytes(bytes, { i, c: c(true) }, [fuseConvBatchNorm]);
    expect(insides).toEqual([['Conv', 'Mul'], ['Conv']]);
  });
});

it('a name that a fused node makes is still that of the last node', async () => {
  const nodes = [...gelu('x', 'g'), node('Neg', ['g'], ['y'])];
  const { model } = await optimizedBytes(
    await sampleBytes(sample({ nodes, inputs: ['x[2,3]'], outputs: ['y[2,3]', 'g[2,3]'] })),
    { x },
    PASSES,
  );
  expect(model.graph?.outputs.map(({ name }) => name)).toEqual(['y', 'g']);
});
