import { describe, expect, it } from 'vitest';
import { create, type FunctionProto, type NodeProto } from '../../src/formats/onnx/schema.js';
import { protoOf } from '../../src/formats/onnx/summary.js';
import { change, converted, feed, floats, type Node, node, nodeOf, typesOf } from './half-support.js';

const x = feed([0.5, -1.25, 2, 3]);

function body(
  name: string,
  fields: Partial<FunctionProto>,
  nodes: readonly Node[],
  version = 17n,
): FunctionProto {
  return create('FunctionProto', {
    name,
    domain: 'local',
    node: nodes.map(nodeOf).map((one, i): NodeProto => ({ ...one, name: `n${i}` })),
    opsetImport: [
      create('OperatorSetIdProto', { domain: '', version }),
      create('OperatorSetIdProto', { domain: 'local', version: 1n }),
    ],
    ...fields,
  });
}
const call = (op: string, inputs: string[], outputs: string[], attributes = {}): Node => ({
  ...node(op, inputs, outputs, attributes),
  domain: 'local',
});

const scaled = body('Scaled', { input: ['a', 'w'], output: ['b', 'c'], attribute: ['slope'] }, [
  node('Mul', ['a', 'w'], ['t']),
  node('LeakyRelu', ['t'], ['b']),
  node('Identity', ['a'], ['c']),
]);
/** LeakyRelu takes its slope from the call. */
const withSlope: FunctionProto = {
  ...scaled,
  node: scaled.node.map((one) =>
    one.opType === 'LeakyRelu'
      ? { ...one, attribute: [create('AttributeProto', { name: 'alpha', type: 1, refAttrName: 'slope' })] }
      : one,
  ),
};
const twice = body('Twice', { input: ['a', 'w'], output: ['b'] }, [
  call('Scaled', ['a', 'w'], ['t', 'u'], { slope: 0.5 }),
  call('Scaled', ['t', 'w'], ['b', 'v']),
]);

const sample = {
  nodes: [
    call('Twice', ['x', 'w'], ['a']),
    call('Scaled', ['a', 'w'], ['b', 'same'], { slope: 0.25 }),
    node('Add', ['b', 'same'], ['t']),
    node('Relu', ['t'], ['y']),
  ],
  inputs: ['x[4]'],
  outputs: ['y[4]', 't[4]'],
  constants: [floats('w', [1, 2, 3, 0.1])],
  domains: ['local'],
};

describe('f16 and functions of the model', () => {
  it('puts their nodes where they are called', async () => {
    const made = await converted({ ...sample, functions: [withSlope, twice] });
    expect(made.model.graph && protoOf(made.model.graph).functions).toEqual([]);
    expect(typesOf(made.model)).toEqual({ w: 'f16' });
    expect(made.lines.filter((line) => line.startsWith('Mul'))).toHaveLength(3);
    expect(made.lines.filter((line) => line.startsWith('Cast'))).toHaveLength(3);
    expect(await change(made, { x })).toBeLessThan(0.05);
  });

  it('leaves calls of functions in another operator set, with casts around', async () => {
    const old = body('Scaled', { input: ['a', 'w'], output: ['b'] }, [node('Mul', ['a', 'w'], ['b'])], 16n);
    const made = await converted({
      nodes: [node('Relu', ['x'], ['r']), call('Scaled', ['r', 'w'], ['s']), node('Neg', ['s'], ['y'])],
      inputs: ['x[4]'],
      outputs: ['y[4]'],
      values: ['s[4]'],
      constants: [floats('w', [1, 2, 3, 0.1])],
      domains: ['local'],
      functions: [old],
    });
    expect(typesOf(made.model)).toEqual({ w: 'f32' });
    expect(made.lines).toContain('Scaled(r_f32, w) -> s');
    expect(made.lines).toContain('Neg(s_f16) -> y_f16');
  });
});
