import { Tensor } from 'onnxruntime-node';
import { describe, expect, it } from 'vitest';
import type { GraphProto } from '../../src/formats/onnx/schema.js';
import { fp16 } from '../../src/graph/quantize/half.js';
import type { GraphScheme } from '../../src/graph/quantize/types.js';
import {
  type Converted,
  change,
  codes,
  converted,
  feed,
  floats,
  integers,
  linesOf,
  node,
  storedAsBf16,
  typesOf,
} from './half-support.js';

const bool = (value: boolean) => new Tensor('bool', Uint8Array.of(value ? 1 : 0), []);
const count = (value: number) => new Tensor('int64', BigInt64Array.of(BigInt(value)), []);
const x = feed([0.5, -1.25, 2, 3]);

/** Graphs inside, in order. */
const insides = ({ graph }: Converted): GraphProto[] =>
  graph.node.flatMap(({ attribute }) => attribute.flatMap(({ g }) => g ?? []));
const outputTypes = ({ output }: GraphProto) => output.map(({ type }) => type?.tensorType?.elemType);

const branches = {
  nodes: [
    node('Relu', ['x'], ['a']),
    {
      ...node('If', ['c'], ['b']),
      graphs: {
        then_branch: {
          nodes: [node('Mul', ['a', 'w'], ['t1']), node('Add', ['t1', 'v'], ['t'])],
          outputs: ['t[4]'],
          constants: [floats('v', [1, 2, 3, 4])],
        },
        else_branch: { nodes: [node('Sin', ['a'], ['e'])], outputs: ['e[4]'] },
      },
    },
    node('Add', ['b', 'a'], ['y']),
  ],
  inputs: ['x[4]', 'c:bool[]'],
  outputs: ['y[4]'],
  constants: [floats('w', [0.1, 0.2, 0.3, 0.4])],
};

describe('f16 in sub-graphs', () => {
  it('If: branches agree, values of the graph around have the right type', async () => {
    const made = await converted(branches, { blockedOperators: ['Sin'] });
    const [then, other] = insides(made);
    expect(then && linesOf(then)).toEqual(['Mul(a, w) -> t1', 'Add(t1, v) -> t']);
    // The cast of `a` stands where `a` is made; the result is cast inside.
    expect(made.lines).toContain('Cast:1(a) -> a_f32');
    expect(other && linesOf(other)).toEqual(['Sin(a_f32) -> e', 'Cast:10(e) -> e_f16']);
    expect(insides(made).map(outputTypes)).toEqual([[10], [10]]);
    expect(typesOf(made.model)).toEqual({ w: 'f16', 'If_1/v': 'f16' });
    for (const c of [bool(true), bool(false)]) expect(await change(made, { x, c })).toBeLessThan(0.01);
  });

  it('If as a blocked operator: results stay f32', async () => {
    const made = await converted(branches, { blockedOperators: ['If'] });
    expect(insides(made).map(outputTypes)).toEqual([[1], [1]]);
    expect(made.lines).toContain('Cast:10(b) -> b_f16');
    for (const c of [bool(true), bool(false)]) expect(await change(made, { x, c })).toBeLessThan(0.01);
  });

  it('If, whose result was seen past f16: it stays f32, and so does what makes it inside', async () => {
    const ranges = new Map([['b', { min: -9e4, max: 5 }]]);
    const measured: GraphScheme = {
      ...fp16,
      apply: (model, settings, _, context) => fp16.apply(model, settings, ranges, context),
    };
    const made = await converted(branches, {}, measured);
    expect(insides(made).map(outputTypes)).toEqual([[1], [1]]);
    expect(insides(made).map((graph) => linesOf(graph).at(-1))).toEqual([
      'Add(t1_f32, v) -> t',
      'Sin(a_f32) -> e',
    ]);
    // What takes it takes f32.
    expect(made.lines.at(-1)).toContain('Add(b, a_f32) -> y');
    expect(codes(made.findings)).toContain('OUT_OF_RANGE');
    for (const c of [bool(true), bool(false)]) expect(await change(made, { x, c })).toBeLessThan(0.01);
  });

  it('Loop: tensors go round in half, counters in f32, results are collected in half', async () => {
    const made = await converted({
      nodes: [
        {
          ...node('Loop', ['n', '', 'x', 'start'], ['last', 'counted', 'all']),
          graphs: {
            body: {
              nodes: [
                node('Identity', ['go_in'], ['go']),
                node('Mul', ['state', 'w'], ['next']),
                node('Add', ['counter', 'one'], ['counter_next']),
                node('Add', ['next', 'counter_next'], ['row']),
              ],
              inputs: ['i:i64[]', 'go_in:bool[]', 'state[4]', 'counter[]'],
              outputs: ['go:bool[]', 'next[4]', 'counter_next[]', 'row[4]'],
            },
          },
        },
        node('Add', ['last', 'counted'], ['y']),
      ],
      inputs: ['x[4]', 'n:i64[]'],
      outputs: ['y[4]', 'all'],
      constants: [floats('w', [0.5, 1, 0.9, 0.7]), floats('start', [3000], []), floats('one', [1], [])],
    });
    const [body] = insides(made);
    expect(body?.input.map(({ type }) => type?.tensorType?.elemType)).toEqual([7, 9, 10, 1]);
    expect(body && outputTypes(body)).toEqual([9, 10, 1, 10]);
    expect(await change(made, { x, n: count(3) })).toBeLessThan(2.1); // 3003 lies between two halves
  });

  it('Scan', async () => {
    const made = await converted({
      nodes: [
        {
          ...node('Scan', ['zero', 'x'], ['sum', 'sums'], { num_scan_inputs: 1n }),
          graphs: {
            body: {
              nodes: [node('Add', ['s', 'r'], ['s2']), node('Mul', ['s2', 'w'], ['o'])],
              inputs: ['s[2]', 'r[2]'],
              outputs: ['s2[2]', 'o[2]'],
            },
          },
        },
        node('Add', ['sums', 'sum'], ['y']),
      ],
      inputs: ['x[3,2]'],
      outputs: ['y[3,2]'],
      constants: [floats('zero', [0, 0]), floats('w', [0.5, 2])],
    });
    expect(insides(made).map(outputTypes)).toEqual([[10, 10]]);
    expect(await change(made, { x: feed([1, 2, 3, 4, 5, 6], [3, 2]) })).toBeLessThan(0.05);
  });

  it('results that are inputs or constants of their graph', async () => {
    const made = await converted(
      {
        nodes: [
          {
            ...node('Loop', ['n', '', 'x'], ['last', 'rows']),
            graphs: {
              body: {
                nodes: [node('Identity', ['go_in'], ['go']), node('Sin', ['k'], ['s'])],
                inputs: ['i:i64[]', 'go_in:bool[]', 'state[4]'],
                outputs: ['go:bool[]', 'state[4]', 'k[4]'],
                constants: [floats('k', [1, 2, 3, 0.1])],
              },
            },
          },
          node('Add', ['last', 'last'], ['y']),
        ],
        inputs: ['x[4]', 'n:i64[]'],
        outputs: ['y[4]', 'rows'],
      },
      { blockedOperators: ['Sin'] },
    );
    expect(await change(made, { x, n: count(2) })).toBeLessThan(0.01);
  });

  it('values that are passed through from around are cast where they are made', async () => {
    const made = await converted({
      nodes: [
        node('CumSum', ['x', 'axis'], ['a']),
        {
          ...node('If', ['c'], ['y']),
          graphs: {
            then_branch: { nodes: [node('Neg', ['a'], ['t'])], outputs: ['t[4]'] },
            else_branch: { nodes: [node('Abs', ['a'], ['e'])], outputs: ['e[4]'] },
          },
        },
      ],
      inputs: ['x[4]', 'c:bool[]'],
      outputs: ['y[4]'],
      constants: [integers('axis', [0], [])],
    });
    expect(made.lines.slice(0, 2)).toEqual(['CumSum(x, axis) -> a', 'Cast:10(a) -> a_f16']);
    expect(insides(made).map(linesOf)).toEqual([['Neg(a_f16) -> t'], ['Abs(a_f16) -> e']]);
    expect(await change(made, { x, c: bool(false) })).toBeLessThan(0.01);
  });
});

describe('weights stored as bf16', () => {
  it('in sub-graphs, with what hands them on', async () => {
    const made = await storedAsBf16({
      ...branches,
      nodes: [node('Gather', ['table', 'ids'], ['x']), ...branches.nodes],
      inputs: ['ids:i64[4]', 'c:bool[]'],
      constants: [...branches.constants, floats('table', [1, 2, 3, -4], [4]), floats('one', [1], [])],
    });
    expect(typesOf(made.model)).toMatchObject({ table: 'bf16', w: 'bf16', 'If_2/v': 'bf16', one: 'f32' });
    expect(made.lines.slice(0, 4)).toEqual([
      'Cast:1(w) -> w_f32',
      'Gather(table, ids) -> x',
      'Cast:1(x) -> x_f32',
      'Relu(x_f32) -> a',
    ]);
    const ids = new Tensor('int64', BigInt64Array.of(3n, 2n, 1n, 0n), [4]);
    for (const c of [bool(true), bool(false)]) expect(await change(made, { ids, c })).toBeLessThan(0.01);
  });

  it('raises the operator set where it has no casts to bf16', async () => {
    const made = await storedAsBf16({
      opset: 11,
      nodes: [node('Squeeze', ['m'], ['s'], { axes: [0n] }), node('Mul', ['x', 's'], ['y'])],
      inputs: ['x[4]'],
      outputs: ['y[4]'],
      constants: [floats('m', [1, 2, 3, 0.1], [1, 4])],
    });
    expect(made.model.graph?.opsets.get('')).toBe(13);
    expect(made.findings.map(({ code }) => code)).toContain('OPSET_RAISED');
    expect(await change(made, { x })).toBeLessThan(0.01);
  });

  it('keeps the lowest number finite', async () => {
    const lowest = -3.4028234663852886e38;
    const made = await storedAsBf16({
      nodes: [node('Add', ['x', 'mask'], ['a']), node('Softmax', ['a'], ['y'])],
      inputs: ['x[4]'],
      outputs: ['y[4]'],
      constants: [floats('mask', [lowest, lowest, lowest, lowest])],
    });
    expect(await change(made, { x })).toBeLessThan(1e-6);
  });
});
