import { intsOf } from '../opset/attributes.js';
import type { Site } from './half-values.js';

/**
 * Transposes of the batch axes before a MatMul stay in f32: onnxruntime 1.30 crashes (SIGSEGV) as it loads f16 models
 * that have them, at full optimization and not below; other permutations load. With the cast between Transpose and MatMul
 * none did. Tried with three and four axes, on both sides of the MatMul; why it crashes was not looked into.
 */
export function keepBatchTransposes(order: readonly Site[]): void {
  for (const site of order) {
    const perm = site.operator === 'Transpose' ? (intsOf(site.node, 'perm') ?? []) : [];
    const batch = perm.slice(0, -2).every((from, to) => from === BigInt(to + 1));
    if (perm.length > 2 && batch && site.outputs[0]?.uses.some((use) => use.site.operator === 'MatMul'))
      site.half = false;
  }
}
