import type { Model } from '../../core/model.js';
import { type Finding, MlserError } from '../../errors.js';
import { type EditNode, GraphEdit } from '../edit.js';
import { convertOpset } from '../opset.js';
import { type Active, Planner, type StaticPlan } from './static-plan.js';
import { writeQdq } from './static-qdq.js';
import { writeOperators } from './static-qoperators.js';
import { type IntegerTypes, StaticTensors, type StoredScale, type StoredTensor } from './static-tensors.js';
import type { ActivationRanges, GraphScheme, Quantized, QuantizeSettings } from './types.js';

const ID = 'int8-static';

/** Weights and activations as integers whose scales are known beforehand, from calibration data. */
export const int8Static: GraphScheme = {
  id: ID,
  title: 'weights and activations in 8 bits, ranges from calibration data',

  async activations(model, settings) {
    const { edit } = await prepared(model, settings);
    const { owners } = (await Planner.of(edit, settings)).plan();
    // An adapter of the operator set may have made values that the model as it was does not have.
    const before = await GraphEdit.open(model);
    const known = new Set([...before.inputNames, ...before.nodes.flatMap(({ output }) => output)]);
    return [...new Set(owners.values())].filter((name) => known.has(name));
  },

  async apply(model, settings, ranges = new Map()): Promise<Quantized> {
    const types = typesOf(settings);
    const { edit, findings } = await prepared(model, settings);
    const { plan, tensors, numbers } = await settle(edit, settings, types, ranges);
    if (plan.active.length > 0)
      if (settings.operators) writeOperators(edit, plan, numbers);
      else writeQdq(edit, plan, numbers);
    return { model: edit.finish(), quantized: tensors.quantized, findings };
  },
};

/** Scales along an axis came with version 13, Relu of integers with 14, 16 bits with 21. */
const versionFor = ({ activationBits, symmetric }: QuantizeSettings): number =>
  activationBits === 16 ? 21 : symmetric ? 14 : 13;

async function prepared(
  model: Model,
  settings: QuantizeSettings,
): Promise<{ readonly edit: GraphEdit; readonly findings: readonly Finding[] }> {
  refuse(settings);
  const wanted = versionFor(settings);
  const version = model.graph?.opsets.get('') ?? wanted;
  if (version >= wanted) return { edit: await GraphEdit.open(model), findings: [] };
  const { model: converted, findings } = await convertOpset(model, wanted);
  return { edit: await GraphEdit.open(converted), findings };
}

function refuse({ operators, activationBits, perChannel, symmetric }: QuantizeSettings): void {
  const why =
    operators && activationBits === 16
      ? '--operators: there are none for 16-bit activations'
      : perChannel && symmetric === false
        ? '--per-channel: kernels take one zero point for all channels, so weights are symmetric'
        : undefined;
  if (why !== undefined)
    throw new MlserError('E_USAGE', why, { details: { scheme: ID }, hint: 'leave out one of the two' });
}

function typesOf(settings: QuantizeSettings): IntegerTypes {
  const { symmetric, perChannel, weightSign = 'signed', activationBits = 8, reduceRange } = settings;
  const signed = weightSign === 'signed';
  return {
    weights: {
      dtype: signed ? 'i8' : 'u8',
      symmetric: symmetric ?? (perChannel || signed),
      ...(reduceRange ? { reduceRange } : {}),
    },
    activations: {
      dtype: `${symmetric ? 'i' : 'u'}${activationBits}`,
      symmetric: symmetric ?? false,
    },
  };
}

interface Settled {
  readonly plan: StaticPlan;
  readonly tensors: StaticTensors;
  readonly numbers: {
    readonly scales: ReadonlyMap<string, StoredScale>;
    readonly constants: ReadonlyMap<EditNode, ReadonlyMap<string, StoredTensor>>;
  };
}

/** Plans until every node that is left has all its numbers: ranges of f32 values, weights without NaN. */
async function settle(
  edit: GraphEdit,
  settings: QuantizeSettings,
  types: IntegerTypes,
  ranges: ActivationRanges,
): Promise<Settled> {
  const planner = await Planner.of(edit, settings);
  const refused = new Set<EditNode>();
  for (;;) {
    const plan = planner.plan(refused);
    const before = refused.size;
    const known = (name: string): boolean => ranges.has(plan.owners.get(name) ?? '');
    for (const { node, inputs, outputs } of plan.active)
      if (![...inputs, ...outputs].every(known)) refused.add(node);
    if (refused.size > before) continue;
    const made = await numbersOf(plan, new StaticTensors(edit, types, ID), settings, ranges, refused);
    if (refused.size === before) return { plan, ...made };
  }
}

async function numbersOf(
  plan: StaticPlan,
  tensors: StaticTensors,
  settings: QuantizeSettings,
  ranges: ActivationRanges,
  refused: Set<EditNode>,
): Promise<Omit<Settled, 'plan'>> {
  const byOwner = new Map<string, StoredScale>();
  const scales = new Map<string, StoredScale>();
  for (const [name, owner] of plan.owners) {
    const range = ranges.get(owner);
    if (!range) continue;
    const scale = byOwner.get(owner) ?? tensors.scale(owner, range);
    byOwner.set(owner, scale);
    scales.set(name, scale);
  }
  const constants = new Map<EditNode, ReadonlyMap<string, StoredTensor>>();
  for (const active of plan.active) {
    const found = await constantsOf(active, tensors, scales, settings);
    if (found) constants.set(active.node, found);
    else refused.add(active.node);
  }
  return { tensors, numbers: { scales, constants } };
}

async function constantsOf(
  { kind, inputs, constants, axis, bias }: Active,
  tensors: StaticTensors,
  scales: ReadonlyMap<string, StoredScale>,
  { perChannel }: QuantizeSettings,
): Promise<ReadonlyMap<string, StoredTensor> | undefined> {
  const stored = new Map<string, StoredTensor>();
  const input = scales.get(inputs[0] ?? '')?.value ?? 1;
  for (const name of constants) {
    const added = bias === undefined ? undefined : { name: bias, input };
    const made =
      kind === 'compute'
        ? await tensors.weight(name, perChannel ? axis : undefined, added)
        : await tensors.constant(name);
    if (!made) return undefined;
    stored.set(name, made);
    if (bias !== undefined) stored.set(bias, await tensors.bias(bias, input, made));
  }
  return stored;
}
