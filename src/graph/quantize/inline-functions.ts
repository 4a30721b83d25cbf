import { domainOf, functionId } from '../../formats/onnx/check-node.js';
import type {
  AttributeProto,
  FunctionProto,
  GraphProto,
  ModelProto,
  NodeProto,
} from '../../formats/onnx/schema.js';
import { nodeProto } from '../build.js';
import type { FreshNames } from '../opset/constants-made.js';

/** Nodes that inlining may make; a few functions that call each other often could fill the memory. */
const LARGEST_BODY = 1 << 20;
const DEEPEST = 32;

/**
 * Puts the nodes of model-local functions where they are called, in all graphs. Functions of another operator set than
 * the model's, and those whose sub-graphs hold weights, stay calls. What nothing calls any more is left out.
 */
export function inlineFunctions(model: ModelProto, names: FreshNames): ModelProto {
  if (model.functions.length === 0 || !model.graph) return model;
  const inliner = new Inliner(model, names);
  const graph = inliner.graph(model.graph);
  if (inliner.left.size === 0) return { ...model, graph, functions: [] };
  return { ...model, graph };
}

const idOf = ({ domain, opType, overload }: NodeProto): string => functionId(domain, opType, overload);
const graphsIn = (node: NodeProto): GraphProto[] =>
  node.attribute.flatMap(({ g, graphs }) => (g ? [g, ...graphs] : graphs));

class Inliner {
  /** Functions that are still called. */
  readonly left = new Set<string>();
  readonly #bodies: ReadonlyMap<string, FunctionProto>;
  readonly #versions: ReadonlyMap<string, bigint>;
  readonly #names: FreshNames;
  #made = 0;

  constructor(model: ModelProto, names: FreshNames) {
    this.#names = names;
    this.#bodies = new Map(model.functions.map((f) => [functionId(f.domain, f.name, f.overload), f]));
    this.#versions = new Map(
      model.opsetImport.map(({ domain, version }) => [domainOf(domain), version ?? 0n]),
    );
  }

  graph(graph: GraphProto, depth = 0): GraphProto {
    return { ...graph, node: graph.node.flatMap((node) => this.#node(node, depth)) };
  }

  #node(node: NodeProto, depth: number): readonly NodeProto[] {
    const body = this.#bodies.get(idOf(node));
    if (!body) {
      if (graphsIn(node).length === 0) return [node];
      const attribute = node.attribute.map(
        (one): AttributeProto => ({
          ...one,
          g: one.g && this.graph(one.g, depth),
          graphs: one.graphs.map((graph) => this.graph(graph, depth)),
        }),
      );
      return [{ ...node, attribute }];
    }
    this.#made += body.node.length;
    if (depth >= DEEPEST || this.#made > LARGEST_BODY || !this.#fits(body)) {
      this.left.add(idOf(node));
      return [node];
    }
    return new Call(node, body, this.#names).nodes().flatMap((inner) => this.#node(inner, depth + 1));
  }

  /** Whether the body means the same among the nodes of the model. */
  #fits(body: FunctionProto): boolean {
    const used = new Set(body.node.map(({ domain }) => domainOf(domain)));
    return (
      body.opsetImport.every(
        ({ domain, version }) =>
          !used.has(domainOf(domain)) || this.#versions.get(domainOf(domain)) === version,
      ) && !body.node.some(holdsWeights)
    );
  }
}

const holdsWeights = (node: NodeProto): boolean =>
  graphsIn(node).some(
    (graph) => graph.initializer.length + graph.sparseInitializer.length > 0 || graph.node.some(holdsWeights),
  );

/** One call: formal names become those of the caller, others get names of their own. */
class Call {
  readonly #renamed = new Map<string, string>();
  readonly #given: ReadonlyMap<string, AttributeProto>;

  constructor(
    private readonly call: NodeProto,
    private readonly body: FunctionProto,
    private readonly names: FreshNames,
  ) {
    this.#given = new Map(
      [...body.attributeProto, ...call.attribute].map((attribute) => [attribute.name ?? '', attribute]),
    );
    for (const [i, name] of body.input.entries()) this.#renamed.set(name, call.input[i] ?? '');
    for (const [i, name] of body.output.entries()) {
      const wanted = call.output[i];
      if (wanted && !body.input.includes(name)) this.#renamed.set(name, wanted);
    }
  }

  nodes(): readonly NodeProto[] {
    const inner = this.body.node.map((node) => this.#node(node));
    const through = this.body.output.flatMap((name, i) => {
      const wanted = this.call.output[i];
      if (!wanted || !this.body.input.includes(name)) return [];
      return nodeProto({ op: 'Identity', inputs: [this.#name(name)], outputs: [wanted] }, i);
    });
    return [...inner, ...through];
  }

  #name(name: string): string {
    if (name === '') return '';
    const known = this.#renamed.get(name);
    if (known !== undefined) return known;
    const fresh = this.names.unique(`${this.call.name || (this.call.opType ?? '')}/${name}`);
    this.#renamed.set(name, fresh);
    return fresh;
  }

  #node(node: NodeProto): NodeProto {
    return {
      ...node,
      name: this.names.unique(`${this.call.name || (this.call.opType ?? '')}/${node.name || node.opType}`),
      input: node.input.map((name) => this.#name(name)),
      output: node.output.map((name) => this.#name(name)),
      attribute: node.attribute.flatMap((attribute) => this.#attribute(attribute) ?? []),
    };
  }

  /** An attribute of the body may be one of the call; without it, and without a default, there is none. */
  #attribute(attribute: AttributeProto): AttributeProto | undefined {
    if (attribute.refAttrName) {
      const given = this.#given.get(attribute.refAttrName);
      return given && { ...given, name: attribute.name };
    }
    const { g, graphs } = attribute;
    if (!g && graphs.length === 0) return attribute;
    return { ...attribute, g: g && this.#graph(g), graphs: graphs.map((graph) => this.#graph(graph)) };
  }

  #graph(graph: GraphProto): GraphProto {
    const named = <T extends { readonly name: string | undefined }>(list: readonly T[]): T[] =>
      list.map((one) => ({ ...one, name: this.#name(one.name ?? '') }));
    return {
      ...graph,
      node: graph.node.map((node) => this.#node(node)),
      input: named(graph.input),
      output: named(graph.output),
      valueInfo: named(graph.valueInfo),
    };
  }
}
