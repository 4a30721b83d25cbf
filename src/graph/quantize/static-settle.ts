import type { EditNode, GraphEdit } from '../edit.js';
import { type Active, Planner, type StaticPlan } from './static-plan.js';
import type { StaticNumbers } from './static-qdq.js';
import { type IntegerTypes, StaticTensors, type StoredScale, type StoredTensor } from './static-tensors.js';
import type { ActivationRanges, QuantizedTensor, QuantizeSettings } from './types.js';

export interface Settled {
  readonly plan: StaticPlan;
  readonly quantized: readonly QuantizedTensor[];
  readonly numbers: StaticNumbers;
}

/** Plans until every node that is left has all its numbers: ranges of f32 values, weights without NaN. */
export async function settle(
  edit: GraphEdit,
  settings: QuantizeSettings,
  types: IntegerTypes,
  ranges: ActivationRanges,
  scheme: string,
): Promise<Settled> {
  const planner = await Planner.of(edit, settings);
  const refused = new Set<EditNode>();
  for (;;) {
    const plan = planner.plan(refused);
    const before = refused.size;
    const known = (name: string): boolean => ranges.has(plan.owners.get(name) ?? '');
    for (const { node, inputs, outputs } of plan.active)
      if (![...inputs, ...outputs].every(known)) refused.add(node);
    if (refused.size > before) continue;
    const made = await numbersOf(plan, new StaticTensors(edit, types, scheme), settings, ranges, refused);
    if (refused.size === before) return { plan, ...made };
  }
}

async function numbersOf(
  plan: StaticPlan,
  tensors: StaticTensors,
  settings: QuantizeSettings,
  ranges: ActivationRanges,
  refused: Set<EditNode>,
): Promise<Omit<Settled, 'plan'>> {
  const byOwner = new Map<string, StoredScale>();
  const scales = new Map<string, StoredScale>();
  for (const [name, owner] of plan.owners) {
    const range = ranges.get(owner);
    if (!range) continue;
    const scale = byOwner.get(owner) ?? tensors.scale(owner, range);
    byOwner.set(owner, scale);
    scales.set(name, scale);
  }
  const constants = new Map<EditNode, ReadonlyMap<string, StoredTensor>>();
  for (const active of plan.active) {
    const found = await constantsOf(active, tensors, scales, settings);
    if (found) constants.set(active.node, found);
    else refused.add(active.node);
  }
  return { quantized: tensors.quantized, numbers: { scales, constants } };
}

async function constantsOf(
  { kind, inputs, constants, axis, bias }: Active,
  tensors: StaticTensors,
  scales: ReadonlyMap<string, StoredScale>,
  { perChannel }: QuantizeSettings,
): Promise<ReadonlyMap<string, StoredTensor> | undefined> {
  const stored = new Map<string, StoredTensor>();
  const input = scales.get(inputs[0] ?? '')?.value ?? 1;
  for (const name of constants) {
    const added = bias === undefined ? undefined : { name: bias, input };
    const made =
      kind === 'compute'
        ? await tensors.weight(name, perChannel ? axis : undefined, added)
        : await tensors.constant(name);
    if (!made) return undefined;
    stored.set(name, made);
    if (bias !== undefined) stored.set(bias, await tensors.bias(bias, input, made));
  }
  return stored;
}
