import type { Model } from '../../core/model.js';
import { type Finding, MlserError } from '../../errors.js';
import { GraphEdit } from '../edit.js';
import { convertOpset } from '../opset.js';
import { smoothed } from './smooth.js';
import { Planner } from './static-plan.js';
import { writeQdq } from './static-qdq.js';
import { writeOperators } from './static-qoperators.js';
import { settle } from './static-settle.js';
import type { IntegerTypes } from './static-tensors.js';
import type { GraphScheme, Quantized, QuantizeSettings } from './types.js';

const ID = 'int8-static';

/** Weights and activations as integers whose scales are known beforehand, from calibration data. */
export const int8Static: GraphScheme = {
  id: ID,
  title: 'weights and activations in 8 bits, ranges from calibration data',

  prepare: smoothed,

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
    const { plan, quantized, numbers } = await settle(edit, settings, types, ranges, ID);
    if (plan.active.length > 0)
      if (settings.operators) writeOperators(edit, plan, numbers);
      else writeQdq(edit, plan, numbers);
    return { model: edit.finish(), quantized, findings };
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
