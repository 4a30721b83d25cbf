import type { Pass } from './pass.js';
import { castChains } from './passes/cast-chains.js';
import { commonSubexpressions } from './passes/common-subexpressions.js';
import { constantConditions } from './passes/constant-conditions.js';
import { deadCode } from './passes/dead-code.js';
import { duplicateInitializers } from './passes/duplicate-initializers.js';
import { foldConstants } from './passes/fold-constants.js';
import { fuseActivations } from './passes/fuse-activations.js';
import { fuseAttention } from './passes/fuse-attention.js';
import { fuseConvBatchNorm } from './passes/fuse-conv-batchnorm.js';
import { fuseGelu } from './passes/fuse-gelu.js';
import { fuseGeluRuntime } from './passes/fuse-gelu-runtime.js';
import { fuseGemmBatchNorm } from './passes/fuse-gemm-batchnorm.js';
import { fuseLayerNorm } from './passes/fuse-layernorm.js';
import { fuseLayerNormRuntime } from './passes/fuse-layernorm-runtime.js';
import { fuseMatMulAddGemm } from './passes/fuse-matmul-add-gemm.js';
import { fusePadConv } from './passes/fuse-pad-conv.js';
import { fuseScaleConv } from './passes/fuse-scale-conv.js';
import { fuseSkipLayerNorm } from './passes/fuse-skip-layernorm.js';
import { fuseTransposeGemm } from './passes/fuse-transpose-gemm.js';
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
  fuseActivations,
  fuseGelu,
  fuseGeluRuntime,
  fuseLayerNorm,
  fuseLayerNormRuntime,
  fuseAttention,
  fuseSkipLayerNorm,
  fusePadConv,
  fuseConvBatchNorm,
  fuseScaleConv,
  fuseGemmBatchNorm,
  fuseTransposeGemm,
  fuseMatMulAddGemm,
  deadCode,
  inferShapes,
];
