import type { Model } from '../../core/model.js';
import type { TensorSource } from '../../core/tensor.js';
import { domainOf, functionId } from '../../formats/onnx/check-node.js';
import { create, type ModelProto, type NodeProto } from '../../formats/onnx/schema.js';
import { protoOf } from '../../formats/onnx/summary.js';
import { FreshNames } from '../opset/constants-made.js';
import { inferFunction, inferGraph } from '../opset/infer.js';
import { namesOf } from '../opset/names.js';
import { sourcesOf, withProto } from '../opset.js';
import { WorkGraph } from './work-graph.js';
import type { Workshop } from './workshop.js';

/** IR version from which initializers need not be inputs. */
const FREE_INITIALIZERS = 4;

/** A model while passes rewrite it: its main graph, the graphs inside it, and what becomes of them. */
export class WorkModel {
  readonly main: WorkGraph;
  readonly shop: Workshop;
  readonly #model: Model;
  readonly #proto: ModelProto;
  readonly #initializers: ReadonlySet<TensorSource>;

  private constructor(model: Model, proto: ModelProto, shop: Workshop, main: WorkGraph) {
    this.#model = model;
    this.#proto = proto;
    this.shop = shop;
    this.main = main;
    this.#initializers = new Set(sourcesOf(model, proto).values());
  }

  static async open(model: Model): Promise<WorkModel> {
    const proto = model.graph && protoOf(model.graph);
    if (!proto?.graph) throw new Error('only graphs are optimized');
    const functions = new Set(proto.functions.map((f) => functionId(f.domain, f.name, f.overload)));
    const isOperator = ({ domain, opType, overload }: NodeProto): boolean =>
      !functions.has(functionId(domain, opType, overload));
    const sources = sourcesOf(model, proto);
    const scopes = new Map();
    const formal = Number(proto.irVersion) < FREE_INITIALIZERS;
    const isStandard = (node: NodeProto): boolean => domainOf(node.domain) === '' && isOperator(node);
    const infer = { sources, isStandard, overridable: !formal, scopes };
    inferGraph(proto.graph, undefined, infer);
    for (const body of proto.functions) inferFunction(body, infer);
    const opsets = new Map(
      proto.opsetImport.map(({ domain, version }) => [domainOf(domain), Number(version ?? 0n)]),
    );
    const names = new FreshNames(namesOf(proto).taken);
    const shop: Workshop = { names, sources, opsets, scopes, formal, isOperator };
    return new WorkModel(model, proto, shop, await WorkGraph.open(proto.graph, shop));
  }

  /** All graphs, inner ones before those around them. */
  graphs(): readonly WorkGraph[] {
    const all: WorkGraph[] = [];
    const visit = (graph: WorkGraph): void => {
      for (const node of graph.nodes) for (const body of graph.bodies(node)) visit(body);
      all.push(graph);
    };
    visit(this.main);
    return all;
  }

  /**
   * The rewritten model. Before IR 4 every initializer was an input too, which new ones are not: such a model becomes
   * IR 4, where its constants are no inputs.
   */
  finish(): Model {
    const graph = this.main.finish();
    const own = this.#proto.opsetImport.map(({ domain }) => domainOf(domain));
    const opsetImport = [
      ...this.#proto.opsetImport.map((one) => ({
        ...one,
        version: BigInt(this.shop.opsets.get(domainOf(one.domain)) ?? one.version ?? 0n),
      })),
      ...[...this.shop.opsets]
        .filter(([domain]) => !own.includes(domain))
        .map(([domain, version]) => create('OperatorSetIdProto', { domain, version: BigInt(version) })),
    ];
    const proto: ModelProto = {
      ...this.#proto,
      ...(this.shop.formal ? { irVersion: BigInt(FREE_INITIALIZERS) } : {}),
      opsetImport,
      graph,
    };
    const others = this.#model.tensors.filter((tensor) => !this.#initializers.has(tensor));
    return withProto({ ...this.#model, tensors: others }, proto, this.shop.sources);
  }
}
