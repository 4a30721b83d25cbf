import { type Finding, finding } from '../../errors.js';
import type { Half } from './half-operators.js';
import { type Frame, framesOf, sitesOf, type Value } from './half-values.js';

/** What a person should know about the conversion. */
export function remarksOn(main: Frame, half: Half, casts: number): Finding[] {
  const values = [...framesOf(main)].flatMap((frame) => [...frame.values.values()]);
  return [
    ...values.flatMap((value) => onConstant(value, half)),
    ...onExceeding(values, half),
    ...onComputing(main, half, casts),
  ];
}

function onExceeding(values: readonly Value[], half: Half): Finding[] {
  const makers = values.flatMap(({ exceeds, maker }) => (exceeds && maker ? [maker.label] : []));
  if (makers.length === 0) return [];
  const what = `near or past the largest ${half} over the samples`;
  return [finding('info', 'OUT_OF_RANGE', 'graph', `${what}: f32 stays for what ${list(makers)} gives`)];
}

function onConstant(value: Value, half: Half): Finding[] {
  if (value.uses.length === 0) return [];
  const subject = value.tensor?.info.name ?? value.name;
  const takers = value.uses.map(({ site }) => site.label);
  if (value.fit === 'mask' && value.uses.some(({ site }) => site.half)) {
    const why = `values that stand for infinity become the largest ${half}`;
    return [finding('info', 'MASK_CLAMPED', subject, why)];
  }
  if (value.fit !== 'large' && value.fit !== 'tiny') return [];
  const what = value.fit === 'large' ? `has values past the largest ${half}` : `would become zero in ${half}`;
  // What is too small is mostly there to keep a divisor from zero; what is too large is a weight.
  return [
    finding(
      value.fit === 'large' ? 'warning' : 'info',
      'OUT_OF_RANGE',
      subject,
      `${what}: f32 stays for ${list(takers)}`,
    ),
  ];
}

function onComputing(main: Frame, half: Half, casts: number): Finding[] {
  const kept = new Map<string, number>();
  let computing = 0;
  for (const site of sitesOf(main)) {
    if (![...site.inputs, ...site.outputs].some(Boolean)) continue;
    if (site.half) computing++;
    else if (site.kind === 'operator' || site.kind === 'fixed')
      kept.set(site.operator, (kept.get(site.operator) ?? 0) + 1);
  }
  if (half === 'bf16')
    return [
      finding('info', 'HALF_STORED', 'graph', `weights are stored as bf16, ${casts} casts back to f32`),
    ];
  const counts = [...kept].map(([operator, count]) => (count > 1 ? `${operator} × ${count}` : operator));
  const rest = counts.length > 0 ? `; in f32: ${list(counts)}` : '';
  const text = `${computing} nodes compute in ${half}, with ${casts} casts${rest}`;
  return [finding('info', 'HALF_COMPUTED', 'graph', text)];
}

const SHOWN = 8;
const list = (items: readonly string[]): string =>
  items.length <= SHOWN
    ? items.join(', ')
    : `${items.slice(0, SHOWN).join(', ')} and ${items.length - SHOWN} more`;
