import { describe, expect, it } from 'vitest';
import { rawBytes } from '../../../src/formats/onnx/data-span.js';
import { encodeToBytes } from '../../../src/formats/onnx/encode.js';
import {
  create,
  type FunctionProto,
  type GraphProto,
  type ModelProto,
  type NodeProto,
  type ValueInfoProto,
} from '../../../src/formats/onnx/schema.js';
import { readBytes, refusal } from './read.js';

const value = (name: string): ValueInfoProto =>
  create('ValueInfoProto', {
    name,
    type: create('TypeProto', {
      tensorType: create('TypeProtoTensor', { elemType: 1, shape: create('TensorShapeProto') }),
    }),
  });
const node = (
  input: readonly string[],
  output: readonly string[],
  more: Partial<NodeProto> = {},
): NodeProto => create('NodeProto', { opType: 'Add', input, output, ...more });
const weight = (name: string) =>
  create('TensorProto', { name, dataType: 1, data: [rawBytes(new Uint8Array(4))] });
const opset = (version: bigint, domain = '') => create('OperatorSetIdProto', { domain, version });
const graph = (more: Partial<GraphProto> = {}): GraphProto =>
  create('GraphProto', {
    name: 'g',
    input: [value('x')],
    output: [value('y')],
    node: [node(['x', 'w'], ['y'])],
    initializer: [weight('w')],
    ...more,
  });
const model = (more: Partial<ModelProto> = {}): ModelProto =>
  create('ModelProto', { irVersion: 8n, opsetImport: [opset(17n)], graph: graph(), ...more });
const read = (made: ModelProto) => readBytes(encodeToBytes('ModelProto', made));
const inGraph = (more: Partial<GraphProto>): ModelProto => model({ graph: graph(more) });
const body = (name: string, calls: string, more: Partial<FunctionProto> = {}): FunctionProto =>
  create('FunctionProto', {
    name,
    domain: 'loc',
    input: ['a'],
    output: ['b'],
    opsetImport: [opset(17n), opset(1n, 'loc')],
    node: [node(['a'], ['b'], calls === 'Neg' ? { opType: 'Neg' } : { opType: calls, domain: 'loc' })],
    ...more,
  });
const withFunctions = (...functions: readonly FunctionProto[]): ModelProto =>
  model({
    opsetImport: [opset(17n), opset(1n, 'loc')],
    functions,
    graph: graph({ node: [node(['x', 'w'], ['t']), node(['t'], ['y'], { opType: 'f', domain: 'loc' })] }),
  });
const sub = (nodes: readonly NodeProto[], output: string, more: Partial<GraphProto> = {}) =>
  create('AttributeProto', {
    name: 'then_branch',
    type: 5,
    g: create('GraphProto', { name: 'sub', node: nodes, output: [value(output)], ...more }),
  });

describe('models that keep the rules', () => {
  it.each([
    ['the smallest one', model()],
    ['an initializer that is an input', inGraph({ input: [value('x'), value('w')] })],
    [
      'a sub-graph that uses names from around it',
      inGraph({
        node: [
          node(['x', 'w'], ['t']),
          node(['x'], ['y'], { opType: 'If', attribute: [sub([node(['t', 'w'], ['s'])], 's')] }),
        ],
      }),
    ],
    [
      'a sub-graph whose output comes from around it',
      inGraph({
        node: [node(['x'], ['y'], { opType: 'If', attribute: [sub([], 'x')] })],
      }),
    ],
    ['functions that call each other', withFunctions(body('f', 'h'), body('h', 'Neg'))],
    [
      'a function over the attributes of its caller',
      withFunctions(
        body('f', 'Neg', {
          attribute: ['alpha'],
          node: [
            node(['a'], ['b'], {
              opType: 'LeakyRelu',
              attribute: [create('AttributeProto', { name: 'alpha', type: 1, refAttrName: 'alpha' })],
            }),
          ],
        }),
      ),
    ],
    ['absent optional inputs and outputs', inGraph({ node: [node(['x', '', 'w'], ['y', ''])] })],
    [
      'an empty list as attribute',
      inGraph({
        node: [node(['x', 'w'], ['y'], { attribute: [create('AttributeProto', { name: 'axes', type: 7 })] })],
      }),
    ],
    ['the domain ai.onnx', model({ opsetImport: [opset(17n, 'ai.onnx')] })],
    [
      'IR version 2 without imports',
      model({ irVersion: 2n, opsetImport: [], graph: graph({ input: [value('x'), value('w')] }) }),
    ],
  ] as const)('%s', async (_, made) => {
    expect((await read(made)).findings).toEqual([]);
  });
});

describe('rules with one clear meaning when broken', () => {
  it.each([
    ['NODES_UNSORTED', inGraph({ node: [node(['t', 'w'], ['y']), node(['x', 'w'], ['t'])] })],
    ['UNKNOWN_OPERATOR', inGraph({ node: [node(['x', 'w'], ['y'], { opType: 'NoSuchOp' })] })],
    ['OPERATOR_TOO_NEW', inGraph({ node: [node(['x', 'w'], ['y'], { opType: 'Gelu' })] })],
    ['DOMAIN_NOT_IMPORTED', inGraph({ node: [node(['x', 'w'], ['y'], { domain: 'com.microsoft' })] })],
    ['OPSET_NEWER', model({ opsetImport: [opset(99n)] })],
    [
      'METADATA_TWICE',
      model({ metadataProps: [1, 2].map(() => create('StringStringEntryProto', { key: 'k', value: 'v' })) }),
    ],
    [
      'SHAPE_MISSING',
      inGraph({
        output: [
          create('ValueInfoProto', {
            name: 'y',
            type: create('TypeProto', { tensorType: create('TypeProtoTensor', { elemType: 1 }) }),
          }),
        ],
      }),
    ],
  ] as const)('%s', async (code, made) => {
    expect((await read(made)).findings.map((one) => [one.code, one.severity])).toEqual([[code, 'warning']]);
  });

  it('is said once, with how often', async () => {
    const nodes = ['a', 'b', 'y'].map((name) => node(['x', 'w'], [name], { opType: 'NoSuchOp' }));
    const { findings } = await read(inGraph({ node: nodes }));
    expect(findings).toHaveLength(1);
    expect(findings[0]?.message).toContain('(and 2 more)');
  });
});

describe('broken rules', () => {
  const twoValues = create('AttributeProto', { name: 'a', type: 1, f: 1, i: 1n });
  const attributes = (...attribute: ReturnType<typeof create<'AttributeProto'>>[]) =>
    inGraph({ node: [node(['x', 'w'], ['y'], { attribute })] });
  const chain = (length: number): FunctionProto[] =>
    Array.from({ length }, (_, i) => body(i === 0 ? 'f' : `f${i}`, i + 1 < length ? `f${i + 1}` : 'Neg'));

  it.each([
    ['no ir_version', model({ irVersion: undefined }), /ir_version is not set/],
    ['ir_version 0', model({ irVersion: 0n }), /ir_version 0 is not a version/],
    ['a newer ir_version', model({ irVersion: 15n }), /newer than 14/],
    ['no imports', model({ opsetImport: [] }), /must have opset_import/],
    ['imports before IR 3', model({ irVersion: 2n }), /must not have opset_import/],
    ['a negative version', model({ opsetImport: [opset(-5n)] }), /imports version -5/],
    [
      'two versions of a domain',
      model({ opsetImport: [opset(17n), opset(18n, 'ai.onnx')] }),
      /versions 17 and 18/,
    ],
    [
      'metadata with two values',
      model({
        metadataProps: ['a', 'b'].map((v) => create('StringStringEntryProto', { key: 'k', value: v })),
      }),
      /"k" has two values/,
    ],
    ['no graph', model({ graph: undefined }), /has no graph/],
    ['a graph without a name', inGraph({ name: undefined }), /the graph has no name/],
    [
      'an input without a type',
      inGraph({ input: [create('ValueInfoProto', { name: 'x' })] }),
      /input "x" has no type/,
    ],
    ['an input twice', inGraph({ input: [value('x'), value('x')] }), /"x" is defined twice/],
    [
      'an initializer twice',
      inGraph({ initializer: [weight('w'), weight('w')] }),
      /initializer name "w" is used twice/,
    ],
    ['an initializer without a name', inGraph({ initializer: [weight('')] }), /has no name/],
    [
      'an initializer that a node makes',
      inGraph({ node: [node(['x', 'x'], ['w']), node(['x', 'w'], ['y'])] }),
      /"w" is defined twice/,
    ],
    [
      'initializers that are not inputs in IR 3',
      model({ irVersion: 3n }),
      /is not an input, which IR version 3 asks for/,
    ],
    [
      'a value made twice',
      inGraph({ node: [node(['x', 'w'], ['y']), node(['x', 'w'], ['y'])] }),
      /"y" is defined twice/,
    ],
    [
      'a cycle',
      inGraph({
        node: [node(['x', 'b'], ['a']), node(['a', 'w'], ['b'], { name: 'n2' }), node(['b', 'w'], ['y'])],
      }),
      /feed each other: .*n2/,
    ],
    [
      'a cycle through a sub-graph',
      inGraph({
        node: [
          node(['x'], ['a'], { opType: 'If', attribute: [sub([node(['b', 'x'], ['s'])], 's')] }),
          node(['a', 'w'], ['b']),
          node(['b', 'w'], ['y']),
        ],
      }),
      /feed each other/,
    ],
    [
      'an input that nothing defines',
      inGraph({ node: [node(['x', 'gone'], ['y'])] }),
      /uses "gone", which nothing defines/,
    ],
    ['an output that nothing defines', inGraph({ output: [value('gone')] }), /uses "gone"/],
    [
      'a name in a sub-graph that nothing defines',
      inGraph({
        node: [node(['x'], ['y'], { opType: 'If', attribute: [sub([node(['x', 'gone'], ['s'])], 's')] })],
      }),
      /uses "gone"/,
    ],
    [
      'a node without an operator',
      inGraph({ node: [node(['x', 'w'], ['y'], { opType: undefined })] }),
      /has no operator/,
    ],
    [
      'a node without values',
      inGraph({ node: [node(['x', 'w'], ['y']), node([], [])] }),
      /neither inputs nor outputs/,
    ],
    [
      'a domain that is not imported',
      inGraph({ node: [node(['x', 'w'], ['y'], { domain: 'my.own' })] }),
      /domain "my.own", which is not imported/,
    ],
    [
      'an attribute twice',
      attributes(
        create('AttributeProto', { name: 'a', type: 2, i: 1n }),
        create('AttributeProto', { name: 'a', type: 2, i: 2n }),
      ),
      /"a" twice/,
    ],
    [
      'an attribute without a name',
      attributes(create('AttributeProto', { type: 2, i: 1n })),
      /attribute without a name/,
    ],
    ['an attribute with two values', attributes(twoValues), /several values: FLOAT, INT/],
    [
      'an attribute of another type',
      attributes(create('AttributeProto', { name: 'a', type: 2, f: 1 })),
      /has type INT but a value of type FLOAT/,
    ],
    [
      'an attribute without a type',
      attributes(create('AttributeProto', { name: 'a', i: 1n })),
      /has no type/,
    ],
    [
      'a reference outside a function',
      attributes(create('AttributeProto', { name: 'a', type: 2, refAttrName: 'b' })),
      /is not in a function/,
    ],
    [
      'a function twice',
      withFunctions(body('f', 'Neg'), body('f', 'Neg')),
      /function "f" of domain "loc" is there twice/,
    ],
    ['a function that calls itself', withFunctions(body('f', 'h'), body('h', 'f')), /calls itself/],
    ['functions nested too deep', withFunctions(...chain(102)), /more than 100 deep/],
    [
      'a function that sees the graph',
      withFunctions(body('f', 'Neg', { node: [node(['w'], ['b'], { opType: 'Neg' })] })),
      /uses "w"/,
    ],
    [
      'an unsound tensor in an attribute',
      attributes(
        create('AttributeProto', {
          name: 'a',
          type: 4,
          t: create('TensorProto', { dataType: 1, dims: [3n], data: [rawBytes(new Uint8Array(4))] }),
        }),
      ),
      /needs 12 bytes, raw_data has 4/,
    ],
  ] as const)('%s', async (_, made, message) => {
    const error = await refusal(read(made));
    expect(error.message).toMatch(message);
    expect(error.hint).toBeTruthy();
  });

  it('accepts functions nested as deep as the onnx checker does', async () => {
    await read(withFunctions(...chain(100)));
  });
});

describe('size', () => {
  it('takes 20,000 nodes in a chain and as many initializers', async () => {
    const names = Array.from({ length: 20_000 }, (_, i) => `t${i}`);
    const nodes = names.map((name, i) => node([i === 0 ? 'x' : `t${i - 1}`, `w${i}`], [name]));
    const made = graph({
      node: [...nodes, node([names.at(-1)!, 'w0'], ['y'])],
      initializer: names.map((_, i) => weight(`w${i}`)),
    });
    const opened = await read(model({ graph: made }));
    expect(opened.tensors).toHaveLength(20_000);
    expect(opened.graph?.nodes).toBe(20_001);
  });

  it('finds a cycle of 20,000 nodes without overflowing the stack', async () => {
    const nodes = Array.from({ length: 20_000 }, (_, i) =>
      node([`t${(i + 19_999) % 20_000}`, 'w'], [`t${i}`]),
    );
    const error = await refusal(read(inGraph({ node: [...nodes, node(['t0', 'w'], ['y'])] })));
    expect(error.message).toContain('feed each other');
  });
});
