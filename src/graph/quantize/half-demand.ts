import { parameterAt } from '../opset/history.js';
import { isBlind, staysFloat } from './half-operators.js';
import type { Site, Use, Value } from './half-values.js';

/** The type in which a value is taken; `any`: as it comes. */
export type Demand = 'half' | 'float' | 'any';

export function demandOf({ site, index }: Use): Demand {
  switch (site.kind) {
    case 'cast-out':
      return 'any';
    case 'border':
      return site.wires.some((wire) => wire.input === index && wire.half) ? 'half' : 'float';
    case 'operator': {
      if (isBlind(site.operator)) return 'any';
      const parameter = site.signature && parameterAt(site.signature.inputs, index);
      if (parameter?.variable === undefined || staysFloat(site.operator, index)) return 'float';
      return site.half ? 'half' : 'float';
    }
    default:
      return 'float';
  }
}

/** In which types a value is taken, by nodes and by what its graph gives; outputs of the main graph are left out. */
export const demandsOf = (value: Value): readonly Demand[] => [
  ...value.uses.map(demandOf),
  ...value.exits.map(({ half }): Demand => (half ? 'half' : 'float')),
];

/** Whether an operator that computes in half gives this result in half: if an input of the same variable is. */
export function givesHalf(site: Site, output: number): boolean {
  const { signature } = site;
  if (!site.half || !signature) return false;
  const variable = parameterAt(signature.outputs, output)?.variable;
  if (variable === undefined) return false;
  return site.inputs.some(
    (value, i) =>
      value !== undefined &&
      parameterAt(signature.inputs, i)?.variable === variable &&
      !staysFloat(site.operator, i),
  );
}
