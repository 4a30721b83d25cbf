import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { readTensor } from '../../src/core/tensor.js';
import { isMlserError, type MlserError } from '../../src/errors.js';
import { encodeToBytes } from '../../src/formats/onnx/encode.js';
import { firstVersion, NEWEST_OPSET } from '../../src/formats/onnx/operators.js';
import { create } from '../../src/formats/onnx/schema.js';
import { protoOf } from '../../src/formats/onnx/summary.js';
import {
  encodeModel,
  type ModelDescription,
  type NodeDescription,
  nodeProto,
} from '../../src/graph/build.js';
import { adapterKeys, adapterOf } from '../../src/graph/opset/adapters/index.js';
import { historyOf, operatorNames } from '../../src/graph/opset/history.js';
import { convertOpset } from '../../src/graph/opset.js';
import { floats, ints } from './opset-cases.js';
import { bytesOf, difference, openBytes, runOn } from './opset-support.js';

const fixture = (name: string) => openBytes(readFileSync(`fixtures/onnx/${name}`));
const graph = (opset: number, nodes: readonly NodeDescription[], more: Partial<ModelDescription> = {}) =>
  encodeModel({
    opset,
    nodes,
    inputs: [{ name: 'x', dtype: 'f32', shape: [2, 3] }],
    outputs: [{ name: 'y', dtype: 'f32', shape: ['a', 'b'] }],
    ...more,
  }).then(openBytes);
const opsOf = (model: Awaited<ReturnType<typeof graph>>) =>
  protoOf(model.graph!).graph!.node.map(({ opType }) => opType);

async function refusal(conversion: Promise<unknown>): Promise<MlserError> {
  const error: unknown = await conversion.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (isMlserError(error)) return error;
  throw error ?? new Error('it was converted');
}

describe('the table of operators', () => {
  it('knows every operator that the checker knows, with sound changes', () => {
    for (const name of operatorNames()) {
      expect(firstVersion('', name), name).toBeTypeOf('number');
      const versions = historyOf(name)!.changes.map(({ version }) => version);
      expect(versions, name).toEqual([...versions].sort((a, b) => a - b));
      for (const version of versions) {
        expect(version).toBeGreaterThan(7);
        expect(version).toBeLessThanOrEqual(NEWEST_OPSET);
      }
    }
    expect(operatorNames().length).toBe(203);
  });

  it('has an adapter for every change of more than types, and no other', () => {
    const needed = operatorNames().flatMap((name) =>
      historyOf(name)!
        .changes.filter(({ signature }) => signature)
        .map(({ version }) => `${name}@${version}`),
    );
    expect(needed.filter((key) => !adapterKeys().includes(key))).toEqual([]);
    const strangers = adapterKeys().filter((key) => {
      const [name = '', version = ''] = key.split('@');
      return !needed.includes(key) && historyOf(name)?.first !== Number(version);
    });
    expect(strangers).toEqual([]);
    expect(adapterOf('Relu', 14)).toBeUndefined();
  });
});

describe('convertOpset', () => {
  it('turns attributes into shared initializers and back again', async () => {
    const source = await graph(
      12,
      [
        { op: 'Unsqueeze', inputs: ['x'], outputs: ['u'], attributes: { axes: [0n] } },
        { op: 'Squeeze', inputs: ['u'], outputs: ['y'], attributes: { axes: [0n] } },
      ],
      { irVersion: 3 },
    );
    const up = await convertOpset(source, 13);
    expect(up.findings.map(({ code }) => code)).toEqual(['OPSET_CONVERTED', 'IR_RAISED']);
    expect(up.model.graph).toMatchObject({ irVersion: 7, nodes: 2 });
    expect(up.model.formatVersion).toBe('IR 7');
    expect(up.model.tensors.map(({ info }) => info)).toEqual([
      { name: 'opset_axes', dtype: 'i64', shape: [1] },
    ]);
    expect(await readTensor(up.model.tensors[0]!)).toEqual(new Uint8Array(8));
    const down = await convertOpset(up.model, 12);
    expect(down.model.tensors).toEqual([]);
    expect(protoOf(down.model.graph!).graph!.node).toEqual(protoOf(source.graph!).graph!.node);
    expect(down.model.graph!.irVersion).toBe(7); // it never sinks
  });

  it('leaves alone what is that version already', async () => {
    const source = await fixture('mlp.ts13.onnx');
    const { model, findings } = await convertOpset(source, 13);
    expect(model).toBe(source);
    expect(findings.map(({ code }) => code)).toEqual(['OPSET_SAME']);
  });

  it('leaves out constants that became attributes, and keeps those that are used elsewhere', async () => {
    const source = await graph(
      13,
      [
        { op: 'Unsqueeze', inputs: ['x', 'axes'], outputs: ['u'] },
        { op: 'Squeeze', inputs: ['u', 'kept'], outputs: ['s'] },
        { op: 'Reshape', inputs: ['s', 'shape'], outputs: ['y'] },
        { op: 'Add', inputs: ['kept', 'kept'], outputs: ['z'] },
      ],
      {
        initializers: [ints('axes', [0]), ints('kept', [0]), ints('shape', [3, 2]), ints('idle', [1])],
        outputs: [
          { name: 'y', dtype: 'f32', shape: [3, 2] },
          { name: 'z', dtype: 'i64', shape: [1] },
        ],
      },
    );
    const { model } = await convertOpset(source, 12);
    expect(model.tensors.map(({ info }) => info.name)).toEqual(['kept', 'shape', 'idle']);
  });

  it('converts sub-graphs, whose tensors keep their names', async () => {
    for (const [name, target] of [
      ['control_flow.ts17.onnx', 21],
      ['control_flow.ts17.onnx', 13],
      ['if_initializers.onnx', 18],
      ['if_initializers.onnx', 12],
    ] as const) {
      const source = await fixture(name);
      const { model } = await convertOpset(source, target);
      const reopened = await openBytes(await bytesOf(model));
      expect(reopened.graph!.opsets.get('')).toBe(target);
      const names = reopened.tensors.map(({ info }) => info.name);
      expect(names).toEqual(model.tensors.map(({ info }) => info.name));
      const before = source.tensors.map(({ info }) => info.name).filter((one) => names.includes(one));
      expect(before.length, name).toBeGreaterThanOrEqual(source.tensors.length - 1);
    }
  });

  it('converts inside of branches, with constants of the main graph', async () => {
    const branch = (name: string, axis: bigint) =>
      create('GraphProto', {
        name,
        node: [
          nodeProto({ op: 'ReduceSum', inputs: ['x'], outputs: [name], attributes: { axes: [axis] } }, 0),
        ],
        output: [{ ...protoOutput, name }],
      });
    const shell = await graph(11, [
      { op: 'Unsqueeze', inputs: ['x'], outputs: ['y'], attributes: { axes: [0n] } },
    ]);
    const proto = protoOf(shell.graph!);
    const protoOutput = proto.graph!.output[0]!;
    const choice = create('NodeProto', {
      opType: 'If',
      input: ['c'],
      output: ['y'],
      attribute: [
        create('AttributeProto', { name: 'then_branch', type: 5, g: branch('t', 0n) }),
        create('AttributeProto', { name: 'else_branch', type: 5, g: branch('e', 1n) }),
      ],
    });
    const condition = nodeProto(
      {
        op: 'Constant',
        inputs: [],
        outputs: ['c'],
        attributes: { value: { name: 'c', dtype: 'bool', shape: [], raw: new Uint8Array([0]) } },
      },
      0,
    );
    const bytes = await encodeToBytes('ModelProto', {
      ...proto,
      graph: { ...proto.graph!, node: [condition, choice] },
    });
    const { model } = await convertOpset(await openBytes(bytes), 21);
    expect(model.tensors.map(({ info }) => info.name)).toEqual(['opset_axes', 'opset_axes_2']);
    const expected = await runOn(bytes, [2, 3]);
    expect(difference(expected, await runOn(await bytesOf(model), [2, 3]))).toBe(0);
  });

  it('converts functions of the model, which get constants of their own', async () => {
    const shell = await graph(11, [{ op: 'Twice', domain: 'my.own', inputs: ['x'], outputs: ['y'] }], {
      domains: new Map([['my.own', 1]]),
    });
    const body = create('FunctionProto', {
      name: 'Twice',
      domain: 'my.own',
      input: ['a'],
      output: ['b'],
      opsetImport: [create('OperatorSetIdProto', { domain: '', version: 11n })],
      node: [
        nodeProto({ op: 'Unsqueeze', inputs: ['a'], outputs: ['u'], attributes: { axes: [0n] } }, 0),
        nodeProto(
          { op: 'ReduceSum', inputs: ['u'], outputs: ['b'], attributes: { axes: [0n], keepdims: 0n } },
          1,
        ),
      ],
    });
    const bytes = await encodeToBytes('ModelProto', { ...protoOf(shell.graph!), functions: [body] });
    const { model } = await convertOpset(await openBytes(bytes), 17);
    const [converted] = protoOf(model.graph!).functions;
    expect(converted!.node.map(({ opType }) => opType)).toEqual(['Constant', 'Unsqueeze', 'ReduceSum']);
    expect(converted!.opsetImport[0]!.version).toBe(17n);
    const expected = await runOn(bytes, [2, 3]);
    expect(difference(expected, await runOn(await bytesOf(model), [2, 3]))).toBe(0);

    const parameter = create('AttributeProto', { name: 'axes', type: 7, refAttrName: 'axes' });
    const open = {
      ...body,
      attribute: ['axes'],
      node: [{ ...body.node[0]!, attribute: [parameter] }, body.node[1]!],
    };
    const other = await encodeToBytes('ModelProto', { ...protoOf(shell.graph!), functions: [open] });
    const error = await refusal(convertOpset(await openBytes(other), 17));
    expect(error.message).toMatch(/axes is a parameter of the function/);
  });

  it('does not touch operators of other domains', async () => {
    const source = await fixture('digits_mlp.nbits4.onnx');
    const from = source.graph!.opsets.get('')!;
    const { model } = await convertOpset(source, from + 1);
    expect([...model.graph!.ops.keys()]).toContain('com.microsoft::MatMulNBits');
    expect(model.graph!.ops).toEqual(source.graph!.ops);
  });

  it('does not take an input with a default for a constant', async () => {
    const source = await graph(13, [{ op: 'Unsqueeze', inputs: ['x', 'axes'], outputs: ['y'] }], {
      inputs: [
        { name: 'x', dtype: 'f32', shape: [2, 3] },
        { name: 'axes', dtype: 'i64', shape: [1] },
      ],
      initializers: [ints('axes', [0])],
    });
    expect((await refusal(convertOpset(source, 12))).message).toMatch(/its axes are computed/);
  });

  it('names what is in the way, and how far it can go', async () => {
    const source = await graph(18, [
      { op: 'Trilu', inputs: ['x'], outputs: ['t'], name: 'triangle' },
      { op: 'BitwiseNot', inputs: ['i'], outputs: ['j'], name: 'flip' },
      { op: 'Cast', inputs: ['x'], outputs: ['i'], attributes: { to: 7n } },
      { op: 'Identity', inputs: ['t'], outputs: ['y'] },
    ]);
    const error = await refusal(convertOpset(source, 13));
    expect(error.code).toBe('E_UNSUPPORTED');
    expect(error.message).toBe(
      'operator set 18 cannot become 13: 2 nodes stay behind: "triangle" (Trilu): came with operator set 14; "flip" (BitwiseNot): came with operator set 18',
    );
    expect(error.hint).toMatch(/replace these nodes/);
    expect(error.details).toMatchObject({ from: 18, to: 13, count: 2 });
    const later = await refusal(
      convertOpset(await graph(20, [{ op: 'Trilu', inputs: ['x'], outputs: ['y'] }]), 13),
    );
    expect(later.hint).toMatch(/--opset 14 is as far as this model goes/);
  });

  it('lists ten nodes at most', async () => {
    const nodes = Array.from({ length: 12 }, (_, i) => ({
      op: 'Trilu',
      inputs: [i === 0 ? 'x' : `t${i - 1}`],
      outputs: [i === 11 ? 'y' : `t${i}`],
    }));
    const error = await refusal(convertOpset(await graph(14, nodes), 13));
    expect(error.details['nodes']).toHaveLength(10);
    expect(error.message).toMatch(/; and 2 more$/);
  });

  it.each([
    [
      'bf16 in Add',
      13,
      12,
      { op: 'Add', inputs: ['b', 'b'], outputs: ['y'] },
      /takes bf16 only from operator set 13/,
    ],
    [
      'reversed TopK',
      11,
      10,
      { op: 'TopK', inputs: ['x', 'k'], outputs: ['y', 'i'], attributes: { largest: 0n } },
      /largest=0/,
    ],
    ['training', 12, 11, { op: 'Dropout', inputs: ['x', '', 'on'], outputs: ['y'] }, /training_mode/],
    [
      'wrapped Pad',
      19,
      18,
      { op: 'Pad', inputs: ['x', 'k'], outputs: ['y'], attributes: { mode: 'wrap' } },
      /mode=wrap/,
    ],
    ['computed sizes', 13, 12, { op: 'Split', inputs: ['x', 'computed'], outputs: ['y'] }, /computed/],
    [
      'an operator of nobody',
      13,
      14,
      { op: 'Frobnicate', inputs: ['x'], outputs: ['y'] },
      /no such operator/,
    ],
    [
      'integers in Erf',
      9,
      13,
      { op: 'Erf', inputs: ['k'], outputs: ['y'] },
      /takes no i64 from operator set 13 on/,
    ],
  ] as const)('refuses %s', async (_, from, to, node, expected) => {
    const source = await graph(from, [{ op: 'Identity', inputs: ['k'], outputs: ['computed'] }, node], {
      initializers: [
        { name: 'b', dtype: 'bf16', shape: [1], raw: new Uint8Array(2) },
        ints('k', [2]),
        { name: 'on', dtype: 'bool', shape: [], raw: new Uint8Array([1]) },
      ],
    });
    const error = await refusal(convertOpset(source, to));
    expect(error.code).toBe('E_UNSUPPORTED');
    expect(error.message).toMatch(expected);
  });

  it('says what it takes for granted', async () => {
    const source = await graph(
      18,
      [
        { op: 'Relu', domain: 'my.own', inputs: ['x'], outputs: ['m'] },
        { op: 'Split', inputs: ['m'], outputs: ['y', 'z'], attributes: { num_outputs: 2n } },
      ],
      { domains: new Map([['my.own', 1]]), initializers: [floats('w', [1], [1])] },
    );
    const { model, findings } = await convertOpset(source, 13);
    expect(findings.map(({ code }) => code)).toEqual(['OPSET_CONVERTED', 'OPSET_ASSUMED']);
    expect(opsOf(model)).toEqual(['Relu', 'Split']);
  });

  it('warns where types are not known and some might not do', async () => {
    const source = await graph(
      14,
      [
        { op: 'Strange', domain: 'my.own', inputs: ['x'], outputs: ['m'] },
        { op: 'Relu', inputs: ['m'], outputs: ['r'] },
        { op: 'Cast', inputs: ['r'], outputs: ['y'], attributes: { to: 6n } },
      ],
      { domains: new Map([['my.own', 1]]), outputs: [{ name: 'y', dtype: 'i32', shape: [] }] },
    );
    const { findings } = await convertOpset(source, 13);
    expect(findings.map(({ code }) => code)).toEqual(['OPSET_CONVERTED', 'OPSET_TYPES_UNKNOWN']);
  });

  it('refuses models and versions that it cannot serve', async () => {
    const source = await graph(13, [{ op: 'Relu', inputs: ['x'], outputs: ['y'] }]);
    for (const target of [6, 29, 1.5])
      expect((await refusal(convertOpset(source, target))).code).toBe('E_USAGE');
    const { graph: _, ...weights } = source;
    expect((await refusal(convertOpset(weights, 13))).code).toBe('E_USAGE');
    const old = await graph(6, [{ op: 'Relu', inputs: ['x'], outputs: ['y'] }]);
    expect((await refusal(convertOpset(old, 13))).code).toBe('E_UNSUPPORTED');
  });
});
