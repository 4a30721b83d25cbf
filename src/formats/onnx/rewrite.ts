import type {
  AttributeProto,
  FunctionProto,
  GraphProto,
  ModelProto,
  NodeProto,
  SparseTensorProto,
  TensorProto,
} from './schema.js';

/** What becomes of the tensors of a model. Each gives the same object back to leave it alone. */
export interface TensorRewrite {
  readonly initializer: (tensor: TensorProto) => TensorProto | { readonly sparse: SparseTensorProto };
  /** A dense tensor takes the place of a sparse one, as a sparse one may of an initializer. */
  readonly sparseInitializer: (
    sparse: SparseTensorProto,
  ) => SparseTensorProto | { readonly dense: TensorProto };
  /** Tensors in attributes, in training graphs, and the parts of sparse tensors. */
  readonly other: (tensor: TensorProto) => TensorProto;
}

/** A copy of the model with its tensors rewritten; what does not change is shared with the original. */
export function rewriteTensors(model: ModelProto, rewrite: TensorRewrite): ModelProto {
  const others: TensorRewrite = {
    initializer: rewrite.other,
    sparseInitializer: (sparse) => sparseParts(sparse, rewrite.other),
    other: rewrite.other,
  };
  return {
    ...model,
    graph: model.graph && rewriteGraph(model.graph, rewrite),
    functions: sameOr(model.functions, (body): FunctionProto => {
      const node = rewriteNodes(body.node, rewrite);
      return node === body.node ? body : { ...body, node };
    }),
    trainingInfo: sameOr(model.trainingInfo, (info) => ({
      ...info,
      initialization: info.initialization && rewriteGraph(info.initialization, others),
      algorithm: info.algorithm && rewriteGraph(info.algorithm, others),
    })),
  };
}

/** The list itself if no item changes. */
function sameOr<T>(list: readonly T[], change: (item: T) => T): readonly T[] {
  let changed = false;
  const next = list.map((item) => {
    const made = change(item);
    changed ||= made !== item;
    return made;
  });
  return changed ? next : list;
}

function rewriteGraph(graph: GraphProto, rewrite: TensorRewrite): GraphProto {
  const dense: TensorProto[] = [];
  const sparse: SparseTensorProto[] = [];
  const rewritten = graph.initializer.flatMap((tensor) => {
    const next = rewrite.initializer(tensor);
    if (!('sparse' in next)) return [next];
    sparse.push(next.sparse);
    return [];
  });
  const sparseInitializer = graph.sparseInitializer.flatMap((one) => {
    const next = rewrite.sparseInitializer(one);
    if (!('dense' in next)) return [sparseParts(next, rewrite.other)];
    dense.push(next.dense);
    return [];
  });
  return {
    ...graph,
    initializer: [...rewritten, ...dense],
    sparseInitializer: [...sparseInitializer, ...sparse],
    node: rewriteNodes(graph.node, rewrite),
  };
}

const rewriteNodes = (nodes: readonly NodeProto[], rewrite: TensorRewrite): readonly NodeProto[] =>
  sameOr(nodes, (node) => {
    const attribute = sameOr(node.attribute, (one) => rewriteAttribute(one, rewrite));
    return attribute === node.attribute ? node : { ...node, attribute };
  });

function rewriteAttribute(attribute: AttributeProto, rewrite: TensorRewrite): AttributeProto {
  const { t, g, tensors, graphs, sparseTensor, sparseTensors } = attribute;
  if (!t && !g && !sparseTensor && tensors.length + graphs.length + sparseTensors.length === 0)
    return attribute;
  const sparse = (one: SparseTensorProto): SparseTensorProto => sparseParts(one, rewrite.other);
  return {
    ...attribute,
    t: t && rewrite.other(t),
    g: g && rewriteGraph(g, rewrite),
    tensors: tensors.map(rewrite.other),
    graphs: graphs.map((graph) => rewriteGraph(graph, rewrite)),
    sparseTensor: sparseTensor && sparse(sparseTensor),
    sparseTensors: sparseTensors.map(sparse),
  };
}

function sparseParts(
  sparse: SparseTensorProto,
  other: (tensor: TensorProto) => TensorProto,
): SparseTensorProto {
  const values = sparse.values && other(sparse.values);
  const indices = sparse.indices && other(sparse.indices);
  return values === sparse.values && indices === sparse.indices ? sparse : { ...sparse, values, indices };
}
