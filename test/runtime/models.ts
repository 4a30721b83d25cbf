import type { DType } from '../../src/core/dtype.js';
import { encodeModel, type NodeDescription, type TensorDescription } from '../../src/graph/build.js';
import type { SessionSettings } from '../../src/runtime/protocol.js';

export const CPU: SessionSettings = { providers: ['cpu'], threads: 1, lean: false };

type Shape = readonly (number | string)[];

/** A small graph with inputs `x…` and output `y`. */
export const graph = (
  nodes: readonly NodeDescription[],
  input: readonly [DType, Shape],
  output: readonly [DType, Shape],
  initializers: readonly TensorDescription[] = [],
): Promise<Uint8Array> =>
  encodeModel({
    opset: 21,
    nodes,
    inputs: [{ name: 'x', dtype: input[0], shape: input[1] }],
    outputs: [{ name: 'y', dtype: output[0], shape: output[1] }],
    initializers,
  });

/** y = x + x. */
export const doubling = (shape: Shape): Promise<Uint8Array> =>
  graph([{ op: 'Add', inputs: ['x', 'x'], outputs: ['y'] }], ['f32', shape], ['f32', shape]);

/** Its int4 output aborts onnxruntime-node 1.30. */
export const aborting = (): Promise<Uint8Array> =>
  graph([{ op: 'Cast', inputs: ['x'], outputs: ['y'], attributes: { to: 22n } }], ['f32', [4]], ['i4', [4]]);

export const f32 = (...values: number[]): Uint8Array => new Uint8Array(Float32Array.from(values).buffer);
