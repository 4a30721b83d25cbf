import { readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { Model } from '../../../src/core/model.js';
import { memoryTensor, readTensor } from '../../../src/core/tensor.js';
import { protoOf, valueInfo } from '../../../src/formats/onnx/summary.js';
import { encodeModel } from '../../../src/graph/build.js';
import { cutChannels } from '../../../src/graph/channels/cut.js';
import { ChannelGraph } from '../../../src/graph/channels/graph.js';
import { type ChannelGroup, channelGroups } from '../../../src/graph/channels/groups.js';
import { GraphEdit } from '../../../src/graph/edit.js';
import { vocabularyOf } from '../../../src/graph/vocabulary.js';
import { bytesFor } from '../../../src/operations/observed-model.js';
import { withModel } from '../../../src/operations/open.js';
import { chosenUnits } from '../../../src/operations/prune/channels/choose-units.js';
import { weighed } from '../../../src/operations/prune/channels/importance.js';
import { ranked } from '../../../src/operations/prune/channels/ranked.js';
import { valueShapes } from '../../../src/operations/prune/channels/value-shapes.js';
import type { PruneReport } from '../../../src/operations/prune/report.js';
import { type Runtime, startRuntime } from '../../../src/runtime/process.js';
import { toNumbers } from '../../../src/runtime/values.js';
import { findFeeds } from '../../../src/validate/find-feeds.js';
import { inputsOf } from '../../../src/validate/runnable.js';
import { openBytes } from '../../graph/opset-support.js';
import { testContext } from '../../support/context.js';
import { fixture } from '../../support/fixtures.js';
import { ownFolder } from '../../support/folders.js';
import { CNN, calibration, prunesInto, RESIDUAL, TEST, TRANSFORMER } from '../../support/pruned.js';
import { schemaErrors } from '../../support/schema.js';

const context = testContext(1);
const SETTINGS = { providers: ['cpu'], threads: 1, lean: false };
const at = ownFolder('channels');
const prune = prunesInto(at, 'channels');

const left = ({ prune: { tensors } }: PruneReport): Record<string, number | undefined> =>
  Object.fromEntries(tensors.map(({ name, channels }) => [name, channels?.after]));
const reasons = ({ prune: { tensors } }: PruneReport): Record<string, string | undefined> =>
  Object.fromEntries(tensors.map(({ name, reason }) => [name, reason]));

/** Weights of half the units of every group that can be cut set to zero, in a file of its own. */
async function withZeros(input: string, output: string): Promise<void> {
  await withModel(input, context, async (opened) => {
    const edit = await GraphEdit.open(opened.model);
    const graph = await ChannelGraph.open(edit, await valueShapes(opened, undefined, context));
    for (const group of channelGroups(graph))
      if (group.reason === undefined && group.inexact === undefined) await clear(edit, group);
    writeFileSync(at(output), await bytesFor(edit.finish(), false));
  });
}

async function clear(edit: GraphEdit, { weights, units }: ChannelGroup): Promise<void> {
  const gone = Math.round(units / 2);
  for (const { value, axis, units: own } of weights) {
    const tensor = edit.tensor(value);
    if (!tensor) continue;
    const { shape } = tensor.info;
    const bytes = await readTensor(tensor);
    const width = bytes.length / shape.reduce((all, size) => all * size, 1);
    const inner = shape.slice(axis + 1).reduce((all, size) => all * size, 1);
    for (let i = 0; i < bytes.length / width; i++)
      // Every other one: neighbours are not cut together.
      if (((own[Math.floor(i / inner) % own.length] ?? 0) % 2 === 1 ? 0 : units) < gone * 2)
        bytes.fill(0, i * width, (i + 1) * width);
    edit.replaceTensor(value, memoryTensor(tensor.info, bytes));
  }
}

type Shapes = Awaited<ReturnType<typeof valueShapes>>;

/** The groups that channels can be taken out of, of a graph that is opened for it. */
async function freeGroups(model: Model, shapes: Shapes) {
  const graph = await ChannelGraph.open(await GraphEdit.open(model), shapes);
  const groups = channelGroups(graph).filter((one) => one.reason === undefined && one.inexact === undefined);
  return { graph, groups };
}

/** Half of one group goes: the outcome is read again and runs, and no other weight has changed. */
async function cutAlone(model: Model, shapes: Shapes, i: number, runtime: Runtime): Promise<void> {
  const { graph, groups } = await freeGroups(model, shapes);
  const group = groups[i]!;
  const cuts = chosenUnits((await weighed(graph, [group], 'l1', undefined)).map(ranked), {
    ...{ sparsity: 0.5, scope: 'global', multipleOf: 1 },
  });
  const cut = cutChannels(graph, cuts);
  const members = new Set(group.weights.map(({ value }) => value));
  const changed = model.tensors.filter((tensor) => !cut.tensors.includes(tensor));
  const floats = changed.filter(({ info }) => info.dtype === 'f32').map(({ info }) => info.name);
  expect(floats.length, group.name).toBeGreaterThan(0);
  expect(
    floats.filter((name) => !members.has(name)),
    group.name,
  ).toEqual([]);
  const bytes = await bytesFor(cut, false);
  const again = await openBytes(bytes);
  expect(again.tensors.map(({ info }) => info.shape)).toEqual(cut.tensors.map(({ info }) => info.shape));
  const session = await runtime.create({ bytes }, SETTINGS, group.name);
  const found = await findFeeds(session, inputsOf(session, cut.graph!), vocabularyOf(cut));
  await session.release();
  if ('code' in found) throw new Error(`${group.name}: ${found.message}`);
  for (const [name, value] of found.outputs)
    expect(Array.from(toNumbers(value)).every(Number.isFinite), `${group.name}: ${name}`).toBe(true);
}

describe('trained models', () => {
  it('30 % of the channels of the digits CNN cost at most two points, and less is stored', async () => {
    const report = await prune(CNN, 'cnn.onnx', { calibration, ...TEST });
    expect(schemaErrors('prune', report)).toEqual([]);
    expect(report.validation).toMatchObject({ passed: true });
    expect(report.accuracyDrop).toBeLessThanOrEqual(0.02);
    expect(report.bytesIn / report.bytesOut).toBeGreaterThan(1.7);
    expect(report.prune).toMatchObject({ importance: 'activation', scope: 'global', asked: 0.3 });
    expect(left(report)).toEqual({
      ...{ 'onnx::Conv_35': 6, 'onnx::Conv_38': 16, 'conv3.weight': 16, 'fc1.weight': 16, 'fc2.weight': 10 },
    });
    expect(reasons(report)['fc2.weight']).toBe('it reaches the output "logits"');
  });

  it('the same share of every layer, any number of channels', async () => {
    const options = { scope: 'tensor', multipleOf: 1, calibration, ...TEST } as const;
    const report = await prune(CNN, 'each.onnx', options);
    expect(Object.values(left(report))).toEqual([6, 11, 17, 22, 10]);
    expect(report.accuracyDrop).toBeLessThanOrEqual(0.02);
  });

  it('what is left makes up for what goes: better than by biases alone, and that better than not at all', async () => {
    const accuracies: number[] = [];
    const halved = { calibration, sparsity: 0.5, tolerance: 1e9 };
    for (const compensate of ['none', 'bias', 'weights'] as const) {
      const report = await prune(RESIDUAL, 'r.onnx', { compensate, ...halved, ...TEST });
      accuracies.push(report.validation.accuracy?.after ?? 0);
    }
    expect(accuracies).toEqual([...accuracies].sort((a, b) => a - b));
    expect(accuracies[2]).toBeGreaterThan(0.95);
    // Two threads give the bytes that one gave.
    const onTwo = prunesInto(at, 'channels', testContext(2));
    await onTwo(RESIDUAL, 'two.onnx', { compensate: 'weights', ...halved, validate: 'none' });
    expect(readFileSync(at('two.onnx')).equals(readFileSync(at('r.onnx')))).toBe(true);
  });

  it('norms make up for some of it without samples', async () => {
    const accuracy = async (compensate: 'none' | 'bias'): Promise<number> =>
      (await prune(RESIDUAL, 'n.onnx', { compensate, tolerance: 1e9, ...TEST })).validation.accuracy?.after ??
      0;
    expect(await accuracy('bias')).toBeGreaterThan(await accuracy('none'));
  });

  it('--max-accuracy-drop spares groups', async () => {
    const report = await prune(CNN, 'spared.onnx', { maxAccuracyDrop: 0.05, tolerance: 1e9, ...TEST });
    expect(report.validation.passed).toBe(true);
    expect(report.accuracyDrop).toBeLessThanOrEqual(0.05);
    expect(report.findings.map(({ code }) => code)).toContain('KEPT_WHOLE');
  });
});

describe('graphs of all kinds stay runnable', () => {
  const graphs = [
    ...['onnx/unet.ts17.onnx', 'onnx/t5_encoder.ts17.onnx', 'onnx/external_onefile/model.onnx'],
    ...['onnx/ort_fused_bert.onnx', 'onnx/if_initializers.onnx'],
  ];
  it.each(graphs)('%s', async (name) => {
    const options = { sparsity: 0.5, scope: 'tensor', multipleOf: 1, tolerance: 1e9 } as const;
    const report = await prune(fixture(name), 'a.onnx', options);
    expect(report.validation).toMatchObject({ passed: true, run: {} });
    const cut = report.prune.tensors.filter(({ reason }) => reason === undefined);
    expect(cut.length).toBeGreaterThan(0);
    // Of a group that several weights make together it may be the others that lose channels.
    expect(cut.some(({ channels }) => (channels?.after ?? 0) < (channels?.before ?? 0))).toBe(true);
    expect(report.prune.storedBytes).toBeLessThan(report.prune.denseBytes);
  });

  // One runtime for all groups: a process for each took ten times as long.
  it.each([
    ['residual', RESIDUAL],
    ['transformer', TRANSFORMER],
  ])('every group by itself: %s', async (_, input) => {
    const runtime = startRuntime();
    try {
      await withModel(input, context, async (opened) => {
        const shapes = await valueShapes(opened, undefined, context);
        const { groups } = await freeGroups(opened.model, shapes);
        expect(groups.length).toBeGreaterThan(3);
        for (const i of groups.keys()) await cutAlone(opened.model, shapes, i, runtime);
      });
    } finally {
      await runtime.close();
    }
  });

  it('sizes that the graph notes are those of a run', async () => {
    await prune(fixture('onnx/mlp.dynamo21.onnx'), 'noted.onnx', {
      include: [/./],
      multipleOf: 1,
      tolerance: 1e9,
    });
    await withModel(at('noted.onnx'), context, async (opened) => {
      const shapes = await valueShapes(opened, undefined, context);
      const noted = notedShapes(opened.model);
      expect(noted.length).toBeGreaterThan(0);
      for (const { name, shape } of noted)
        shape?.forEach((dim, axis) => {
          if (typeof dim === 'number' && shapes.has(name)) expect(shapes.get(name)?.[axis], name).toBe(dim);
        });
    });
  });
});

const notedShapes = ({ graph }: Model): readonly ReturnType<typeof valueInfo>[] =>
  (graph ? (protoOf(graph).graph?.valueInfo ?? []) : []).map(valueInfo);

describe('channels that do nothing', () => {
  it.each([
    'prune/residual.onnx',
    'prune/transformer.onnx',
    'onnx/cnn_bn_res.ts17.onnx',
    'onnx/t5_encoder.ts17.onnx',
  ])('go without a trace: %s', async (name) => {
    await withZeros(fixture(name), 'zeros.onnx');
    const options = { sparsity: 0.5, scope: 'tensor', multipleOf: 1, tolerance: 1e-5 } as const;
    const report = await prune(at('zeros.onnx'), 'gone.onnx', options);
    expect(report.findings.filter(({ severity }) => severity === 'error')).toEqual([]);
    expect(report.validation.passed).toBe(true);
    expect(report.prune.storedBytes).toBeLessThan(report.prune.denseBytes);
  });
});

describe('what stays is named with its reason', () => {
  it('norms over the channels, unless they are asked for', async () => {
    const plain = await prune(fixture('onnx/mlp.dynamo21.onnx'), 'a.onnx', { dryRun: true });
    expect(reasons(plain)['net.0.weight']).toMatch(/LayerNormalization .* mean and the variance/);
    const asked = await prune(fixture('onnx/mlp.dynamo21.onnx'), 'a.onnx', {
      include: [/./],
      tolerance: 1e9,
    });
    expect(asked.validation.passed).toBe(true);
    expect(left(asked)).toEqual({ 'net.0.weight': 24, 'net.3.weight': 24, 'net.6.weight': 10 });
  });

  it('sizes that the graph computes with', async () => {
    const report = await prune(TRANSFORMER, 'a.onnx', { include: [/./], dryRun: true });
    const [stream = ''] = Object.keys(reasons(report));
    expect(reasons(report)[stream]).toMatch(/computes with the number of channels/);
  });

  it('operators that are not understood, and what was to stay', async () => {
    const lstm = await prune(fixture('onnx/lstm.ts13.onnx'), 'a.onnx', { dryRun: true });
    expect(lstm.findings.map(({ code }) => code)).toContain('NOTHING_PRUNED');
    const kept = await prune(RESIDUAL, 'a.onnx', { keep: [/^up/], dryRun: true });
    expect(reasons(kept)['up.0.weight']).toBe('it was to stay as it is');
  });

  it('of joined branches each keeps a channel', async () => {
    const report = await prune(RESIDUAL, 'a.onnx', {
      sparsity: 0.9,
      scope: 'tensor',
      multipleOf: 1,
      tolerance: 1e9,
    });
    expect(report.validation.passed).toBe(true);
    for (const { shape } of report.tensors) expect(Math.min(1, ...shape)).toBe(1);
  });

  it('heads go as a whole, and as many as fit', async () => {
    const report = await prune(TRANSFORMER, 'a.onnx', { sparsity: 0.5, scope: 'tensor', dryRun: true });
    const heads = report.prune.tensors.filter(({ units }) => units === 6);
    expect(heads).toHaveLength(3);
    for (const { channels, members } of heads) {
      expect(channels).toEqual({ before: 24, after: 16 });
      expect(members?.length).toBe(7);
    }
  });

  it('leaves a multiple of 8, or of less where 8 would miss the share', async () => {
    const random = (count: number) =>
      new Uint8Array(Float32Array.from({ length: count }, (_, i) => Math.sin(i * 7919)).buffer);
    const written = async (hidden: number): Promise<string> => {
      const file = at(`hidden-${hidden}.onnx`);
      const bytes = await encodeModel({
        opset: 17,
        irVersion: 8,
        inputs: [{ name: 'x', dtype: 'f32', shape: [2, 4] }],
        outputs: [{ name: 'y', dtype: 'f32', shape: [2, 3] }],
        initializers: [
          { name: 'a', dtype: 'f32', shape: [4, hidden], raw: random(4 * hidden) },
          { name: 'b', dtype: 'f32', shape: [hidden, 3], raw: random(hidden * 3) },
        ],
        nodes: [
          { op: 'MatMul', inputs: ['x', 'a'], outputs: ['h'] },
          { op: 'Relu', inputs: ['h'], outputs: ['r'] },
          { op: 'MatMul', inputs: ['r', 'b'], outputs: ['y'] },
        ],
      });
      writeFileSync(file, bytes);
      return file;
    };
    for (const [hidden, stay] of [
      [80, 56],
      [16, 12],
      [10, 7],
    ] as const) {
      const report = await prune(await written(hidden), 'a.onnx', { sparsity: 0.3, validate: 'weights' });
      expect(left(report)['a'], `${hidden} channels`).toBe(stay);
    }
  });

  it.each([
    [{ importance: 'activation' }, 'E_USAGE', /samples/],
    [{ compensate: 'weights' }, 'E_USAGE', /samples/],
    [{ sparsity: 1.5 }, 'E_USAGE', /no share/],
    [{ multipleOf: 0 }, 'E_USAGE', /multiple/],
    [{ to: 'safetensors' }, 'E_UNSUPPORTED', /ONNX/],
  ] as const)('%j is refused', async (options, code, message) => {
    await expect(prune(CNN, 'a.onnx', options)).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message),
    });
  });

  it('options of other methods are told', async () => {
    const report = await prune(CNN, 'a.onnx', { dryRun: true, threshold: 1, layers: [1] });
    expect(report.findings.filter(({ code }) => code === 'OPTION_IGNORED')).toHaveLength(2);
  });
});
