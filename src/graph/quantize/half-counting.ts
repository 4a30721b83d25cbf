import { onnxType } from '../../formats/onnx/dtypes.js';
import { demandOf } from './half-demand.js';
import type { Site, Value } from './half-values.js';

/** In bytes. Larger constants are weights: what is computed with them is more than counting. */
const LARGEST_FACTOR = 4096;

/**
 * Numbers that are computed from integers only, and end as integers again or as angles: sizes (Shape → Cast → Mul →
 * Floor → Cast) and positions. f16 cannot count past 2048, so they stay in f32.
 */
export function keepCounting(order: readonly Site[]): void {
  const counted = new Set<Value>();
  const angles = new Set<Site>();
  for (const site of order) {
    if (!counts(site, counted)) continue;
    for (const value of site.outputs) if (value) counted.add(value);
    if (site.operator === 'Sin' || site.operator === 'Cos') angles.add(site);
  }
  for (const site of angles) site.half = false;
  for (const site of [...order].reverse()) {
    if (!site.half || !site.outputs.some((value) => value && counted.has(value))) continue;
    const uses = site.outputs.flatMap((value) => value?.uses ?? []);
    const open = site.outputs.some((value) => value && (value.isOutput || value.exits.length > 0));
    if (!open && uses.length > 0 && uses.every((use) => toInteger(use.site) || demandOf(use) === 'float'))
      site.half = false;
  }
}

function counts(
  { kind, node, operator, inputs, outputs, frame }: Site,
  counted: ReadonlySet<Value>,
): boolean {
  if (kind === 'cast-in') return /^[iu]\d+$/.test(frame.scope.type(node.input[0]) ?? '');
  if (operator === 'Range') return outputs[0] !== undefined;
  if (kind !== 'operator') return false;
  const floats = inputs.flatMap((value) => value ?? []);
  return (
    floats.some((value) => counted.has(value)) &&
    floats.every((value) => counted.has(value) || (value.tensor?.byteLength ?? Infinity) <= LARGEST_FACTOR)
  );
}

function toInteger({ kind, node }: Site): boolean {
  if (kind !== 'cast-out') return false;
  const to = onnxType(Number(node.attribute.find(({ name }) => name === 'to')?.i ?? 0n))?.dtype;
  return /^[iu]\d+$/.test(to ?? '');
}
