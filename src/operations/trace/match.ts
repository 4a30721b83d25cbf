import type { Model } from '../../core/model.js';
import { MlserError } from '../../errors.js';
import { domainOf } from '../../formats/onnx/check-node.js';
import type { NodeProto } from '../../formats/onnx/schema.js';
import { type MadeValue, madeValues } from '../../graph/made-values.js';
import { nearestNames } from '../../graph/nearest-names.js';
import type { MatchedBy } from './report.js';

/** A value of the reference that stands for a value of the model. */
export interface Counterpart {
  readonly name: string;
  readonly by: MatchedBy;
}
export type Matches = Map<string, Counterpart>;

/** What is matched before anything is run: names, and what has the same place in both graphs. */
export interface Matched {
  readonly matches: Matches;
  /** Values of the reference that stand for none yet. */
  readonly left: readonly MadeValue[];
}

/**
 * Counterparts of the values that nodes make: by `given` names, by equal names, then by structure (the same operator
 * over counterparts of the same inputs, weights whatever they are), and graph outputs in their order where no name is
 * shared. Every value of the reference stands for one value at most.
 */
export function matchValues(model: Model, reference: Model, given: ReadonlyMap<string, string>): Matched {
  const own = madeValues(model);
  const others = new Map(madeValues(reference).map((value) => [value.name, value]));
  checkGiven(given, own, others, model, reference);
  const matches: Matches = new Map();
  const used = new Set<string>(given.values());
  const add = (name: string, counterpart: string, by: MatchedBy): void => {
    used.add(counterpart);
    matches.set(name, { name: counterpart, by });
  };
  for (const { name, op } of own) {
    const wanted = given.get(name);
    const same = others.get(name);
    if (wanted !== undefined) add(name, wanted, 'map');
    else if (same && !used.has(name) && !coincides(name, op, same.op)) add(name, name, 'name');
  }
  const inputs = inputsInOrder(model, reference, given);
  const structure = new Structure(reference, used);
  const origin = originsIn(own);
  const other = (input: string): string | undefined =>
    [input, origin(input)]
      .map((one) => inputs.get(one) ?? matches.get(one)?.name)
      .find((found) => found !== undefined);
  for (const { name, node, output } of own) {
    if (matches.has(name)) continue;
    const found = structure.find(node, output, other);
    if (found !== undefined) add(name, found, 'structure');
  }
  const outputs = [model, reference].map((one) => one.graph?.outputs.map(({ name }) => name) ?? []);
  const [mine = [], theirs = []] = outputs;
  if (mine.length === theirs.length)
    for (const [i, name] of mine.entries()) {
      const other = theirs[i];
      if (other === undefined || matches.has(name) || used.has(other) || !others.has(other)) continue;
      if (own.some((value) => value.name === name)) add(name, other, 'structure');
    }
  return { matches, left: [...others.values()].filter(({ name }) => !used.has(name)) };
}

/** Exporters number their values: an equal number of another operator says nothing. */
const coincides = (name: string, op: string, other: string): boolean =>
  /^\W*\d+\W*$/.test(name) && op !== other;

/** Inputs of the reference by those of the model: given, by name, or in order where no name is shared. */
export function inputsInOrder(
  model: Model,
  reference: Model,
  given: ReadonlyMap<string, string>,
): ReadonlyMap<string, string> {
  const [own, others] = [model, reference].map((one) => one.graph?.inputs.map(({ name }) => name) ?? []);
  if (!own || !others) return new Map();
  const known = new Set(others);
  const pairs = own.flatMap((name): [string, string][] => {
    const other = given.get(name) ?? name;
    return known.has(other) ? [[name, other]] : [];
  });
  if (pairs.length > 0 || own.length !== others.length) return new Map(pairs);
  return new Map(own.map((name, i) => [name, others[i] ?? '']));
}

function checkGiven(
  given: ReadonlyMap<string, string>,
  own: readonly MadeValue[],
  others: ReadonlyMap<string, MadeValue>,
  model: Model,
  reference: Model,
): void {
  const inputs = ({ graph }: Model): readonly string[] => graph?.inputs.map(({ name }) => name) ?? [];
  const mine = new Set([...own.map(({ name }) => name), ...inputs(model)]);
  const theirs = new Set([...others.keys(), ...inputs(reference)]);
  for (const [from, to] of given)
    for (const [name, names, whose] of [
      [from, mine, 'model'],
      [to, theirs, 'reference'],
    ] as const) {
      if (names.has(name)) continue;
      const near = nearestNames(name, names).map((other) => JSON.stringify(other));
      throw new MlserError(
        'E_NOT_FOUND',
        `--map ${from}=${to}: the ${whose} has no value ${JSON.stringify(name)}`,
        {
          details: { value: name },
          ...(near.length > 0 ? { hint: `the nearest names are ${near.join(', ')}` } : {}),
        },
      );
    }
}

/** They hand on what they take, rounded or in another type: structure is looked for behind them. */
const HANDING_ON = new Set(['Identity', 'Cast', 'QuantizeLinear', 'DequantizeLinear']);

/** Where values come from that only hand on another one. */
function originsIn(values: readonly MadeValue[]): (name: string) => string {
  const origins = new Map<string, string>();
  for (const { name, node } of values) {
    const [first = ''] = node.input;
    if (HANDING_ON.has(node.opType ?? '')) origins.set(name, origins.get(first) ?? first);
  }
  return (name) => origins.get(name) ?? name;
}

/** The reference's nodes by operator and inputs. */
class Structure {
  readonly #nodes = new Map<string, NodeProto[]>();
  readonly #used: ReadonlySet<string>;
  /** What flows: anything else that a node takes is a weight, or made from weights. */
  readonly #flowing: ReadonlySet<string>;
  readonly #origin: (name: string) => string;

  constructor(reference: Model, used: ReadonlySet<string>) {
    this.#used = used;
    const values = madeValues(reference);
    const flowing = new Set(reference.graph?.inputs.map(({ name }) => name));
    for (const { name, node } of values)
      if (node.input.some((input) => flowing.has(input))) flowing.add(name);
    this.#flowing = flowing;
    this.#origin = originsIn(values);
    for (const node of new Set(values.map((value) => value.node))) {
      const inputs = node.input.filter((name) => flowing.has(name)).map(this.#origin);
      if (inputs.length === 0) continue;
      const key = keyOf(node, inputs);
      const list = this.#nodes.get(key);
      if (list) list.push(node);
      else this.#nodes.set(key, [node]);
    }
  }

  /** The one free value that the same operator makes from the counterparts of what this node takes. */
  find(node: NodeProto, output: number, other: (input: string) => string | undefined): string | undefined {
    const inputs = node.input.flatMap((name) => {
      const found = other(name);
      return found !== undefined && this.#flowing.has(found) ? [this.#origin(found)] : [];
    });
    if (inputs.length === 0) return undefined;
    const found = (this.#nodes.get(keyOf(node, inputs)) ?? []).flatMap((one) => one.output[output] ?? []);
    const free = found.filter((name) => name !== '' && !this.#used.has(name));
    // Twins (heads that take the same value) are told apart by nothing.
    return free.length === 1 && found.length === 1 ? free[0] : undefined;
  }
}

const keyOf = ({ domain, opType }: NodeProto, inputs: readonly string[]): string =>
  JSON.stringify([domainOf(domain), opType, inputs]);
