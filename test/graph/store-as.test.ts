import { describe, expect, it } from 'vitest';
import type { DType } from '../../src/core/dtype.js';
import type { Model } from '../../src/core/model.js';
import { memoryTensor, readTensor } from '../../src/core/tensor.js';
import type { AttributeProto, GraphProto, ModelProto } from '../../src/formats/onnx/schema.js';
import { create } from '../../src/formats/onnx/schema.js';
import { protoOf, summarize } from '../../src/formats/onnx/summary.js';
import { nodeProto, tensorProto } from '../../src/graph/build.js';
import { isWeight, storeAs } from '../../src/graph/store-as.js';

const values = Float32Array.of(1, -2.5, 0.1, 3);
const raw = new Uint8Array(values.buffer);
const tensor = (name: string, shape: readonly number[] = [4]) =>
  tensorProto({ name, dtype: 'f32', shape, raw: raw.subarray(0, shape.length === 0 ? 4 : 16) });
const node = (op: string, inputs: string[], outputs: string[], attribute: AttributeProto[] = []) => ({
  ...nodeProto({ op, inputs, outputs }, 0),
  name: undefined,
  attribute,
});
const output = (name: string) => create('ValueInfoProto', { name });
const branch = (name: string, weight: string): AttributeProto =>
  create('AttributeProto', {
    name: `${name}_branch`,
    type: 5,
    g: create('GraphProto', {
      node: [node('Add', [weight, 'outer'], [`${name}_sum`]), node('Mul', [`${name}_sum`, 'scalar'], [name])],
      initializer: weight === 'outer' ? [] : [tensor(weight)],
      output: [output(name)],
    }),
  });

/** y = if c then w + outer (w its own) else outer + outer; `out` is an output as it stands. */
function sample(opset: bigint, fields: Partial<GraphProto> = {}, irVersion = 8n): Model {
  const proto: ModelProto = create('ModelProto', {
    irVersion,
    opsetImport: [create('OperatorSetIdProto', { domain: '', version: opset })],
    graph: create('GraphProto', {
      node: [node('If', ['c'], ['y'], [branch('then', 'w'), branch('else', 'outer')])],
      initializer: [tensor('outer'), tensor('scalar', []), tensor('out')],
      input: [output('c')],
      output: [output('y'), output('out')],
      valueInfo: [output('outer')],
      ...fields,
    }),
  });
  const names = ['outer', 'scalar', 'out', 'If_0/w'];
  return {
    format: 'onnx',
    tensors: names.map((name) => {
      const shape = name === 'scalar' ? [] : [4];
      return memoryTensor({ name, dtype: 'f32', shape }, raw.slice(0, shape.length === 0 ? 4 : 16));
    }),
    aliases: new Map(),
    metadata: new Map(),
    findings: [],
    graph: summarize(proto),
  };
}
const dtypes = (model: Model): Record<string, DType> =>
  Object.fromEntries(model.tensors.map(({ info }) => [info.name, info.dtype]));
const graphOf = (model: Model): GraphProto => {
  const { graph } = model.graph ? protoOf(model.graph) : {};
  if (!graph) throw new Error('no graph');
  return graph;
};

describe('weights stored as another type', () => {
  it('are cast back before they are used, in sub-graphs too', async () => {
    const stored = storeAs(sample(17n), 'f16', isWeight);
    expect(dtypes(stored)).toEqual({ outer: 'f16', scalar: 'f32', out: 'f32', 'If_0/w': 'f16' });
    const { node, valueInfo, initializer } = graphOf(stored);
    expect(initializer.map(({ dataType }) => dataType)).toEqual([10, 1, 1]);
    expect(valueInfo).toEqual([]);
    expect(node.map(({ opType, input, output: out }) => [opType, input, out])).toEqual([
      ['Cast', ['outer'], ['outer_f32']],
      ['If', ['c'], ['y']],
    ]);
    const [then, otherwise] = node[1]?.attribute.map(({ g }) => g?.node.map(({ input }) => input)) ?? [];
    expect(then).toEqual([['w'], ['w_f32', 'outer_f32'], ['then_sum', 'scalar']]);
    expect(otherwise).toEqual([
      ['outer_f32', 'outer_f32'],
      ['else_sum', 'scalar'],
    ]);
    const half = stored.tensors.find(({ info }) => info.name === 'outer');
    expect(half && (await readTensor(half)).byteLength).toBe(8);
  });

  it('keep the names of the tensors in sub-graphs of unnamed nodes', () => {
    expect(graphOf(storeAs(sample(17n), 'f16', isWeight)).node[1]?.name).toBe('If_0');
  });

  it('are left alone where the Cast of the graph does not know the type', () => {
    for (const [opset, dtype] of [
      [12n, 'bf16'],
      [18n, 'f8_e4m3fn'],
      [22n, 'f8_e8m0'],
    ] as const) {
      const model = sample(opset);
      expect(storeAs(model, dtype, isWeight)).toBe(model);
    }
    expect(dtypes(storeAs(sample(13n), 'bf16', isWeight))).toMatchObject({ outer: 'bf16' });
  });

  it('are not the defaults of inputs, which are inputs by form only before IR 4', () => {
    const input = [output('c'), output('outer')];
    expect(dtypes(storeAs(sample(17n, { input }), 'f16', isWeight))).toMatchObject({ outer: 'f32' });
    expect(dtypes(storeAs(sample(9n, { input }, 3n), 'f16', isWeight))).toMatchObject({ outer: 'f16' });
  });
});
