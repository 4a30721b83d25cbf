import type { Pass } from './pass.js';
import { castChains } from './passes/cast-chains.js';
import { commonSubexpressions } from './passes/common-subexpressions.js';
import { constantConditions } from './passes/constant-conditions.js';
import { deadCode } from './passes/dead-code.js';
import { duplicateInitializers } from './passes/duplicate-initializers.js';
import { foldConstants } from './passes/fold-constants.js';
import { identity } from './passes/identity.js';
import { inferShapes } from './passes/infer-shapes.js';
import { inlineFunctions } from './passes/inline-functions.js';
import { noOps } from './passes/no-ops.js';
import { reshapes } from './passes/reshapes.js';
import { shapeFolding } from './passes/shape-folding.js';
import { transposes } from './passes/transposes.js';

/** Every pass, in the order in which a round runs them. A new pass is a file in `passes/` and a line here. */
export const PASSES: readonly Pass[] = [
  inlineFunctions,
  identity,
  noOps,
  castChains,
  transposes,
  reshapes,
  shapeFolding,
  foldConstants,
  constantConditions,
  duplicateInitializers,
  commonSubexpressions,
  deadCode,
  inferShapes,
];
