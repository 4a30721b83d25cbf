import { describe, expect, it } from 'vitest';
import type { ModelDescription, NodeDescription } from '../../../src/graph/build.js';
import { fuseGemmBatchNorm } from '../../../src/graph/optimize/passes/fuse-gemm-batchnorm.js';
import { fuseMatMulAddGemm } from '../../../src/graph/optimize/passes/fuse-matmul-add-gemm.js';
import { fuseTransposeGemm } from '../../../src/graph/optimize/passes/fuse-transpose-gemm.js';
import { graphOf, node, optimized, tensor } from './fusions.js';

const OUT = 6;
const IN = 4;
const initializers = [
  tensor('w', [IN, OUT]),
  tensor('wt', [OUT, IN]),
  tensor('bias', [OUT]),
  tensor('row', [1, OUT]),
  tensor('number', [], [0.7]),
  tensor('rows', [3, 1]),
  tensor('gamma', [OUT]),
  tensor('beta', [OUT]),
  tensor('mean', [OUT]),
  tensor('variance', [OUT], [0.5, 1, 2, 0.1, 1.5, 0.7]),
];
const graph = (nodes: readonly NodeDescription[], more: Partial<ModelDescription> = {}): ModelDescription =>
  graphOf(['n', IN], nodes, { initializers, ...more });
const product = node('MatMul', ['x', 'w'], 'm');
const batchNorm = node('BatchNormalization', ['m', 'gamma', 'beta', 'mean', 'variance'], 'y');

describe('MatMul and Add', () => {
  const ops = async (description: ModelDescription): Promise<readonly string[]> =>
    (await optimized(description, [fuseMatMulAddGemm])).ops;

  it('of matrices and a bias are Gemm', async () => {
    expect(await ops(graph([product, node('Add', ['bias', 'm'], 'y')]))).toEqual(['Gemm']);
  });

  it('stay with more axes, or axes that are not known', async () => {
    const nodes = [product, node('Add', ['m', 'bias'], 'y')];
    const cube = { inputs: [{ name: 'x', dtype: 'f32' as const, shape: ['n', 3, IN] }], outputs: three };
    expect(await ops(graph(nodes, cube))).toEqual(['MatMul', 'Add']);
    const squeezed = [node('Squeeze', ['in'], 'x'), ...nodes];
    const hidden = {
      inputs: [{ name: 'in', dtype: 'f32' as const, shape: ['n', 1, 'm', IN] }],
      outputs: three,
    };
    expect(await ops(graph(squeezed, hidden))).toEqual(['Squeeze', 'MatMul', 'Add']);
  });

  it('stay with what is no bias of columns, or is fed, or where the product is used elsewhere', async () => {
    for (const other of ['number', 'rows'])
      expect(await ops(graph([product, node('Add', ['m', other], 'y')]))).toEqual(['MatMul', 'Add']);
    const fed = [
      { name: 'x', dtype: 'f32' as const, shape: ['n', IN] },
      { name: 'bias', dtype: 'f32' as const, shape: [OUT] },
    ];
    expect(await ops(graph([product, node('Add', ['m', 'bias'], 'y')], { inputs: fed }))).toHaveLength(2);
    const used = [product, node('Add', ['m', 'bias'], 'a'), node('Mul', ['a', 'm'], 'y')];
    expect(await ops(graph(used))).toEqual(['MatMul', 'Add', 'Mul']);
  });
});

const three = [{ name: 'y', dtype: 'f32' as const, shape: ['a', 'b', 'c'] }];

describe('Transpose in front', () => {
  const z = { name: 'z', dtype: 'f32' as const, shape: [OUT, IN] };
  const x = { name: 'x', dtype: 'f32' as const, shape: ['n', IN] };
  const ops = async (nodes: readonly NodeDescription[], inputs = [x, z]): Promise<readonly string[]> =>
    (await optimized(graph(nodes, { inputs }), [fuseTransposeGemm])).ops;
  const turn = (from: string, to: string, attributes = {}): NodeDescription =>
    node('Transpose', [from], to, attributes);

  it('of MatMul becomes an attribute of Gemm, on either side', async () => {
    expect(await ops([turn('z', 't', { perm: [1n, 0n] }), node('MatMul', ['x', 't'], 'y')])).toEqual([
      'Gemm',
    ]);
    expect(
      await ops(
        [turn('z', 't'), turn('x', 's'), node('MatMul', ['t', 's'], 'y')],
        [{ ...x, shape: ['n', OUT] }, z],
      ),
    ).toEqual(['Gemm']);
  });

  it('of Gemm turns what is turned back', async () => {
    expect(await ops([turn('z', 't'), node('Gemm', ['x', 't', 'bias'], 'y')])).toEqual(['Gemm']);
    const back = [turn('x', 't'), node('Gemm', ['t', 'w'], 'y', { transA: 1n, alpha: 0.5 })];
    expect(await ops(back)).toEqual(['Gemm']);
  });

  it('stays with more axes, where nothing is turned, and where it is used elsewhere', async () => {
    const cube = { name: 'z', dtype: 'f32' as const, shape: [2, OUT, IN] };
    const deep = [turn('z', 't', { perm: [0n, 2n, 1n] }), node('MatMul', ['x', 't'], 'y')];
    const description = graph(deep, { inputs: [x, cube], outputs: three });
    expect((await optimized(description, [fuseTransposeGemm])).rewrites).toBe(0);
    const same = { name: 'z', dtype: 'f32' as const, shape: [IN, OUT] };
    expect(
      await ops([turn('z', 't', { perm: [0n, 1n] }), node('MatMul', ['x', 't'], 'y')], [x, same]),
    ).toHaveLength(2);
    const used = [turn('z', 't'), node('MatMul', ['x', 't'], 'm'), node('ReduceMean', ['t'], 'r')];
    expect(await ops([...used, node('Add', ['m', 'r'], 'y')])).toContain('Transpose');
  });
});

describe('behind a product with a constant matrix', () => {
  const ops = async (nodes: readonly NodeDescription[], more = {}): Promise<readonly string[]> =>
    (await optimized(graph(nodes, more), [fuseGemmBatchNorm])).ops;
  const gemm = (inputs: readonly string[], attributes = {}): NodeDescription =>
    node('Gemm', inputs, 'm', attributes);

  it('BatchNormalization goes into it', async () => {
    for (const first of [
      product,
      gemm(['x', 'w']),
      gemm(['x', 'w', 'row'], { beta: 0.5 }),
      gemm(['x', 'wt', 'number'], { transB: 1n, alpha: 2 }),
    ])
      expect(await ops([first, batchNorm])).toEqual(['Gemm']);
  });

  it('so do products and sums', async () => {
    const scaled = [node('Mul', ['row', 'm'], 's'), node('Div', ['s', 'number'], 'y')];
    expect(await ops([product, ...scaled])).toEqual(['MatMul']);
    const moved = [...scaled.slice(0, 1), node('Sub', ['s', 'bias'], 'y')];
    expect(await ops([gemm(['x', 'w', 'bias']), ...moved])).toEqual(['Gemm']);
  });

  it('they stay along another axis, with another use of the matrix, and with a bias of rows', async () => {
    const inputs = [{ name: 'x', dtype: 'f32' as const, shape: [3, IN] }];
    expect(await ops([product, node('Mul', ['m', 'rows'], 'y')], { inputs })).toEqual(['MatMul', 'Mul']);
    expect(await ops([gemm(['x', 'w', 'rows']), batchNorm], { inputs })).toEqual([
      'Gemm',
      'BatchNormalization',
    ]);
    const twice = [product, node('MatMul', ['x', 'w'], 'n'), node('Mul', ['m', 'row'], 's')];
    expect(await ops([...twice, node('Add', ['s', 'n'], 'y')])).toContain('Mul');
    const cube = { inputs: [{ name: 'x', dtype: 'f32' as const, shape: ['n', OUT, IN] }], outputs: three };
    expect(await ops([product, batchNorm], cube)).toEqual(['MatMul', 'BatchNormalization']);
  });
});
