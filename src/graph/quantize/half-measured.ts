import type { Model } from '../../core/model.js';
import { protoOf } from '../../formats/onnx/summary.js';
import type { Frame, Value } from './half-values.js';
import type { ActivationRanges } from './types.js';

/** Half of the largest f16 (65504): samples are only samples, other inputs may lead further. */
const MOST = 32752;
/** What is added to hide something is at least so large; a value past it that a mask made is one. */
const HIDES = 1e8;

/** Values of the main graph that nodes make. Those that are not f32 have no range. */
export function measurable(model: Model): readonly string[] {
  const nodes = model.graph ? (protoOf(model.graph).graph?.node ?? []) : [];
  return nodes.flatMap(({ opType, output }) =>
    opType === 'Constant' ? [] : output.filter((name) => name !== ''),
  );
}

/**
 * Marks values that were seen not to fit into f16. What masks hide something with may be as large as it likes: it becomes
 * infinite, or the largest f16, which hides as well.
 */
export function markExceeding(main: Frame, ranges: ActivationRanges): void {
  const hiding = new Set<Value>();
  const hides = (value: Value | undefined): boolean =>
    value !== undefined && (value.fit === 'mask' || hiding.has(value));
  for (const site of main.sites) {
    const masked = site.inputs.some(hides);
    for (const value of site.outputs) {
      const range = value && ranges.get(value.name);
      if (!range || value.tensor) continue;
      const ends = [Math.abs(range.min), Math.abs(range.max)];
      const large = ends.filter((end) => end > MOST);
      if (masked && large.some((end) => end >= HIDES)) hiding.add(value);
      value.exceeds = large.some((end) => !(masked && end >= HIDES));
    }
  }
}
