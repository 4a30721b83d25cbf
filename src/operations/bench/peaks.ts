import type { WorkContext } from '../../core/format.js';
import { encodeModel, type NodeDescription } from '../../graph/build.js';
import type { NodeProfile } from '../../runtime/protocol.js';
import type { Values } from '../../runtime/values.js';
import { profileGraph } from './profile.js';
import type { Peaks } from './report.js';
import { trafficOf } from './traffic.js';

/** Sides of the matrices: the best kernel is not always at the largest. */
const SIDES = [512, 1024] as const;
/** f32 elements that are copied: 32 MiB, then 64, so that with what is written few caches hold them. */
const ELEMENTS = 1 << 23;
const ROWS = 4;
const RUNS = 7;
/** The first runs get memory from the system. */
const WARM_UP = 3;

/**
 * What this machine does at best, measured with the runtime itself and its threads: operations a second in a MatMul of
 * f32, bytes a second in Relu and Concat of what is larger than caches. The best run of each counts: it is a bound.
 */
export async function measurePeaks(threads: number, context: WorkContext): Promise<Peaks> {
  let flops = 0;
  for (const side of SIDES) flops = Math.max(flops, await productPeak(side, threads, context));
  return { flops, bandwidth: await copyPeak(threads, context) };
}

const scalar = [{ name: 'y', dtype: 'f32', shape: [] }] as const;

/** The largest value of a result: what leaves the runtime stays small. */
const largest = (of: string): NodeDescription => ({
  ...{ op: 'ReduceMax', inputs: [of], outputs: ['y'], attributes: { keepdims: 0n } },
});

async function productPeak(side: number, threads: number, context: WorkContext): Promise<number> {
  const bytes = await encodeModel({
    ...{ opset: 17, irVersion: 8, outputs: scalar },
    nodes: [{ op: 'MatMul', inputs: ['a', 'b'], outputs: ['c'] }, largest('c')],
    inputs: ['a', 'b'].map((name) => ({ name, dtype: 'f32', shape: [side, side] })),
  });
  const data = Float32Array.from({ length: side * side }, (_, i) => ((i % 251) - 125) / 125);
  const feeds: Values = new Map(
    ['a', 'b'].map((name) => [name, { type: 'float32', dims: [side, side], data }] as const),
  );
  const nodes = await profileGraph(bytes, feeds, { runs: RUNS, threads, label: 'a large product' }, context);
  return (2 * side ** 3 * 1e6) / fastest(nodes, 'MatMul');
}

async function copyPeak(threads: number, context: WorkContext): Promise<number> {
  const shape = [ROWS, ELEMENTS / ROWS];
  const bytes = await encodeModel({
    ...{ opset: 17, irVersion: 8, outputs: scalar },
    nodes: [
      // Made inside: 32 MiB need not go from process to process.
      { op: 'Expand', inputs: ['x', 'shape'], outputs: ['wide'] },
      { op: 'Relu', inputs: ['wide'], outputs: ['positive'] },
      { op: 'Concat', inputs: ['wide', 'positive'], outputs: ['both'], attributes: { axis: 0n } },
      largest('both'),
    ],
    inputs: [
      { name: 'x', dtype: 'f32', shape: [1] },
      { name: 'shape', dtype: 'i64', shape: [2] },
    ],
  });
  const feeds: Values = new Map([
    ['x', { type: 'float32', dims: [1], data: Float32Array.of(1.5) }],
    ['shape', { type: 'int64', dims: [2], data: BigInt64Array.from(shape, BigInt) }],
  ] as const);
  const nodes = await profileGraph(bytes, feeds, { runs: RUNS, threads, label: 'a large copy' }, context);
  const rates = ['Relu', 'Concat'].map((op) => {
    const node = nodes.find((one) => one.op === op);
    return node ? (trafficOf(node) * 1e6) / fastest(nodes, op) : 0;
  });
  return Math.max(...rates);
}

/** Microseconds of the best run of an operator. */
function fastest(nodes: readonly NodeProfile[], op: string): number {
  const node = nodes.find((one) => one.op === op);
  if (!node) throw new Error(`the profile has no ${op}`);
  return Math.max(1, Math.min(...node.microseconds.slice(WARM_UP)));
}
