import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { protoOf } from '../../../src/formats/onnx/summary.js';
import { encodeModel, nodeProto } from '../../../src/graph/build.js';
import { checkWork } from '../../../src/graph/optimize/check.js';
import { PASSES } from '../../../src/graph/optimize/index.js';
import { type GraphPass, LEVELS, type PassContext } from '../../../src/graph/optimize/pass.js';
import { runPasses } from '../../../src/graph/optimize/run-passes.js';
import { sortedNodes } from '../../../src/graph/optimize/sorted.js';
import type { WorkGraph } from '../../../src/graph/optimize/work-graph.js';
import { WorkModel } from '../../../src/graph/optimize/work-model.js';
import { withModel } from '../../../src/operations/open.js';
import { openBytes } from '../opset-support.js';
import { graphOf, node, tensor } from './fusions.js';

const NOTHING: PassContext = {
  services: { describe: async () => new Map(), evaluate: async () => undefined },
  foldLimit: 0,
};
const fixture = (name: string): string =>
  path.join(fileURLToPath(new URL('../../../fixtures/onnx', import.meta.url)), name);
const chain = graphOf([2], [node('Relu', ['x'], 'a'), node('Abs', ['a'], 'y')]);

const broken = (name: string, apply: GraphPass['apply']): GraphPass => ({
  name,
  summary: '',
  level: 'basic',
  apply,
});

const once =
  (work: (graph: WorkGraph) => void): GraphPass['apply'] =>
  (graph) => {
    work(graph);
    return 1;
  };

describe('a pass that breaks the graph', () => {
  it.each([
    [
      'takes out what is taken',
      once((graph) => graph.remove(graph.maker('a', 'Relu') ?? fail())),
      /Abs.* takes a/,
    ],
    [
      'makes a value twice',
      once((graph) => graph.insertBefore(graph.nodes[1] ?? fail(), { ...(graph.nodes[0] ?? fail()) })),
      /makes a a second time/,
    ],
    [
      'takes an output away',
      once((graph) => graph.remove(graph.maker('y') ?? fail())),
      /nothing makes the output y/,
    ],
    [
      'changes the order',
      (graph) => {
        const first = graph.nodes[0] ?? fail();
        const last = graph.nodes[1] ?? fail();
        graph.remove(first);
        graph.replace(last, last, first);
        return 1;
      },
      /takes a, which nothing made before/,
    ],
  ] as readonly (readonly [string, GraphPass['apply'], RegExp])[])(
    'is told by its name: %s',
    async (name, apply, message) => {
      const model = await openBytes(await encodeModel(chain));
      await expect(runPasses(model, [broken(name, apply)], NOTHING)).rejects.toThrow(message);
      await expect(runPasses(model, [broken(name, apply)], NOTHING)).rejects.toThrow(name);
    },
  );
});

const fail = (): never => {
  throw new Error('not there');
};

describe('sub-graphs', () => {
  it('are rewritten too, and what they take from outside follows a new name', async () => {
    await withModel(fixture('control_flow.ts17.onnx'), {}, async ({ model }) => {
      const work = await WorkModel.open(model);
      const holder = work.main.nodes.find((one) => work.main.bodies(one).length > 0) ?? fail();
      const [taken = fail()] = work.main.capturedBy(holder);
      expect(work.main.soleTaker(taken)).toBeUndefined();
      work.main.replaceUses(taken, 'fresh');
      const first = work.main.nodes[0] ?? fail();
      work.main.insertBefore(first, nodeProto({ op: 'Identity', inputs: [taken], outputs: ['fresh'] }, 0));
      checkWork(work.main, 'the test');
      const now = work.main.nodes.find((one) => work.main.bodies(one).length > 0) ?? fail();
      expect(work.main.capturedBy(now)).toContain('fresh');
      expect(work.main.capturedBy(now)).not.toContain(taken);
      expect(JSON.stringify(work.finish().graph?.ops.get('If'))).toBe(
        JSON.stringify(model.graph?.ops.get('If')),
      );
    });
  });
});

describe('what a graph keeps', () => {
  it('is its inputs: before IR 4 all but its initializers, which become constants', async () => {
    const inputs = ['x', 'w'].map((name) => ({ name, dtype: 'f32' as const, shape: [2] }));
    const nodes = [node('Mul', ['x', 'w'], 'y')];
    const bytes = await encodeModel(
      graphOf([2], nodes, { irVersion: 3, opset: 8, inputs, initializers: [tensor('w', [2])] }),
    );
    const { model } = await runPasses(await openBytes(bytes), [], NOTHING);
    expect(model.graph?.irVersion).toBe(4);
    expect(protoOf(model.graph ?? fail()).graph?.input.map(({ name }) => name)).toEqual(['x']);
    const newer = await openBytes(
      await encodeModel(graphOf([2], nodes, { inputs, initializers: [tensor('w', [2])] })),
    );
    expect(protoOf((await runPasses(newer, [], NOTHING)).model.graph ?? fail()).graph?.input).toHaveLength(2);
  });
  it('is an order in which it can be computed, as near to its own as can be', () => {
    const [a, b, c, d] = [
      ['x', 'a'],
      ['a', 'b'],
      ['b', 'c'],
      ['x', 'd'],
    ].map(([from = '', to = ''], i) => nodeProto({ op: 'Relu', inputs: [from], outputs: [to] }, i));
    if (!a || !b || !c || !d) return fail();
    const none = (): ReadonlySet<string> => new Set();
    expect(sortedNodes([a, b, c, d], none)).toEqual([a, b, c, d]);
    expect(sortedNodes([c, b, d, a], none)).toEqual([d, a, b, c]);
    const loop = nodeProto({ op: 'Add', inputs: ['z', 'x'], outputs: ['z'] }, 9);
    const [p, q] = [
      ['q', 'p'],
      ['p', 'q'],
    ].map(([from = '', to = ''], i) => nodeProto({ op: 'Abs', inputs: [from], outputs: [to] }, i));
    if (!p || !q) return fail();
    expect(sortedNodes([p, q, a, loop], none)).toEqual([a, loop, p, q]);
  });
});

it('passes have names of their own, a known level and a summary that fits a line', () => {
  expect(new Set(PASSES.map(({ name }) => name)).size).toBe(PASSES.length);
  for (const { name, level, summary } of PASSES) {
    expect(name).toMatch(/^[a-z]+(-[a-z0-9]+)*$/);
    expect(LEVELS).toContain(level);
    expect(summary.length, name).toBeLessThanOrEqual(110);
  }
});
