import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import protobuf from 'protobufjs';
import { afterAll, describe, expect, it } from 'vitest';
import type { Model } from '../../../src/core/model.js';
import type { Prediction } from '../../../src/core/prediction.js';
import type { StateNode } from '../../../src/core/training.js';
import { readFrame } from '../../../src/formats/mlck/frame.js';
import { memorySource } from '../../../src/io/memory.js';
import { applyDeltas } from '../../../src/operations/delta/apply.js';
import { createDelta } from '../../../src/operations/delta/create.js';
import { predictionsBetween } from '../../../src/operations/delta/predictions.js';
import { verifyDelta } from '../../../src/operations/delta/verify.js';
import { hashModel } from '../../../src/operations/hashes.js';
import { withModel, withModels } from '../../../src/operations/open.js';
import { manifestOf } from '../../formats/mlck/files.js';
import { testContext } from '../../support/context.js';

const folder = mkdtempSync(path.join(tmpdir(), 'mlser-adam-'));
afterAll(() => {
  rmSync(folder, { recursive: true });
});
const at = (name: string): string => path.join(folder, name);
const fixture = (name: string): string => `fixtures/deltas/adam/${name}.pt`;
const context = testContext();
/** The bytes are compared; nothing waits for the disk. */
const PROVED = { validate: 'weights', device: 'cpu', sync: false } as const;
const key = new Uint8Array(32).fill(7);

const contentOf = (file: string): Promise<string> =>
  withModel(file, context, async ({ model }) => (await hashModel(model, context)).content);

const between = (base: string, next: string, change = (model: Model): Model => model) =>
  withModels([base, next], context, ([from, to]) =>
    predictionsBetween(change(from!.model), change(to!.model)),
  );

/** What stands under a name in the training state becomes something else. */
const edited =
  (name: string, change: (node: StateNode) => StateNode) =>
  (model: Model): Model => {
    const walk = (node: StateNode): StateNode => {
      if ('items' in node) return { ...node, items: node.items.map(walk) };
      if (node.kind !== 'dict') return node;
      const entries = node.entries.map(([label, value]) => {
        const found = label.kind === 'string' && label.value === name;
        return [label, found ? change(value) : walk(value)] as const;
      });
      return { ...node, entries };
    };
    return { ...model, training: { ...model.training, tree: walk(model.training!.tree) } };
  };

const kindsOf = (predictions: ReadonlyMap<string, Prediction>): Record<string, string> =>
  Object.fromEntries([...predictions].map(([name, { kind }]) => [name, kind]));

/** Training runs of the fixtures: the two steps, and which record of the optimizer belongs to which weight. */
const RUNS = [
  {
    run: 'adamw',
    steps: ['adamw-300', 'adamw-301'],
    moments: { 'model.0.weight': 0, 'model.3.weight': 1, 'model.5.weight': 2, 'model.7.weight': 3 },
  },
  {
    run: 'adam',
    steps: ['adam-100', 'adam-101'],
    moments: { 'model.0.weight': 0, 'model.3.weight': 4, 'model.5.weight': 6, 'model.7.weight': 8 },
  },
] as const;

describe.each(RUNS)('between two steps of $run', ({ run, steps, moments }) => {
  const [base, next] = [fixture(steps[0]), fixture(steps[1])];
  const file = at(`${run}.mlck`);

  it('weights take nothing, second moments little, and everything comes back', async () => {
    const report = await createDelta(base, next, file, { ...PROVED, validate: 'run' }, context);
    expect(report.validation).toMatchObject({ passed: true });
    expect(report.changedTensors, 'counted against the base').toBeGreaterThan(20);
    const tensors = new Map(report.tensors.map((tensor) => [tensor.name, tensor]));
    for (const [weight, id] of Object.entries(moments)) {
      expect(tensors.get(weight), weight).toMatchObject({ action: 'delta', bytesOut: 8 });
      const second = tensors.get(`optimizer.state.${id}.exp_avg_sq`)!;
      if (second.bytesIn > 512) expect(second.bytesOut! / second.bytesIn, second.name).toBeLessThan(0.06);
    }
    await applyDeltas(base, [file], at(`${run}.pt`), PROVED, context);
    expect(await contentOf(at(`${run}.pt`))).toBe(await contentOf(next));
    expect(await verifyDelta(file, { ...context, bases: [base] })).toMatchObject({ passed: true });
  });

  it('each weight is predicted from its own moments, wherever they stand', async () => {
    const { tensors } = await manifestOf(readFileSync(file));
    const records = new Map(tensors.map((record) => [record.name, record]));
    for (const [weight, id] of Object.entries(moments)) {
      const state = `optimizer.state.${id}`;
      expect(records.get(weight)!.prediction).toMatchObject({
        ...{ kind: 'adam-weight', first: `${state}.exp_avg`, second: `${state}.exp_avg_sq` },
      });
      expect(records.get(`${state}.exp_avg`)!.prediction).toBeUndefined();
    }
  });

  it('the manifest is protobuf as the schema says', async () => {
    const { root } = protobuf.parse(readFileSync('schemas/checkpoint.proto', 'utf8'));
    const type = root.lookupType('mlser.checkpoint.v1.Manifest');
    const { manifest, features } = await readFrame(memorySource(readFileSync(file), 'a.mlck'));
    expect(features).toBe(6);
    const decoded = type.decode(manifest);
    expect(Buffer.compare(type.encode(decoded).finish(), manifest), 'nothing that the schema lacks').toBe(0);
    const { tensors } = type.toObject(decoded, { enums: String });
    const [{ prediction }] = tensors;
    expect(prediction).toMatchObject({
      ...{ kind: 'PREDICTION_ADAM_WEIGHT', firstMoment: 'optimizer.state.0.exp_avg' },
      secondMoment: 'optimizer.state.0.exp_avg_sq',
    });
    expect(prediction.scalars).toHaveLength(4);
  });

  it('it works with a key, and in the other direction there is nothing to predict', async () => {
    const locked = { ...context, key };
    await createDelta(base, next, at(`${run}-sealed.mlck`), PROVED, locked);
    await applyDeltas(base, [at(`${run}-sealed.mlck`)], at(`${run}-opened.pt`), PROVED, locked);
    expect(await contentOf(at(`${run}-opened.pt`))).toBe(await contentOf(next));
    expect(kindsOf(await between(next, base))).toEqual({});
  });
});

describe('an optimizer is understood', () => {
  const [base, next] = [fixture('adam-100'), fixture('adam-101')] as const;

  it('that does not tell Adam from AdamW', async () => {
    const silent = edited('decoupled_weight_decay', () => ({ kind: 'none' }));
    for (const { steps, moments } of RUNS) {
      const found = kindsOf(await between(fixture(steps[0]), fixture(steps[1]), silent));
      for (const weight of Object.keys(moments)) expect(found[weight], weight).toBe('adam-weight');
    }
  });

  it('that counts steps in plain numbers', async () => {
    const plain = (model: Model): Model =>
      edited('step', () => ({ kind: 'int', value: BigInt(model.training!.step!) }))(model);
    expect(await between(base, next, plain)).toEqual(await between(base, next));
  });

  it('that knows its parameters by name', async () => {
    const byName = (model: Model): Model => {
      const names = model.tensors.map(({ info }) => info.name).filter((name) => name.startsWith('model.'));
      const named = (node: StateNode): StateNode =>
        node.kind === 'int'
          ? { kind: 'string', value: names[Number(node.value)]!.replace('model.', '') }
          : node;
      const inState = edited('state', (node) =>
        node.kind === 'dict'
          ? { ...node, entries: node.entries.map(([key, value]) => [named(key), value] as const) }
          : node,
      );
      const inGroups = edited('params', (node) =>
        'items' in node ? { ...node, items: node.items.map(named) } : node,
      );
      return inGroups(inState(model));
    };
    expect(await between(base, next, byName)).toEqual(await between(base, next));
  });
});

describe('nothing is predicted', () => {
  const [base, next] = [fixture('adam-100'), fixture('adam-101')] as const;

  it('between checkpoints that are not one step apart', async () => {
    const [early, late] = [180, 200].map((step) => `fixtures/trained/digits_cnn/checkpoints/step0${step}.pt`);
    expect(kindsOf(await between(early!, late!))).toEqual({});
  });

  it('of weights where the file has a learning rate that the step did not have', async () => {
    const wrong = edited('lr', () => ({ kind: 'float', value: -0.01 }));
    const found = await between(base, next, wrong);
    expect(new Set(Object.values(kindsOf(found)))).toEqual(new Set(['adam-second']));
  });

  it('where the betas are others, or the state is no optimizer that we know', async () => {
    const none: StateNode = { kind: 'none' };
    const swapped = (node: StateNode): StateNode =>
      'items' in node ? { ...node, items: [...node.items].reverse() } : node;
    for (const change of [
      edited('betas', swapped),
      edited('betas', () => none),
      edited('params', () => none),
      edited('eps', () => none),
      edited('step', () => none),
      edited('state', () => none),
      edited('exp_avg_sq', () => ({ kind: 'tensor', name: 'not there' })),
    ])
      expect(kindsOf(await between(base, next, change))).toEqual({});
  });

  it('where values are rounded on the way', async () => {
    const options = { ...PROVED, lossy: 'bf16-delta', lossyOptimizer: 'bf16-delta' } as const;
    await createDelta(base, next, at('lossy.mlck'), options, context);
    const { tensors } = await manifestOf(readFileSync(at('lossy.mlck')));
    expect(tensors.filter(({ prediction }) => prediction)).toEqual([]);
  });
});
