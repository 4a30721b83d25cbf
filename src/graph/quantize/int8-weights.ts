import { activationAware } from './activation-aware.js';
import type { IntegerWeights } from './integer-plan.js';
import { quantizeWeights } from './integer-weights.js';
import type { GraphScheme } from './types.js';

const WEIGHTS: IntegerWeights = {
  id: 'int8-weights',
  bits: 8,
  ops: new Set(['MatMul', 'Gemm', 'Conv', 'Gather']),
  block: undefined,
  operators: false,
};

export const int8Weights: GraphScheme = {
  id: WEIGHTS.id,
  title: 'weights as 8-bit integers, a scale a channel',
  prepare: (model, settings, feeds) => activationAware(model, WEIGHTS, settings, feeds),
  apply: (model, settings, _ranges, context, feeds) =>
    quantizeWeights(model, WEIGHTS, settings, context, feeds),
};
