import { readTensor } from '../../core/tensor.js';
import { domainOf } from '../../formats/onnx/check-node.js';
import type { GraphProto } from '../../formats/onnx/schema.js';
import type { EditNode, GraphEdit } from '../edit.js';
import { attribute, type Candidate, candidateOf, readsShapeOnly } from './static-operators.js';
import type { QuantizeSettings } from './types.js';

/** A node that works on integers in the end. */
export interface Active extends Candidate {
  /** Its outputs that are quantized; none where nothing takes them as integers and the kernel gives f32. */
  readonly outputs: readonly string[];
  /** The Relu or Clip that the range of its output makes superfluous. */
  readonly folded?: EditNode;
}

export interface StaticPlan {
  /** In the order of the graph. */
  readonly active: readonly Active[];
  /** Quantized value → the value whose range decides on its scale. */
  readonly owners: ReadonlyMap<string, string>;
  /** Values that something takes as floats: an inactive node, a sub-graph, whoever takes the outputs. */
  readonly floats: ReadonlySet<string>;
}

/**
 * Which nodes work on integers, and which values are quantized for that. Around nodes with weights, other nodes join
 * where integers come in anyway and integers are wanted behind them; everything else stays f32, the model's last
 * values included (what the runtime can give as f32 without another rounding is given so).
 */
export class Planner {
  readonly #edit: GraphEdit;
  readonly #settings: QuantizeSettings;
  /** Nodes that cut off what a zero point cuts off as well. */
  readonly #clips: ReadonlySet<EditNode>;
  readonly #consumers: ReadonlyMap<string, readonly EditNode[]>;
  /** Taken by sub-graphs, or outputs of the graph. */
  readonly #bound: ReadonlySet<string>;

  private constructor(edit: GraphEdit, settings: QuantizeSettings, clips: ReadonlySet<EditNode>) {
    this.#edit = edit;
    this.#settings = settings;
    this.#clips = clips;
    this.#consumers = edit.consumers();
    this.#bound = new Set([...edit.outputNames, ...edit.nodes.flatMap((node) => [...capturedBy(node)])]);
  }

  static async of(edit: GraphEdit, settings: QuantizeSettings): Promise<Planner> {
    const clips = new Set<EditNode>();
    // Around a zero point in the middle there are integers for the numbers that a Relu takes away.
    if (settings.symmetric !== true)
      for (const node of edit.nodes) if (await cutsAroundZero(edit, node)) clips.add(node);
    return new Planner(edit, settings, clips);
  }

  /** `refused`: nodes that were found not to be fit. */
  plan(refused: ReadonlySet<EditNode> = new Set()): StaticPlan {
    const weighted = new Set<string>();
    const candidates = this.#edit.nodes.flatMap((node) => {
      const found = refused.has(node) ? undefined : candidateOf(this.#edit, node, this.#settings);
      const learned = node.input.some((name) => weighted.has(name));
      // Products that no weight has a part in are of positions and the like, and grow with the length of the input.
      const candidate =
        found?.kind === 'compute' && found.constants.length === 0 && !learned ? undefined : found;
      const hands = learned || (candidate?.kind === 'compute' && candidate.constants.length > 0);
      if (hands && !readsShapeOnly(node)) for (const name of node.output) weighted.add(name);
      return candidate ? [{ ...candidate, ...this.#resultOf(candidate) }] : [];
    });
    const demanded = new Set(candidates.flatMap(({ kind, inputs }) => (kind === 'compute' ? inputs : [])));
    const possible = new Set(demanded);
    const feasible = candidates.filter(({ kind, inputs, results }) => {
      if (kind !== 'compute' && !inputs.every((name) => possible.has(name))) return false;
      for (const name of results) possible.add(name);
      return true;
    });
    const wanted = new Set(demanded);
    const chosen = [...feasible].reverse().filter(({ kind, inputs, results }) => {
      if (kind !== 'compute' && !results.some((name) => wanted.has(name))) return false;
      for (const name of inputs) wanted.add(name);
      return true;
    });
    const active = chosen.reverse().map(({ results, clip, ...candidate }): Active => {
      const all = candidate.kind !== 'compute' || this.#needsIntegers(candidate.node);
      const outputs = all || results.some((name) => wanted.has(name)) ? results : [];
      return { ...candidate, outputs, ...(clip && outputs.length > 0 ? { folded: clip } : {}) };
    });
    return { active, owners: this.#owners(active), floats: this.#floats(active) };
  }

  /** What the outputs of a node are called once a Relu behind it is folded into it. */
  #resultOf({ node, kind }: Candidate): { readonly results: readonly string[]; readonly clip?: EditNode } {
    const results = node.output.filter((name) => name !== '');
    const [output = ''] = results;
    const [clip] = this.#consumers.get(output) ?? [];
    // A node that passes on has the scale of its input, which may reach below zero.
    const folds =
      kind !== 'passing' && results.length === 1 && clip && this.#clips.has(clip) && this.#onlyFor(output);
    return folds && clip.input[0] === output ? { results: [...clip.output], clip } : { results };
  }

  /**
   * Convolutions have no kernel that gives floats. Products have, but onnxruntime does not choose it where a Relu or
   * Clip comes next.
   */
  #needsIntegers(node: EditNode): boolean {
    const [output = ''] = node.output;
    const next = this.#consumers.get(output) ?? [];
    return node.opType === 'Conv' || next.some(({ opType }) => opType === 'Relu' || opType === 'Clip');
  }

  #onlyFor(name: string): boolean {
    return this.#consumers.get(name)?.length === 1 && !this.#bound.has(name);
  }

  #owners(active: readonly Active[]): ReadonlyMap<string, string> {
    const owners = new Map<string, string>();
    for (const { kind, node, inputs, outputs } of active) {
      for (const name of inputs) if (!owners.has(name)) owners.set(name, name);
      const [input = ''] = inputs;
      if (kind !== 'passing') for (const name of outputs) owners.set(name, name);
      else if (node.opType === 'Relu' && owners.get(input) === input && this.#onlyFor(input))
        // What a Relu takes away needs no integers: both sides have the scale of what is left.
        for (const name of [input, ...outputs]) owners.set(name, outputs[0] ?? input);
      else for (const name of outputs) owners.set(name, owners.get(input) ?? input);
    }
    return owners;
  }

  #floats(active: readonly Active[]): ReadonlySet<string> {
    const integer = new Set(active.map(({ node }) => node));
    const folded = new Set(active.map(({ folded: clip }) => clip));
    const made = new Set(active.flatMap(({ outputs }) => outputs));
    const floats = new Set(this.#bound);
    for (const node of this.#edit.nodes)
      if (!integer.has(node) && !folded.has(node))
        for (const name of node.input) if (!readsShapeOnly(node) || !made.has(name)) floats.add(name);
    return floats;
  }
}

/** Relu, and Clip to constant bounds around zero: no value of its output is cut off that is not cut off already. */
async function cutsAroundZero(edit: GraphEdit, node: EditNode): Promise<boolean> {
  if (domainOf(node.domain) !== '') return false;
  if (node.opType === 'Relu') return true;
  if (node.opType !== 'Clip') return false;
  const bound = async (at: 1 | 2, name: string, open: number): Promise<number> => {
    const input = node.input[at] ?? '';
    if (input === '') return attribute(node, name)?.f ?? open;
    const tensor = edit.isConstant(input) ? edit.tensor(input) : undefined;
    if (tensor?.info.dtype !== 'f32' || tensor.byteLength !== 4) return Number.NaN;
    const bytes = await readTensor(tensor);
    return new DataView(bytes.buffer, bytes.byteOffset).getFloat32(0, true);
  };
  const low = await bound(1, 'min', Number.NEGATIVE_INFINITY);
  const high = await bound(2, 'max', Number.POSITIVE_INFINITY);
  return low <= 0 && high >= 0;
}

/** Names that the sub-graphs of a node take, from inside or outside. */
function* capturedBy(node: EditNode): Generator<string> {
  for (const { g, graphs } of node.attribute)
    for (const graph of g ? [g, ...graphs] : graphs) yield* takenBy(graph);
}

function* takenBy(graph: GraphProto): Generator<string> {
  for (const { name } of graph.output) yield name ?? '';
  for (const node of graph.node) {
    yield* node.input;
    yield* capturedBy(node);
  }
}
