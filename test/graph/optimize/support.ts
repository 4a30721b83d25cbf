import { InferenceSession, Tensor } from 'onnxruntime-node';
import { afterAll, expect } from 'vitest';
import type { Model } from '../../../src/core/model.js';
import type { NodeProto } from '../../../src/formats/onnx/schema.js';
import { protoOf } from '../../../src/formats/onnx/summary.js';
import { encodeModel, type ModelDescription, type ValueDescription } from '../../../src/graph/build.js';
import { PASSES } from '../../../src/graph/optimize/index.js';
import { runPasses } from '../../../src/graph/optimize/run-passes.js';
import { runtimeServices } from '../../../src/operations/optimize/runtime-services.js';
import { startRuntime } from '../../../src/runtime/process.js';
import { memoryFiles } from '../../support/memory-files.js';
import { bytesOf, openBytes } from '../opset-support.js';

export type Description = Omit<ModelDescription, 'opset'> & { readonly opset?: number };
export type Feeds = Readonly<Record<string, Tensor>>;

const runtime = startRuntime();
afterAll(() => runtime.close());

export interface Outcome {
  readonly model: Model;
  readonly nodes: readonly NodeProto[];
  /** Operators of the main graph in order. */
  readonly ops: string;
  readonly rewrites: Readonly<Record<string, number>>;
}

/** What passes make of a model. It must run, and give every output bit for bit as before. */
export async function optimized(
  source: Description | Uint8Array,
  passes: string,
  feeds?: Feeds,
): Promise<Outcome> {
  const bytes = source instanceof Uint8Array ? source : await encodeModel({ opset: 18, ...source });
  const before = await openBytes(bytes);
  const names = passes.split(' ');
  for (const name of names) expect(PASSES.map((pass) => pass.name)).toContain(name);
  const files = memoryFiles('m.onnx', new Map([['m.onnx', bytes]]));
  const services = runtimeServices({ model: before, files }, runtime);
  try {
    const chosen = PASSES.filter(({ name }) => names.includes(name));
    const settings = { services, foldLimit: 1 << 20 };
    const { model, rewrites } = await runPasses(before, chosen, settings);
    const after = await bytesOf(model);
    const given = feeds ?? feedsFor(before);
    expect(await run(after, given)).toEqual(await run(bytes, given));
    const again = await runPasses(await openBytes(after), chosen, settings);
    expect(Object.fromEntries(again.rewrites), 'a second time nothing is found').toEqual({});
    const nodes = protoOf(model.graph!).graph!.node;
    const ops = nodes.map(({ opType }) => opType).join(' ');
    return { model, nodes, ops, rewrites: Object.fromEntries(rewrites) };
  } finally {
    services.close();
  }
}

/** Outputs as text: -0 is not 0, and NaN is itself. */
async function run(bytes: Uint8Array, feeds: Feeds): Promise<Readonly<Record<string, string>>> {
  const session = await InferenceSession.create(bytes, {
    graphOptimizationLevel: 'disabled',
    logSeverityLevel: 3,
  });
  try {
    const results = await session.run(feeds);
    return Object.fromEntries(
      Object.entries(results).map(([name, value]) => {
        if (!(value instanceof Tensor)) throw new Error(`${name} is no tensor`);
        const numbers = [...(value.data as unknown as Iterable<number | bigint>)];
        const text = numbers.map((one) => (Object.is(one, -0) ? '-0' : String(one)));
        return [name, `${value.type} [${value.dims}] ${text}`];
      }),
    );
  } finally {
    await session.release();
  }
}

/** Size of dimensions that have a name only. */
const OPEN = 2;

/** Always the same numbers, signed zeros among them. */
function feedsFor({ graph }: Model): Feeds {
  return Object.fromEntries(
    graph!.inputs.map(({ name, dtype, shape }) => {
      const dims = (shape ?? []).map((dim) => (typeof dim === 'number' ? dim : OPEN));
      const size = dims.reduce((a, b) => a * b, 1);
      const numbers = Array.from({ length: size }, (_, i) =>
        i % 5 === 3 ? (i % 2 ? -0 : 0) : Math.sin(i * 1.7 + 0.3) * 3,
      );
      return [name, tensorOf(dtype, numbers, dims)];
    }),
  );
}

function tensorOf(dtype: string, numbers: readonly number[], dims: readonly number[]): Tensor {
  switch (dtype) {
    case 'f32':
      return new Tensor('float32', Float32Array.from(numbers), dims);
    case 'f64':
      return new Tensor('float64', Float64Array.from(numbers), dims);
    case 'i64':
      return new Tensor(
        'int64',
        BigInt64Array.from(numbers, (n) => BigInt(Math.trunc(n))),
        dims,
      );
    case 'i32':
      return new Tensor('int32', Int32Array.from(numbers, Math.trunc), dims);
    case 'u8':
      return new Tensor('uint8', Uint8Array.from(numbers, Math.abs), dims);
    case 'bool':
      return new Tensor(
        'bool',
        Uint8Array.from(numbers, (n) => (n > 0 ? 1 : 0)),
        dims,
      );
    default:
      throw new Error(`no feeds of ${dtype}`);
  }
}

// Short forms of descriptions

export const value = (
  name: string,
  shape: readonly (number | string)[],
  dtype: ValueDescription['dtype'] = 'f32',
): ValueDescription => ({ name, dtype, shape });

/** `'Add x y > z'`; `_` stands for an absent input. */
export function node(
  text: string,
  attributes: NonNullable<ModelDescription['nodes'][number]['attributes']> = {},
): ModelDescription['nodes'][number] {
  const [left = '', right = ''] = text.split(' > ');
  const [op = '', ...inputs] = left.split(' ');
  return {
    op,
    inputs: inputs.map((name) => (name === '_' ? '' : name)),
    outputs: right.split(' '),
    attributes,
    name: `${op}_${right.split(' ')[0]}`,
  };
}

export const f32 = (name: string, values: readonly number[], shape: readonly number[] = [values.length]) => ({
  name,
  dtype: 'f32' as const,
  shape,
  raw: new Uint8Array(Float32Array.from(values).buffer),
});
export const i64 = (name: string, values: readonly number[], shape: readonly number[] = [values.length]) => ({
  name,
  dtype: 'i64' as const,
  shape,
  raw: new Uint8Array(BigInt64Array.from(values, BigInt).buffer),
});
export const bool = (name: string, values: readonly boolean[], shape: readonly number[] = []) => ({
  name,
  dtype: 'bool' as const,
  shape,
  raw: Uint8Array.from(values, Number),
});

/** Nodes between an input `x` and an output `y` of these shapes. */
export const on = (
  nodes: Description['nodes'],
  [input, output]: readonly [readonly (number | string)[], readonly (number | string)[]],
  initializers: NonNullable<Description['initializers']> = [],
): Description => ({
  nodes,
  inputs: [value('x', input)],
  outputs: [value('y', output)],
  initializers,
});
