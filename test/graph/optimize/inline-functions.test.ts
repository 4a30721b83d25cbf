import { describe, expect, it } from 'vitest';
import { encodeToBytes } from '../../../src/formats/onnx/encode.js';
import {
  type AttributeProto,
  create,
  type FunctionProto,
  type GraphProto,
  type NodeProto,
} from '../../../src/formats/onnx/schema.js';
import { protoOf } from '../../../src/formats/onnx/summary.js';
import { attributeProto, encodeModel, nodeProto, tensorProto } from '../../../src/graph/build.js';
import { inlineFunctions } from '../../../src/graph/optimize/passes/inline-functions.js';
import { bytesOf, difference, openBytes, runOn } from '../opset-support.js';
import { bool, f32, node, optimized, value } from './support.js';

const LOCAL = 'local';
const made = (text: string, attributes = {}): NodeProto => nodeProto(node(text, attributes), 0);
const call = (text: string, attributes = {}): NodeProto => ({ ...made(text, attributes), domain: LOCAL });
const reference = (name: string, refAttrName: string, type = 1): AttributeProto =>
  create('AttributeProto', { name, refAttrName, type });

const fn = (
  name: string,
  input: readonly string[],
  output: readonly string[],
  nodes: readonly NodeProto[],
  more: Partial<FunctionProto> = {},
): FunctionProto =>
  create('FunctionProto', {
    name,
    domain: LOCAL,
    input,
    output,
    node: nodes,
    opsetImport: imports({ '': 18, [LOCAL]: 1 }),
    ...more,
  });

const imports = (versions: Readonly<Record<string, number>>) =>
  Object.entries(versions).map(([domain, version]) =>
    create('OperatorSetIdProto', { domain, version: BigInt(version) }),
  );

const info = (name: string, shape: readonly (number | string)[]) =>
  create('ValueInfoProto', {
    name,
    type: create('TypeProto', {
      tensorType: create('TypeProtoTensor', {
        elemType: 1,
        shape: create('TensorShapeProto', {
          dim: shape.map((dim) =>
            create(
              'TensorShapeProtoDimension',
              typeof dim === 'string' ? { dimParam: dim } : { dimValue: BigInt(dim) },
            ),
          ),
        }),
      }),
    }),
  });

const modelWith = (
  nodes: readonly NodeProto[],
  functions: readonly FunctionProto[],
  more: Partial<GraphProto> = {},
): Uint8Array =>
  encodeToBytes(
    'ModelProto',
    create('ModelProto', {
      irVersion: 10n,
      opsetImport: imports({ '': 18, [LOCAL]: 1 }),
      functions,
      graph: create('GraphProto', {
        name: 'g',
        node: nodes,
        input: [info('x', [4])],
        output: [info('y', [4])],
        ...more,
      }),
    }),
  );

describe('inline-functions', () => {
  it('puts bodies in the place of calls, with attributes of the call and defaults of the function', async () => {
    const leaky = fn(
      'Leaky',
      ['a'],
      ['b'],
      [
        { ...made('LeakyRelu a > t'), attribute: [reference('alpha', 'slope')] },
        { ...made('Elu t > b'), attribute: [reference('alpha', 'gone')] },
      ],
      { attribute: ['gone'], attributeProto: [attributeProto('slope', 0.25)] },
    );
    const bytes = await modelWith([call('Leaky x > h', { slope: 0.5 }), call('Leaky h > y')], [leaky]);
    const { model, nodes, ops, rewrites } = await optimized(bytes, 'inline-functions');
    expect(rewrites).toEqual({ 'inline-functions': 2 });
    expect(ops).toBe('LeakyRelu Elu LeakyRelu Elu');
    expect(nodes.map(({ attribute }) => attribute.map(({ f }) => f))).toEqual([[0.5], [], [0.25], []]);
    expect(nodes.map(({ name }) => name)).toEqual([
      'Leaky_h/LeakyRelu_t',
      'Leaky_h/Elu_b',
      'Leaky_y/LeakyRelu_t',
      'Leaky_y/Elu_b',
    ]);
    expect(model.graph).toMatchObject({ functions: 0 });
    expect([...model.graph!.opsets]).toEqual([['', 18]]);
  });

  it('goes through functions that call functions, absent inputs and outputs', async () => {
    const inner = fn(
      'Inner',
      ['a', 'low', 'high'],
      ['b', 'c'],
      [made('Clip a low high > b'), made('Abs b > c')],
    );
    const outer = fn(
      'Outer',
      ['p'],
      ['q', 'unused'],
      [call('Inner p > c d'), made('Add c d > q'), made('Neg q > unused')],
    );
    const { ops, nodes, model } = await optimized(
      await modelWith([call('Outer x > y rest')], [inner, outer]),
      'inline-functions',
    );
    expect(ops).toBe('Clip Abs Add Neg');
    expect(nodes[0]?.input).toEqual(['x', '', '']);
    expect(model.graph?.functions).toBe(0);
  });

  // What the runtime (1.30) does not load as functions.
  it('hands inputs on that are outputs too', async () => {
    const swap = fn('Swap', ['a', 'b'], ['b', 'a'], []);
    const bytes = await modelWith([call('Swap x w > h y'), made('Neg h > z')], [swap], {
      initializer: [tensorProto(f32('w', [1, 2, 3, 4]))],
    });
    const { model, rewrites } = await inlineFunctions.prepare(await openBytes(bytes));
    expect(rewrites).toBe(1);
    const [h, y] = protoOf(model.graph!).graph!.node;
    expect([h, y].map((one) => [one?.opType, one?.input, one?.output])).toEqual([
      ['Identity', ['w'], ['h']],
      ['Identity', ['x'], ['y']],
    ]);
    const plain = await encodeModel({
      opset: 18,
      nodes: [node('Identity x > y')],
      inputs: [value('x', [4])],
      outputs: [value('y', [4])],
    });
    expect(difference(await runOn(plain, [4]), await runOn(await bytesOf(model), [4]))).toBe(0);
  });

  it('gives graphs inside functions values and tensors of their own at every call', async () => {
    const branch = (name: string, op: string, weight: readonly number[]): GraphProto =>
      create('GraphProto', {
        name,
        node: [made(`${op} a w > r`)],
        initializer: [tensorProto(f32('w', weight))],
        output: [info('r', [4])],
      });
    const choose: NodeProto = {
      ...made('If go > b'),
      attribute: [
        create('AttributeProto', { name: 'then_branch', type: 5, g: branch('t', 'Add', [1, 2, 3, 4]) }),
        create('AttributeProto', { name: 'else_branch', type: 5, g: branch('e', 'Mul', [5, 6, 7, 8]) }),
      ],
    };
    const bytes = await modelWith(
      [call('Choose x yes > h'), call('Choose h no > y')],
      [fn('Choose', ['a', 'go'], ['b'], [choose])],
      { initializer: [tensorProto(bool('yes', [true])), tensorProto(bool('no', [false]))] },
    );
    const { model } = await optimized(bytes, 'inline-functions');
    expect(model.tensors.map(({ info: { name } }) => name)).toEqual([
      'yes',
      'no',
      'Choose_h/If_b/Choose_h/w',
      'Choose_h/If_b/Choose_h/w_2',
      'Choose_y/If_b/Choose_y/w',
      'Choose_y/If_b/Choose_y/w_2',
    ]);
  });

  it('converts a body of another operator set, or leaves it', async () => {
    const old = fn('Old', ['a'], ['b'], [made('Squeeze a > b', { axes: [0n] })], {
      opsetImport: imports({ '': 11 }),
    });
    const bytes = await modelWith([call('Old x > y')], [old], { input: [info('x', [1, 4])] });
    const { model } = await inlineFunctions.prepare(await openBytes(bytes));
    expect(protoOf(model.graph!).graph!.node.map(({ opType }) => opType)).toEqual(['Constant', 'Squeeze']);
    const plain = await encodeModel({
      opset: 18,
      nodes: [node('Squeeze x > y')],
      inputs: [value('x', [1, 4])],
      outputs: [value('y', [4])],
    });
    expect(difference(await runOn(plain, [1, 4]), await runOn(await bytesOf(model), [1, 4]))).toBe(0);
    const newer = fn('New', ['a'], ['b'], [made('Gelu a > b')], { opsetImport: imports({ '': 20 }) });
    const left = await openBytes(await modelWith([call('New x > y')], [newer]));
    expect(await inlineFunctions.prepare(left)).toEqual({ model: left, rewrites: 0 });
  });

  it('tells overloads apart, and does not write out a billion nodes', async () => {
    const twice = fn('F', ['a'], ['b'], [made('Neg a > b')], { overload: 'neg' });
    const plain = fn('F', ['a'], ['b'], [made('Abs a > b')]);
    const bytes = await modelWith([{ ...call('F x > h'), overload: 'neg' }, call('F h > y')], [twice, plain]);
    expect((await optimized(bytes, 'inline-functions')).ops).toBe('Neg Abs');
    const levels = Array.from({ length: 30 }, (_, i) =>
      fn(
        `L${i}`,
        ['a'],
        ['b'],
        i === 0 ? [made('Neg a > b')] : [call(`L${i - 1} a > c`), call(`L${i - 1} c > b`)],
      ),
    );
    const model = await openBytes(await modelWith([call('L29 x > y')], levels));
    const outcome = await inlineFunctions.prepare(model);
    expect(outcome).toEqual({ model, rewrites: 0 });
  });

  it('leaves models without functions', async () => {
    const { rewrites, model } = await optimized(
      { nodes: [node('Neg x > y')], inputs: [value('x', [4])], outputs: [value('y', [4])] },
      'inline-functions',
    );
    expect(rewrites).toEqual({});
    expect(protoOf(model.graph!).functions).toEqual([]);
  });
});
