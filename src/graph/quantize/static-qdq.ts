import type { EditNode, GraphEdit } from '../edit.js';
import { readsShapeOnly } from './static-operators.js';
import type { Active, StaticPlan } from './static-plan.js';
import type { StoredScale, StoredTensor } from './static-tensors.js';

/** What rewriting needs to know of the numbers. */
export interface StaticNumbers {
  /** Quantized value → its scale. */
  readonly scales: ReadonlyMap<string, StoredScale>;
  /** Weights and other constants of a node, by their old names. */
  readonly constants: ReadonlyMap<EditNode, ReadonlyMap<string, StoredTensor>>;
}

/**
 * Pairs of QuantizeLinear and DequantizeLinear around f32 operators: the form that every runtime takes, and fuses to
 * integer kernels. A value that an integer node makes keeps its name on the far side of its pair, so that everybody
 * sees the same rounded numbers and the node has one consumer, as fusing demands.
 */
export function writeQdq(edit: GraphEdit, plan: StaticPlan, numbers: StaticNumbers): void {
  const writer = new QdqWriter(edit, numbers);
  const active = new Map(plan.active.map((one) => [one.node, one]));
  const dropped = new Set(plan.active.map(({ folded }) => folded));
  const made = new Set(plan.active.flatMap(({ outputs }) => outputs));
  /** Values from elsewhere: integer nodes take their rounded copy, others the value itself. */
  const taken = [...plan.owners.keys()].filter((name) => !made.has(name));
  const copies = new Map(taken.map((name) => [name, edit.fresh(`${name}_DequantizeLinear_Output`)]));
  const pairsOf = (names: readonly string[]): readonly EditNode[] =>
    names.flatMap((name) => {
      const copy = copies.get(name);
      return copy === undefined ? [] : writer.pair(name, name, copy);
    });
  const from = new Set(edit.nodes.flatMap(({ output }) => output));
  edit.rewrite((node) => {
    if (dropped.has(node)) return [];
    const found = active.get(node);
    if (found) return writer.integer(found, copies);
    return [readsShapeOnly(node) ? writer.ofCodes(node, made) : node, ...pairsOf(node.output)];
  });
  edit.prepend([...writer.constants, ...pairsOf(taken.filter((name) => !from.has(name)))]);
}

class QdqWriter {
  readonly #edit: GraphEdit;
  readonly #numbers: StaticNumbers;
  readonly #dequantized = new Map<string, string>();
  readonly #codes = new Map<string, string>();
  /** Nodes that turn stored integers into what f32 operators take. */
  readonly constants: EditNode[] = [];

  constructor(edit: GraphEdit, numbers: StaticNumbers) {
    this.#edit = edit;
    this.#numbers = numbers;
  }

  integer({ node, outputs }: Active, copies: ReadonlyMap<string, string>): readonly EditNode[] {
    const stored = this.#numbers.constants.get(node);
    const input = node.input.map((name) => {
      const constant = stored?.get(name);
      return constant ? this.#constant(name, constant) : (copies.get(name) ?? name);
    });
    const raw = outputs.map((name) => this.#edit.fresh(`${name}_QuantizeLinear_Input`));
    return [
      { ...node, input, output: raw.length > 0 ? raw : node.output },
      ...outputs.flatMap((name, i) => this.pair(name, raw[i] ?? '', name)),
    ];
  }

  /** The node taking integers instead of the values that integer nodes make: nothing is dequantized for it. */
  ofCodes(node: EditNode, made: ReadonlySet<string>): EditNode {
    return { ...node, input: node.input.map((name) => (made.has(name) && this.#codes.get(name)) || name) };
  }

  /** `from`, rounded to the integers of a value, as `to`. */
  pair(name: string, from: string, to: string): readonly EditNode[] {
    const { scale, zeroPoint } = this.#scaleOf(name);
    const codes = this.#edit.fresh(`${name}_QuantizeLinear_Output`);
    this.#codes.set(name, codes);
    return [
      this.#edit.make({ op: 'QuantizeLinear', inputs: [from, scale, zeroPoint], outputs: [codes] }),
      this.#edit.make({ op: 'DequantizeLinear', inputs: [codes, scale, zeroPoint], outputs: [to] }),
    ];
  }

  #constant(name: string, { codes, scale, zeroPoint, axis }: StoredTensor): string {
    const known = this.#dequantized.get(codes);
    if (known !== undefined) return known;
    const output = this.#edit.fresh(`${name}_DequantizeLinear_Output`);
    this.#dequantized.set(codes, output);
    this.constants.push(
      this.#edit.make({
        op: 'DequantizeLinear',
        inputs: [codes, scale, zeroPoint],
        outputs: [output],
        ...(axis === undefined ? {} : { attributes: { axis: BigInt(axis) } }),
      }),
    );
    return output;
  }

  #scaleOf(name: string): StoredScale {
    const found = this.#numbers.scales.get(name);
    if (!found) throw new Error(`${name} has no scale`);
    return found;
  }
}
