import { type DType, elementCount } from '../core/dtype.js';
import { type Model, tensorMap } from '../core/model.js';
import type { TensorSource } from '../core/tensor.js';
import { onnxType, onnxTypeOf } from '../formats/onnx/dtypes.js';
import { graphsOf, initializersOf } from '../formats/onnx/graphs.js';
import type {
  AttributeProto,
  GraphProto,
  ModelProto,
  NodeProto,
  TensorProto,
  ValueInfoProto,
} from '../formats/onnx/schema.js';
import { protoOf, summarize } from '../formats/onnx/summary.js';
import { canCast, castTensor } from '../kernels/cast.js';
import { nodeProto } from './build.js';
import { namesOf } from './opset/names.js';

/** Operator set from which Cast knows a type (docs/Changelog.md: Cast-6, -13, -19). Others stay refused. */
const CAST_SINCE = new Map<DType, number>([
  ['f64', 6],
  ['f32', 6],
  ['f16', 6],
  ['bf16', 13],
  ['f8_e4m3fn', 19],
  ['f8_e5m2', 19],
  ['f8_e4m3fnuz', 19],
  ['f8_e5m2fnuz', 19],
]);

/**
 * Stores initializers as another number type while the graph goes on computing with the one it has: a Cast node turns
 * each back before it is used. What cannot be stored so stays as it is: graph outputs, inputs with a default, sparse
 * initializers, types that the graph's Cast does not know. Names of tensors stay.
 */
export function storeAs(
  model: Model,
  dtype: DType,
  select: (tensor: TensorSource) => boolean,
  cast: (tensor: TensorSource, dtype: DType) => TensorSource = castTensor,
): Model {
  if (!model.graph) return model;
  const proto = protoOf(model.graph);
  const version = model.graph.opsets.get('') ?? 0;
  const knows = (type: DType): boolean => version >= (CAST_SINCE.get(type) ?? Number.POSITIVE_INFINITY);
  const target = onnxTypeOf(dtype);
  if (!target || !knows(dtype)) return model;

  const tensors = tensorMap(model);
  const bound = boundNames(proto);
  const stored = new Map<TensorProto, TensorSource>();
  for (const initializer of initializersOf(proto)) {
    const tensor = tensors.get(initializer.name);
    if (!tensor || 'sparse' in initializer || bound.has(initializer.tensor.name ?? '')) continue;
    const from = tensor.info.dtype;
    if (from === dtype || !select(tensor) || !knows(from) || !canCast(from, dtype)) continue;
    stored.set(initializer.tensor, cast(tensor, dtype));
  }
  if (stored.size === 0) return model;

  const { taken } = namesOf(proto);
  const next = new Rewrite(new Set(stored.keys()), target.id, taken).model(proto);
  const casts = new Map([...stored.values()].map((tensor) => [tensor.info.name, tensor]));
  return {
    ...model,
    tensors: model.tensors.map((tensor) => casts.get(tensor.info.name) ?? tensor),
    graph: summarize(next),
  };
}

/** Weights by their size: scalars steer the graph, and rounding them gains nothing. */
export const isWeight = ({ info }: TensorSource): boolean => elementCount(info.shape, info.name) > 1;

/**
 * Values whose type is promised to somebody: outputs of graphs, and inputs, which an initializer only defaults. Before
 * IR 4 every initializer is an input as well, which promises nothing.
 */
function boundNames(proto: ModelProto): Set<string> {
  const names = new Set<string>();
  const formal = (proto.irVersion ?? 0n) < 4n;
  for (const { graph } of graphsOf(proto))
    for (const { name } of formal ? graph.output : [...graph.input, ...graph.output]) names.add(name ?? '');
  return names;
}

class Rewrite {
  readonly #stored: ReadonlySet<TensorProto>;
  readonly #type: number;
  readonly #taken: Set<string>;

  constructor(stored: ReadonlySet<TensorProto>, type: number, taken: ReadonlySet<string>) {
    this.#stored = stored;
    this.#type = type;
    this.#taken = new Set(taken);
  }

  model(proto: ModelProto): ModelProto {
    return {
      ...proto,
      graph: proto.graph && this.#graph(proto.graph, new Map()),
      functions: proto.functions.map((body) => ({ ...body, node: this.#nodes(body.node, new Map()) })),
    };
  }

  /** `outer`: what values of the graphs around are called now. */
  #graph(graph: GraphProto, outer: ReadonlyMap<string, string>): GraphProto {
    const scope = new Map(outer);
    for (const name of definedIn(graph)) scope.delete(name);
    const casts: NodeProto[] = [];
    const own = new Set<string>();
    const initializer = graph.initializer.map((tensor) => {
      if (!this.#stored.has(tensor)) return tensor;
      const name = tensor.name ?? '';
      const before = tensor.dataType ?? 0;
      const back = this.#fresh(`${name}_${onnxType(before)?.dtype ?? before}`);
      scope.set(name, back);
      own.add(name);
      casts.push(
        nodeProto(
          {
            op: 'Cast',
            name: this.#fresh(`Cast_${name}`),
            inputs: [name],
            outputs: [back],
            attributes: { to: BigInt(before) },
          },
          casts.length,
        ),
      );
      return { ...tensor, dataType: this.#type };
    });
    return {
      ...graph,
      initializer,
      input: graph.input.map((value) => (own.has(value.name ?? '') ? this.#retyped(value) : value)),
      valueInfo: graph.valueInfo.filter(({ name }) => !own.has(name ?? '')),
      node: [...casts, ...this.#nodes(graph.node, scope)],
    };
  }

  #retyped(value: ValueInfoProto): ValueInfoProto {
    const { type } = value;
    if (!type?.tensorType) return value;
    return { ...value, type: { ...type, tensorType: { ...type.tensorType, elemType: this.#type } } };
  }

  #nodes(nodes: readonly NodeProto[], scope: ReadonlyMap<string, string>): readonly NodeProto[] {
    return nodes.map((node, index) => {
      const inner = node.attribute.some(({ g, graphs }) => g || graphs.length > 0);
      if (!inner && !node.input.some((name) => scope.has(name))) return node;
      return {
        ...node,
        input: node.input.map((name) => scope.get(name) ?? name),
        attribute: inner ? node.attribute.map((one) => this.#attribute(one, scope)) : node.attribute,
        // Tensors of sub-graphs are named by the place of their node, which the new nodes would shift.
        ...(inner && !node.name ? { name: `${node.opType ?? 'node'}_${index}` } : {}),
      };
    });
  }

  #attribute(attribute: AttributeProto, scope: ReadonlyMap<string, string>): AttributeProto {
    return {
      ...attribute,
      g: attribute.g && this.#graph(attribute.g, scope),
      graphs: attribute.graphs.map((graph) => this.#graph(graph, scope)),
    };
  }

  #fresh(wanted: string): string {
    let name = wanted;
    for (let count = 2; this.#taken.has(name); count++) name = `${wanted}_${count}`;
    this.#taken.add(name);
    return name;
  }
}

function* definedIn(graph: GraphProto): Generator<string> {
  for (const { name } of graph.input) yield name ?? '';
  for (const { name } of graph.initializer) yield name ?? '';
  for (const { values } of graph.sparseInitializer) yield values?.name ?? '';
  for (const { output } of graph.node) yield* output;
}
