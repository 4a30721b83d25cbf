import { inputBytes } from '../open.js';
import { type Current, type Job, planStep, titleOf } from './one-step.js';
import { gateOf } from './recipe.js';
import type { StepEntry } from './report.js';
import { inStep, withProgress } from './steps-in-order.js';

/** Of the input. */
const LARGE_BYTES = 256 << 20;

/**
 * What each step would do, without a file: each plans on the plan of the one before it. What comes after a step whose
 * tensors are there only once it is done (quantized ones) has no sizes, nor has a step for which large plans are slow.
 */
export async function planInOrder(job: Job): Promise<readonly StepEntry[]> {
  const { original, recipe } = job;
  const entries: StepEntry[] = [];
  let current: Current | undefined = { opened: original, bytes: inputBytes(original) };
  let bytes: number | null = inputBytes(original);
  for (const [i, step] of recipe.steps.entries()) {
    const { kind } = step;
    const before: Current | undefined = current;
    const slow =
      kind.kind === 'writes' &&
      !kind.takesPlans?.(step.values, gateOf(recipe, step)) &&
      before?.since &&
      inputBytes(original) > LARGE_BYTES;
    if (kind.kind === 'looks' || !before || slow) {
      const bytesIn: number | null = bytes;
      if (kind.kind === 'writes') [bytes, current] = [null, undefined];
      entries.push({
        ...titleOf(i, step),
        ...{ outcome: 'planned', bytesIn, bytesOut: bytes, figures: {}, findings: [], seconds: 0 },
      });
      continue;
    }
    const planned = await inStep(i, step, async () => {
      const own = withProgress(job.context, i, job);
      const { current: made, entry } = await planStep(job, i, step, kind, before, own);
      return { made, entry: await entry };
    });
    entries.push({ ...planned.entry, outcome: 'planned' });
    bytes = planned.entry.bytesOut;
    current = kind.composes?.(step.values) ? planned.made : undefined;
  }
  return entries;
}
