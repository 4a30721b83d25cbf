import { describe, expect, it } from 'vitest';
import { flopsOf } from '../../../src/operations/bench/flops.js';
import { roofOf } from '../../../src/operations/bench/roof.js';
import { summarize } from '../../../src/operations/bench/roofline-summary.js';
import { trafficOf } from '../../../src/operations/bench/traffic.js';
import { profileOf } from '../../../src/runtime/profile.js';
import type { NodeProfile, ProfiledValue } from '../../../src/runtime/protocol.js';

type Shape = readonly number[];
const value = (shape: Shape, type = 'float'): ProfiledValue => [type, shape];
/** Shapes as `2×3`. */
const node = (op: string, inputs: readonly string[], ...outputs: readonly string[]): NodeProfile => ({
  ...{ name: op, op, microseconds: [] },
  inputs: inputs.map((shape) => value(shape.split('×').map(Number))),
  outputs: outputs.map((shape) => value(shape.split('×').map(Number))),
});

describe('operations of a node', () => {
  it.each([
    // 2·M·N·K, whatever comes before and however A lies
    ['MatMul', node('MatMul', ['2×3×5', '5×7'], '2×3×7'), 2 * 2 * 3 * 7 * 5],
    ['MatMul of a vector', node('MatMul', ['5', '5×7'], '7'), 2 * 7 * 5],
    ['Gemm', node('Gemm', ['4×6', '6×8', '8'], '4×8'), 2 * 4 * 8 * 6],
    ['Gemm, A and B transposed', node('Gemm', ['6×4', '8×6'], '4×8'), 2 * 4 * 8 * 6],
    ['FusedMatMul, A transposed', node('FusedMatMul', ['3×6×4', '3×6×8'], '3×4×8'), 2 * 3 * 4 * 8 * 6],
    ['MatMulNBits', node('MatMulNBits', ['1×4×64', '96×2×16', '192'], '1×4×96'), 2 * 4 * 96 * 64],
    // 2·outputs·(C/group)·k·k
    ['Conv', node('Conv', ['1×3×8×8', '16×3×3×3', '16'], '1×16×8×8'), 2 * 16 * 64 * 27],
    ['Conv, depthwise', node('Conv', ['1×8×8×8', '8×1×3×3'], '1×8×4×4'), 2 * 8 * 16 * 9],
    ['ConvTranspose', node('ConvTranspose', ['1×8×4×4', '8×6×3×3'], '1×6×9×9'), 2 * 8 * 16 * 54],
    // 4 gates of a step: W·x and R·h
    ['LSTM', node('LSTM', ['7×2×5', '1×12×5', '1×12×3'], '7×1×2×3'), 2 * 7 * 2 * (60 + 36)],
    // Q·Kᵀ and ·V, 10 queries and 20 keys of width 32
    [
      'MultiHeadAttention',
      node('MultiHeadAttention', ['1×10×32', '1×20×32', '1×20×32'], '1×10×32'),
      2 * 2 * 10 * 20 * 32,
    ],
    [
      'Attention of com.microsoft',
      node('Attention', ['1×10×32', '32×96', '96'], '1×10×32'),
      2 * 10 * 32 * 96 + 2 * 2 * 10 * 10 * 32,
    ],
    ['Relu', node('Relu', ['2×3'], '2×3'), 6],
    ['Reshape', node('Reshape', ['2×3', '1'], '6'), 0],
  ] as const)('%s', (_, of, operations) => expect(flopsOf(of)).toBeCloseTo(operations, 6));

  it('of an operator that is not known are not made up', () =>
    expect(flopsOf(node('SomethingNew', ['9'], '9'))).toBeUndefined());
});

describe('bytes of a node', () => {
  it('are its operands and results, once, by their types', () => {
    expect(trafficOf(node('Add', ['2×3', '3'], '2×3'))).toBe(4 * (6 + 3 + 6));
    const nbits = {
      ...node('MatMulNBits', [], '4×8'),
      inputs: [value([4, 64]), value([8, 2, 16], 'uint8')],
    };
    expect(trafficOf(nbits)).toBe(4 * 256 + 256 + 4 * 32);
    expect(trafficOf({ ...node('Cast', []), inputs: [value([3], 'int4')] })).toBe(2);
  });
  it('leave out what is not touched', () => {
    expect(trafficOf(node('Reshape', ['100', '2'], '10×10'))).toBe(0);
    const gather = { ...node('Gather', [], '3×8'), inputs: [value([1000, 8]), value([3], 'int64')] };
    expect(trafficOf(gather)).toBe(4 * 24 + 8 * 3 + 4 * 24);
  });
});

describe('the roof', () => {
  const peak = { flops: 100e9, bandwidth: 10e9 }; // the ridge lies at 10 operations a byte
  it('is computing above the ridge, moving below', () => {
    const compute = roofOf({ ms: 1, flops: 50e6, bytes: 1e6 }, peak, 2);
    expect(compute).toMatchObject({ share: 0.5, intensity: 50, gflops: 50, gbps: 1, bound: 'compute' });
    expect(compute.attained).toBeCloseTo(0.5, 12);
    const memory = roofOf({ ms: 1, flops: 5e6, bytes: 5e6 }, peak, 2);
    expect(memory).toMatchObject({ intensity: 1, bound: 'memory' });
    expect(memory.attained).toBeCloseTo(0.5, 12);
  });
  it('is neither where the peaks would be done ten times over', () =>
    expect(roofOf({ ms: 1, flops: 9e6, bytes: 1e5 }, peak, 1).bound).toBe('overhead'));
  it('stands without operations that are counted', () =>
    expect(roofOf({ ms: 1, flops: undefined, bytes: 8e6 }, peak, 1)).toMatchObject({
      ...{ flops: null, intensity: null, gflops: null, bound: 'memory' },
    }));
});

describe('a profile', () => {
  const event = (name: string, ts: number, dur: number, op: string, inputs: readonly Shape[] = []) => ({
    ...{ cat: 'Node', name: `${name}_kernel_time`, ts, dur },
    args: {
      ...{ op_name: op, node_index: name },
      input_type_shape: inputs.map((shape) => ({ float: shape })),
      output_type_shape: [{ float: [2, 2] }],
    },
  });
  const run = (ts: number, dur: number) => ({ cat: 'Session', name: 'model_run', ts, dur });
  const events = [
    { cat: 'Session', name: 'session_initialization', ts: 0, dur: 9 },
    ...[100, 200].flatMap((at) => [
      event('loop', at + 5, 60, 'Loop'),
      event('inner', at + 10, 20, 'MatMul', [[2, 2]]),
      event('inner', at + 35, 25, 'MatMul', [[2, 2]]),
      event('after', at + 70, 10, 'Relu', [[2, 2]]),
      run(at, 90),
    ]),
    event('outside', 500, 10, 'Relu'),
  ];

  it('tells the time of each node in each run, without that of nodes inside it', () => {
    const { nodes, runs } = profileOf(events);
    expect(runs).toEqual([90, 90]);
    expect(Object.fromEntries(nodes.map(({ name, microseconds }) => [name, microseconds]))).toEqual({
      loop: [15, 15],
      inner: [45, 45],
      after: [10, 10],
    });
  });

  it('gets the shapes of packed weights from the other session, unless another node has that name', () => {
    const timed = profileOf(events);
    const shaped = profileOf([
      run(0, 90),
      event('inner', 10, 50, 'MatMul', [
        [2, 2],
        [2, 2],
      ]),
    ]);
    const peak = { flops: 1e9, bandwidth: 1e9 };
    expect(summarize(timed, shaped, peak, 1).operators.find(({ op }) => op === 'MatMul')?.flops).toBe(16);
    const other = profileOf([
      run(0, 90),
      {
        ...event('inner', 10, 50, 'MatMul'),
        args: {
          op_name: 'MatMul',
          node_index: '1',
          output_type_shape: [{ float: [9] }],
          input_type_shape: [{ float: [9] }, { float: [9, 9] }],
        },
      },
    ]);
    const kept = summarize(timed, other, peak, 1).nodes.find(({ op }) => op === 'MatMul');
    expect(kept?.shapes).toEqual(['float [2, 2]']);
  });
});
