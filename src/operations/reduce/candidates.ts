import type { Model } from '../../core/model.js';
import type { NodeProto } from '../../formats/onnx/schema.js';
import { protoOf } from '../../formats/onnx/summary.js';
import { takenBy } from '../../graph/captures.js';
import { inputsOfNodes } from '../../graph/extract.js';
import { sortedNodes } from '../../graph/made-values.js';

/** Nodes of a graph that are tried alone, and where they begin and end. */
export interface Candidate {
  readonly nodes: ReadonlySet<NodeProto>;
  /** How many they are, constants apart. */
  readonly count: number;
  readonly inputs: readonly string[];
  /** None: there is nothing that could be looked at. */
  readonly outputs: readonly string[];
  /** The same for the same nodes and outputs. */
  readonly key: string;
}

/** Values at which a graph may be cut. */
export type MayBeCut = (name: string) => boolean;

const isConstant = ({ opType, input }: NodeProto): boolean => opType === 'Constant' && input.length === 0;

/** The nodes of a graph that can be left out, and the graphs that the others make. */
export class Candidates {
  /** In an order in which they can run. Constants are no items: they go with those who take them. */
  readonly items: readonly NodeProto[];
  readonly #model: Model;
  readonly #mayBeCut: MayBeCut;
  readonly #places: ReadonlyMap<NodeProto, number>;
  readonly #makers = new Map<string, NodeProto>();
  /** Values that something takes, or that the graph gives. */
  readonly #used = new Set<string>();
  readonly #given: ReadonlySet<string>;

  constructor(model: Model, mayBeCut: MayBeCut) {
    this.#model = model;
    this.#mayBeCut = mayBeCut;
    const nodes = sortedNodes(model);
    this.items = nodes.filter((node) => !isConstant(node));
    this.#places = new Map(nodes.map((node, i) => [node, i]));
    for (const node of nodes) {
      for (const name of node.output) if (name !== '') this.#makers.set(name, node);
      for (const name of takenBy(node)) this.#used.add(name);
    }
    const graph = model.graph && protoOf(model.graph).graph;
    this.#given = new Set(graph?.output.flatMap(({ name }) => name ?? []));
    for (const name of this.#given) this.#used.add(name);
  }

  /**
   * The graph of these nodes. What they need and nobody among them makes becomes an input; where the graph cannot be
   * cut, the node before comes along. What nobody among them turns into something else that can be looked at becomes an
   * output, as do the graph's own outputs, unless only `outputs` are wanted.
   */
  of(kept: readonly NodeProto[], outputs?: readonly string[]): Candidate {
    const nodes = new Set(kept);
    const waiting = [...kept];
    for (let node = waiting.pop(); node; node = waiting.pop())
      for (const name of takenBy(node)) {
        const maker = this.#makers.get(name);
        if (!maker || nodes.has(maker) || (!isConstant(maker) && this.#mayBeCut(name))) continue;
        nodes.add(maker);
        waiting.push(maker);
      }
    const sorted = this.items.filter((node) => nodes.has(node));
    const ends = outputs ?? this.#endsOf(sorted);
    return {
      ...{ nodes, count: sorted.length, outputs: ends },
      inputs: inputsOfNodes(this.#model, nodes),
      key: `${sorted.map((node) => this.#places.get(node)).join()}:${ends.join()}`,
    };
  }

  #endsOf(nodes: readonly NodeProto[]): readonly string[] {
    /** Values from which a node makes something that can be looked at instead. */
    const passed = new Set<string>();
    for (const node of nodes)
      if (node.output.some((name) => this.#isEnd(name))) for (const name of takenBy(node)) passed.add(name);
    return nodes.flatMap((node) => {
      const ends = node.output.filter(
        (name) => this.#isEnd(name) && (this.#given.has(name) || !passed.has(name)),
      );
      const wanted = ends.filter((name) => this.#used.has(name));
      // Optional results that nobody wanted before are not wanted now; but every node makes something.
      const first = node.output.some((name) => this.#used.has(name)) ? [] : ends.slice(0, 1);
      return wanted.length > 0 ? wanted : first;
    });
  }

  #isEnd(name: string): boolean {
    return name !== '' && this.#mayBeCut(name);
  }

  /** The nodes among these that some values (the last node's, if none are named) need. */
  behind(kept: readonly NodeProto[], outputs?: readonly string[]): readonly NodeProto[] {
    const makers = new Map(kept.flatMap((node) => node.output.map((name) => [name, node] as const)));
    const last = kept.at(-1);
    const waiting = outputs ? outputs.flatMap((name) => makers.get(name) ?? []) : last ? [last] : [];
    const needed = new Set<NodeProto>();
    for (let node = waiting.pop(); node; node = waiting.pop()) {
      if (needed.has(node)) continue;
      needed.add(node);
      for (const name of takenBy(node)) {
        const maker = makers.get(name);
        if (maker) waiting.push(maker);
      }
    }
    return kept.filter((node) => needed.has(node));
  }
}
