import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll } from 'vitest';
import type { Model } from '../../src/core/model.js';
import { memoryTensor, readTensor } from '../../src/core/tensor.js';
import type { GraphProto, NodeProto } from '../../src/formats/onnx/schema.js';
import { protoOf, summarize } from '../../src/formats/onnx/summary.js';
import { nodeProto } from '../../src/graph/build.js';
import { GraphEdit } from '../../src/graph/edit.js';
import { bytesOf, openBytes } from '../graph/opset-support.js';

export const fixture = (name: string): string =>
  fileURLToPath(new URL(`../../fixtures/${name}`, import.meta.url));
export const CNN = fixture('trained/digits_cnn/model.onnx');
export const TEST = fixture('trained/digits_cnn/test.npz');

const folder = mkdtempSync(path.join(tmpdir(), 'mlser-broken-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
export const at = (name: string): string => path.join(folder, name);

/** The digits classifier after a change, as a file. */
export async function brokenCnn(
  name: string,
  change: (model: Model) => Model | Promise<Model>,
): Promise<string> {
  const model = await change(await openBytes(await readFile(CNN)));
  writeFileSync(at(name), await bytesOf(model));
  return at(name);
}

/** One weight of the third convolution is off by a half. */
export const wrongWeight = async (model: Model): Promise<Model> => ({
  ...model,
  tensors: await Promise.all(
    model.tensors.map(async (tensor) => {
      if (tensor.info.name !== 'conv3.weight') return tensor;
      const values = new Float32Array((await readTensor(tensor)).slice().buffer);
      values[25] = (values[25] ?? 0) + 0.5;
      return memoryTensor(tensor.info, new Uint8Array(values.buffer));
    }),
  ),
});

export const withNodes = (
  model: Model,
  change: (nodes: readonly NodeProto[]) => readonly NodeProto[],
): Model => withGraph(model, (graph) => ({ ...graph, node: change(graph.node) }));

function withGraph(model: Model, change: (graph: GraphProto) => GraphProto): Model {
  const proto = model.graph && protoOf(model.graph);
  if (!proto?.graph) throw new Error('no graph');
  return { ...model, graph: summarize({ ...proto, graph: change(proto.graph) }) };
}

/** A node of another operator in front of the Flatten. */
export const before = (model: Model, op: string): Model =>
  withNodes(model, (nodes) =>
    nodes.flatMap((node) =>
      node.opType === 'Flatten'
        ? [
            nodeProto({ op, inputs: node.input, outputs: ['inserted'], name: `the_${op}` }, 0),
            { ...node, input: ['inserted'] },
          ]
        : [node],
    ),
  );

/** The Flatten becomes a Reshape to sizes that do not fit: told when it runs. */
export async function misshaped(model: Model): Promise<Model> {
  const edit = await GraphEdit.open(model);
  const sizes = new Uint8Array(BigInt64Array.of(7n, -1n).buffer);
  const name = edit.addBytes('sizes', 'i64', [2], sizes);
  edit.rewrite((node) =>
    node.opType === 'Flatten'
      ? [
          edit.make({
            op: 'Reshape',
            inputs: [node.input[0] ?? '', name],
            outputs: [...node.output],
            name: 'bad_reshape',
          }),
        ]
      : undefined,
  );
  return edit.finish();
}

/** All values that nodes make under other names. */
export const renamed = (model: Model): Model =>
  withGraph(model, (graph) => {
    const made = new Map(graph.node.flatMap(({ output }) => output).map((name, i) => [name, `v${i}`]));
    const other = (name: string): string => made.get(name) ?? name;
    return {
      ...graph,
      node: graph.node.map((node) => ({
        ...node,
        input: node.input.map(other),
        output: node.output.map(other),
      })),
      output: graph.output.map((value) => ({ ...value, name: other(value.name ?? '') })),
      valueInfo: [],
    };
  });

/** Relu computed by another operator, which structure does not see through. */
export async function clipped(model: Model): Promise<Model> {
  const edit = await GraphEdit.open(model);
  const zero = edit.addBytes('zero', 'f32', [], new Uint8Array(4));
  edit.rewrite((node) =>
    node.opType === 'Relu'
      ? [edit.make({ op: 'Max', inputs: [node.input[0] ?? '', zero], outputs: [...node.output] })]
      : undefined,
  );
  return edit.finish();
}
