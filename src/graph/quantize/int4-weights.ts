import { activationAware } from './activation-aware.js';
import type { IntegerWeights } from './integer-plan.js';
import { quantizeWeights } from './integer-weights.js';
import type { GraphScheme } from './types.js';

const WEIGHTS: IntegerWeights = {
  id: 'int4-weights',
  bits: 4,
  ops: new Set(['MatMul', 'Gemm', 'Conv']),
  block: 32,
  operators: true,
};

export const int4Weights: GraphScheme = {
  id: WEIGHTS.id,
  title: 'weights as 4-bit integers, a scale a block of 32',
  prepare: (model, settings, feeds) => activationAware(model, WEIGHTS, settings, feeds),
  apply: (model, settings, _ranges, context, feeds) =>
    quantizeWeights(model, WEIGHTS, settings, context, feeds),
};
