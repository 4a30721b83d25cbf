import { activationAware } from './activation-aware.js';
import type { IntegerWeights } from './integer-plan.js';
import { quantizeWeights } from './integer-weights.js';
import type { GraphScheme } from './types.js';

const WEIGHTS: IntegerWeights = {
  id: 'int2-weights',
  bits: 2,
  ops: new Set(['MatMul', 'Gemm', 'Conv']),
  block: 16,
  operators: true,
};

export const int2Weights: GraphScheme = {
  id: WEIGHTS.id,
  title: 'weights as 2-bit integers, a scale a block of 16',
  prepare: (model, settings, feeds) => activationAware(model, WEIGHTS, settings, feeds),
  apply: (model, settings, _ranges, context, feeds) =>
    quantizeWeights(model, WEIGHTS, settings, context, feeds),
};
