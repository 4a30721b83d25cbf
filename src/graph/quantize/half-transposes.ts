import { intsOf } from '../opset/attributes.js';
import type { Site } from './half-values.js';

/**
 * Transposes of the batch axes before a MatMul stay in f32: onnxruntime fuses the two, and 1.30 crashes as it loads a
 * model with casts to and from f16 on that way. With the cast between Transpose and MatMul it does not.
 */
export function keepBatchTransposes(order: readonly Site[]): void {
  for (const site of order) {
    const perm = site.operator === 'Transpose' ? (intsOf(site.node, 'perm') ?? []) : [];
    const batch = perm.slice(0, -2).every((from, to) => from === BigInt(to + 1));
    if (perm.length > 2 && batch && site.outputs[0]?.uses.some((use) => use.site.operator === 'MatMul'))
      site.half = false;
  }
}
