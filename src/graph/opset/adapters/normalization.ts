import { isDType } from '../../../core/dtype.js';
import { type Adapt, type Adapters, blocked } from '../adapter.js';
import { inputOf, intOf, withInputs, without } from '../attributes.js';

import { groupNormalization } from './normalization-functions.js';

const batchUp9: Adapt = (node) =>
  (intOf(node, 'spatial') ?? 1n) === 1n
    ? [without(node, 'spatial')]
    : blocked('spatial=0 ended with operator set 9');

/** What trained had four more outputs before, and has an attribute and two after. */
const batchUp14: Adapt = (node) =>
  node.output.slice(1).some((name) => name !== '')
    ? blocked('trains: its further outputs changed with operator set 14')
    : [{ ...node, output: node.output.slice(0, 1) }];
const batchDown14: Adapt = (node) =>
  (intOf(node, 'training_mode') ?? 0n) === 0n && node.output.slice(1).every((name) => name === '')
    ? [without(node, 'training_mode')]
    : blocked('trains (training_mode=1), which came with operator set 14');

const batchDown15: Adapt = (node, { type, assume }) => {
  const types = new Set(node.input.map((name) => type(name)));
  if (types.has(undefined)) assume('data and statistics of BatchNormalization are taken to be of one type');
  types.delete(undefined);
  return types.size > 1
    ? blocked('statistics of another type than the data came with operator set 15')
    : [node];
};

const GEMM_TYPES: ReadonlySet<string> = new Set(['f16', 'bf16', 'f32', 'f64', 'i32', 'i64', 'u32', 'u64']);

/** C is optional from operator set 11 on: before, it was there and could be 0. */
const gemmDown11: Adapt = (node, { type, make }) => {
  if (inputOf(node, 2) !== undefined) return [node];
  const dtype = type(node.input[0]);
  if (dtype === undefined || !isDType(dtype) || !GEMM_TYPES.has(dtype))
    return blocked('has no third input, and the type that it would need is not known');
  return [withInputs(node, [node.input[0], node.input[1], make(dtype, [], [0], 'zero')])];
};

/** No layer has more: a graph that claims so is broken. */
const MOST_CHANNELS = 1 << 20;

/** A scale per group became one per channel. */
const groupUp21: Adapt = async (node, { constant, shape, make }) => {
  const channels = shape(node.input[0])?.[1];
  const inputs = [node.input[0]];
  for (const [i, hint] of ['scale', 'bias'].entries()) {
    const values = await constant(node.input[i + 1]);
    const groups = values?.shape[0] ?? 0;
    if (
      !values ||
      channels === undefined ||
      channels > MOST_CHANNELS ||
      groups === 0 ||
      channels % groups !== 0
    )
      return blocked(
        'scale and bias per group ended with operator set 21, and they or the channels are not known',
      );
    const spread = Array.from(
      { length: channels },
      (_, c) => values.numbers[Math.floor((c * groups) / channels)] ?? 0,
    );
    inputs.push(make(values.dtype, [channels], spread, hint));
  }
  return [withInputs(node, inputs)];
};

export const normalizationAdapters: Adapters = {
  'BatchNormalization@9': { up: batchUp9 },
  'BatchNormalization@14': { up: batchUp14, down: batchDown14 },
  'BatchNormalization@15': { down: batchDown15 },
  'Gemm@11': { down: gemmDown11 },
  'GroupNormalization@21': { up: groupUp21, down: groupNormalization },
};
