import type { StepKind } from './step-kind.js';
import { checksum } from './steps/checksum.js';
import { convert } from './steps/convert.js';
import { meta } from './steps/meta.js';
import { optimize } from './steps/optimize.js';
import { prune } from './steps/prune.js';
import { quantize } from './steps/quantize.js';
import { validate } from './steps/validate.js';

/** The registry: a line per step. */
export const STEPS: readonly StepKind[] = [convert, prune, optimize, quantize, validate, meta, checksum];

export const stepById = (id: string): StepKind | undefined => STEPS.find((step) => step.id === id);
