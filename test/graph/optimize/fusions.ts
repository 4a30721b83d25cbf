import { InferenceSession, Tensor } from 'onnxruntime-node';
import { expect } from 'vitest';
import type { DType } from '../../../src/core/dtype.js';
import type { Model } from '../../../src/core/model.js';
import { memoryTensor, type TensorSource } from '../../../src/core/tensor.js';
import type { NodeProto } from '../../../src/formats/onnx/schema.js';
import { protoOf } from '../../../src/formats/onnx/summary.js';
import {
  encodeModel,
  type ModelDescription,
  type NodeDescription,
  type TensorDescription,
} from '../../../src/graph/build.js';
import { constantBytes } from '../../../src/graph/opset/constant-value.js';
import { type Fact, factOf } from '../../../src/graph/optimize/facts.js';
import type { Pass, Services } from '../../../src/graph/optimize/pass.js';
import { deadCode } from '../../../src/graph/optimize/passes/dead-code.js';
import { runPasses } from '../../../src/graph/optimize/run-passes.js';
import { withOutputs } from '../../../src/operations/observed-model.js';
import { dtypeOf, type ValueType } from '../../../src/runtime/values.js';
import { bytesOf, difference, openBytes } from '../opset-support.js';

const QUIET = { logSeverityLevel: 4 } as const;

/** The runtime in this process: a child for every test would take longer than the tests. */
const services: Services = {
  async describe(model, names) {
    const facts = new Map<string, Fact>();
    const session = await opened(withOutputs(model, names, []));
    for (const value of session?.outputMetadata ?? [])
      if (value.isTensor && value.type !== 'string') {
        const { name, type, shape } = value;
        // [] where the runtime does not know how many axes there are.
        const known = shape.length > 0 ? { shape: [...shape] } : {};
        facts.set(name, factOf({ dtype: dtypeOf(type as ValueType), shape: undefined, ...known }));
      }
    await session?.release();
    return facts;
  },
  async evaluate(model) {
    const session = await opened(model);
    const results = new Map<string, TensorSource>();
    for (const [name, { type, dims, data }] of Object.entries((await session?.run({})) ?? {})) {
      const bytes = new Uint8Array((data as Float32Array).buffer.slice(0));
      results.set(
        name,
        memoryTensor({ name, dtype: dtypeOf(type as ValueType), shape: dims }, bytes, 'constant'),
      );
    }
    await session?.release();
    return results;
  },
};

async function opened(model: Model): Promise<InferenceSession | undefined> {
  return InferenceSession.create(await bytesOf(model), QUIET).catch(() => undefined);
}

/** Numbers between -1 and 1 that differ, the same in every run. */
export const numbers = (length: number, seed = 0.3): readonly number[] =>
  Array.from({ length }, (_, i) => Math.fround(Math.sin(i * 1.7 + seed)));

/** An initializer: the numbers given, or made up. */
export function tensor(
  name: string,
  shape: readonly number[],
  values?: readonly number[] | readonly bigint[],
  dtype: DType = 'f32',
): TensorDescription {
  const size = shape.reduce((a, b) => a * b, 1);
  return { name, dtype, shape, raw: constantBytes(dtype, values ?? numbers(size, name.length)) };
}

export const node = (
  op: string,
  inputs: readonly string[],
  output: string,
  attributes: NonNullable<NodeDescription['attributes']> = {},
): NodeDescription => ({ op, inputs, outputs: [output], attributes });

/** A graph over one f32 input `x`, and others. */
export function graphOf(
  shape: readonly (number | string)[],
  nodes: readonly NodeDescription[],
  more: Partial<ModelDescription> & { readonly rank?: number } = {},
): ModelDescription {
  const { rank = shape.length, ...rest } = more;
  return {
    opset: 17,
    inputs: [{ name: 'x', dtype: 'f32', shape }],
    outputs: [{ name: 'y', dtype: 'f32', shape: Array.from({ length: rank }, (_, i) => `d${i}`) }],
    nodes,
    ...rest,
  };
}

export interface Outcome {
  /** Rewrites of the passes (dead code aside). */
  readonly rewrites: number;
  /** Operators afterwards, in order, with their domain where they have one. */
  readonly ops: readonly string[];
  /** Those of the graphs inside it. */
  readonly insides: readonly (readonly string[])[];
  readonly model: Model;
  readonly bytes: Uint8Array;
}

interface Settings {
  readonly tolerance?: number;
  /** Of open dimensions. */
  readonly size?: number;
}

/** What passes make of a graph, and proof that the runtime gives the same for it and that they find nothing more. */
export async function optimized(
  description: ModelDescription,
  passes: readonly Pass[],
  { tolerance = 1e-5, size = 3 }: Settings = {},
): Promise<Outcome> {
  const feeds = Object.fromEntries(
    description.inputs.map(({ name, dtype, shape }, i) => [name, feed(dtype, shape, size, i)]),
  );
  return optimizedBytes(await encodeModel(description), feeds, passes, tolerance);
}

export async function optimizedBytes(
  before: Uint8Array,
  feeds: Readonly<Record<string, Tensor>>,
  passes: readonly Pass[],
  tolerance = 1e-5,
): Promise<Outcome> {
  const context = { services, foldLimit: 1 << 20 };
  const { model, rewrites } = await runPasses(await openBytes(before), [...passes, deadCode], context);
  const bytes = await bytesOf(model);
  const again = await runPasses(await openBytes(bytes), [...passes, deadCode], context);
  expect([...again.rewrites.keys()], 'a second run finds nothing').toEqual([]);
  expect(difference(await run(before, feeds), await run(bytes, feeds))).toBeLessThanOrEqual(tolerance);
  const graph = model.graph && protoOf(model.graph).graph;
  return {
    rewrites: passes.reduce((sum, { name }) => sum + (rewrites.get(name) ?? 0), 0),
    ops: opsOf(graph?.node ?? []),
    insides: (graph?.node ?? []).flatMap(({ attribute }) =>
      attribute.flatMap(({ g }) => (g ? [opsOf(g.node)] : [])),
    ),
    model,
    bytes,
  };
}

const opsOf = (nodes: readonly NodeProto[]): readonly string[] =>
  nodes.map(({ domain, opType }) => (domain ? `${domain}::${opType}` : (opType ?? '')));

function feed(dtype: DType, shape: readonly (number | string)[], size: number, seed: number): Tensor {
  const dims = shape.map((dim) => (typeof dim === 'number' ? dim : size));
  const values = numbers(
    dims.reduce((a, b) => a * b, 1),
    seed,
  );
  const bytes = constantBytes(
    dtype,
    values.map((value) => value * 3),
  );
  if (dtype === 'f32') return new Tensor('float32', new Float32Array(bytes.buffer), dims);
  if (dtype === 'f64') return new Tensor('float64', new Float64Array(bytes.buffer), dims);
  if (dtype === 'f16') return new Tensor('float16', new Uint16Array(bytes.buffer), dims);
  if (dtype === 'bool')
    return new Tensor('bool', new Uint8Array(dims.reduce((a, b) => a * b, 1)).fill(1), dims);
  throw new Error(`no feed of type ${dtype}`);
}

async function run(
  bytes: Uint8Array,
  feeds: Readonly<Record<string, Tensor>>,
): Promise<InferenceSession.OnnxValueMapType> {
  const session = await InferenceSession.create(bytes, QUIET);
  try {
    return await session.run({ ...feeds });
  } finally {
    await session.release();
  }
}
