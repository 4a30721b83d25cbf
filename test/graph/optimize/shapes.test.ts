import { describe, expect, it } from 'vitest';
import { encodeToBytes } from '../../../src/formats/onnx/encode.js';
import { create, type GraphProto } from '../../../src/formats/onnx/schema.js';
import { protoOf } from '../../../src/formats/onnx/summary.js';
import { encodeModel, nodeProto, tensorProto } from '../../../src/graph/build.js';
import { openBytes } from '../opset-support.js';
import { bool, type Description, f32, i64, node, optimized, value } from './support.js';

describe('shape-folding', () => {
  const parts = (index: string): Description['nodes'] => [
    node('Shape x > s'),
    node(`Gather s ${index} > g`, { axis: 0n }),
    node('Unsqueeze g axis > u'),
  ];
  const ints = [
    i64('zero', [0], []),
    i64('one', [1], []),
    i64('axis', [0]),
    i64('four', [4]),
    i64('rest', [-1]),
  ];
  const reshape = (
    list: string,
    target: readonly (number | string)[],
    from: readonly (number | string)[],
  ) => ({
    nodes: [...parts('zero'), node(`Concat ${list} > c`, { axis: 0n }), node('Reshape x c > y')],
    inputs: [value('x', from)],
    outputs: [value('y', target)],
    initializers: ints,
  });

  it('knows one size where others are open', async () => {
    const model = {
      nodes: [...parts('one'), node('Cast u > y', { to: 1n })],
      inputs: [value('x', ['n', 5])],
      outputs: [value('y', [1])],
      initializers: ints,
    };
    expect((await optimized(model, 'shape-folding dead-code')).ops).toBe('Cast');
    const open = { ...model, nodes: [...parts('zero'), node('Cast u > y', { to: 1n })] };
    expect((await optimized(open, 'shape-folding')).rewrites).toEqual({});
    const whole = {
      ...model,
      inputs: [value('x', [3, 5])],
      nodes: [node('Size x > u'), node('Cast u > y', { to: 1n })],
    };
    expect((await optimized({ ...whole, outputs: [value('y', [])] }, 'shape-folding dead-code')).ops).toBe(
      'Cast',
    );
  });

  it('tells Reshape -1 for one open size, 0 for that of the input', async () => {
    const sizes = async (model: Description) => {
      const { ops, model: made } = await optimized(model, 'shape-folding dead-code');
      expect(ops).toBe('Reshape');
      const [tensor] = made.tensors;
      const chunks: Uint8Array[] = [];
      for await (const chunk of tensor!.stream()) chunks.push(chunk);
      return [...new BigInt64Array(Uint8Array.from(Buffer.concat(chunks)).buffer)].map(Number);
    };
    expect(await sizes(reshape('u four', ['n', 4], ['n', 2, 2]))).toEqual([-1, 4]);
    expect(await sizes(reshape('u rest four', ['n', 1, 4], ['n', 2, 2]))).toEqual([0, -1, 4]);
  });

  it('leaves a Reshape with more than one open size', async () => {
    const { rewrites } = await optimized(reshape('four u rest', [4, 'n', 1], ['n', 2, 2]), 'shape-folding');
    expect(rewrites).toEqual({});
  });
});

describe('infer-shapes', () => {
  it('writes types and shapes down, once', async () => {
    const { model, rewrites } = await optimized(
      {
        nodes: [node('MatMul x w > h'), node('Relu h > y')],
        inputs: [value('x', ['n', 3])],
        outputs: [value('y', ['n', 2])],
        initializers: [f32('w', [1, 2, 3, 4, 5, 6], [3, 2])],
      },
      'infer-shapes',
    );
    expect(rewrites).toEqual({ 'infer-shapes': 1 });
    const [info] = protoOf(model.graph!).graph!.valueInfo;
    expect(info?.name).toBe('h');
    expect(info?.type?.tensorType?.shape?.dim.map(({ dimParam, dimValue }) => dimParam ?? dimValue)).toEqual([
      'n',
      2n,
    ]);
  });
});

describe('constant-conditions', () => {
  const graph = (
    name: string,
    nodes: Description['nodes'],
    outputs: readonly string[],
    more: Partial<GraphProto> = {},
  ) =>
    create('GraphProto', {
      name,
      node: nodes.map(nodeProto),
      output: outputs.map((one) => create('ValueInfoProto', { name: one, type: float })),
      ...more,
    });
  const float = create('TypeProto', { tensorType: create('TypeProtoTensor', { elemType: 1 }) });

  /** y, z = If c: … else …, after x → h */
  async function choose(
    condition: boolean | 'open',
    branches: readonly [GraphProto, GraphProto],
  ): Promise<Uint8Array> {
    const inputs = [value('x', [3]), ...(condition === 'open' ? [value('c', [], 'bool')] : [])];
    const base = await openBytes(
      await encodeModel({
        opset: 18,
        nodes: [node('Neg x > h'), node('If c > y z')],
        inputs,
        outputs: [value('y', [3]), value('z', [3])],
        initializers: condition === 'open' ? [] : [bool('c', [condition])],
      }),
    );
    const proto = protoOf(base.graph!);
    const [before, choice] = proto.graph!.node;
    const [then_branch, else_branch] = branches;
    const attribute = Object.entries({ else_branch, then_branch }).map(([name, g]) =>
      create('AttributeProto', { name, type: 5, g }),
    );
    const initializer = condition === 'open' ? [] : [tensorProto(bool('c', [condition]))];
    return encodeToBytes('ModelProto', {
      ...proto,
      graph: { ...proto.graph!, node: [before!, { ...choice!, attribute }], initializer },
    });
  }
  const adds = graph('then', [node('Add h w > a'), node('Relu a > b')], ['a', 'b'], {
    initializer: [tensorProto(f32('w', [1, -2, 3]))],
  });
  const hands = graph('else', [node('Abs x > a'), node('Identity w > b')], ['a', 'b'], {
    initializer: [tensorProto(f32('w', [4, 5, 6]))],
  });

  it('puts the nodes of the branch there, with its tensors and what it hands on', async () => {
    const then = await optimized(await choose(true, [adds, hands]), 'constant-conditions dead-code');
    expect(then.ops).toBe('Neg Add Relu');
    expect(then.nodes.at(-1)?.output).toEqual(['z']);
    expect(then.model.tensors.map(({ info }) => info.name)).toEqual(['If_y/w']);
    const other = await optimized(await choose(false, [adds, hands]), 'constant-conditions dead-code');
    expect(other.ops).toBe('Abs Identity');
  });
  it('goes on inside: branches of branches', async () => {
    const inner = {
      ...nodeProto(node('If c > p q'), 0),
      attribute: [
        create('AttributeProto', { name: 'then_branch', type: 5, g: adds }),
        create('AttributeProto', { name: 'else_branch', type: 5, g: hands }),
      ],
    };
    const outer = create('GraphProto', { ...graph('then', [], ['p', 'q']), node: [inner] });
    const { ops, rewrites } = await optimized(
      await choose(true, [outer, hands]),
      'constant-conditions dead-code',
    );
    expect(ops).toBe('Neg Add Relu');
    expect(rewrites['constant-conditions']).toBe(2);
  });
  it('leaves conditions that are open', async () => {
    expect((await optimized(await choose('open', [adds, hands]), 'constant-conditions')).rewrites).toEqual(
      {},
    );
  });
});
