import type { Pass } from './pass.js';
import { commonSubexpressions } from './passes/common-subexpressions.js';
import { deadCode } from './passes/dead-code.js';
import { duplicateInitializers } from './passes/duplicate-initializers.js';
import { foldConstants } from './passes/fold-constants.js';
import { identity } from './passes/identity.js';
import { inlineFunctions } from './passes/inline-functions.js';

/** Every pass, in the order in which a round runs them. A new pass is a file in `passes/` and a line here. */
export const PASSES: readonly Pass[] = [
  inlineFunctions,
  identity,
  foldConstants,
  duplicateInitializers,
  commonSubexpressions,
  deadCode,
];
