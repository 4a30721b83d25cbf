import type { TensorSource } from '../../core/tensor.js';
import { domainOf } from '../../formats/onnx/check-node.js';
import {
  type AttributeProto,
  create,
  type FunctionProto,
  type GraphProto,
  type ModelProto,
  type NodeProto,
  type SparseTensorProto,
  type TensorProto,
} from '../../formats/onnx/schema.js';
import { FreshNames } from '../opset/constants-made.js';
import { namesOf } from '../opset/names.js';
import { allNodes, type Bodies, idOfCall, idOfFunction, inlinable } from './bodies.js';
import { copyNodes, NameScope } from './copy-nodes.js';

/** Functions that call each other twice, thirty deep, are a billion nodes: such a model keeps its functions. */
const MOST_NODES = 1_000_000;

type Sources = Map<TensorProto | SparseTensorProto, TensorSource>;

export interface Inlined {
  readonly proto: ModelProto;
  /** Calls that are replaced. */
  readonly calls: number;
}

interface Work extends Bodies {
  readonly names: FreshNames;
  readonly sources: Sources;
  calls: number;
}

/**
 * The model with the bodies of its functions in the place of their calls, also in sub-graphs and of calls inside
 * functions (IR.md, Functions). What is called no more goes. `sources` is told the tensors of copied initializers.
 */
export async function inlineCalls(proto: ModelProto, sources: Sources): Promise<Inlined> {
  const found = await inlinable(proto, sources);
  if (!proto.graph || found.bodies.size === 0 || sizeOf(proto.graph.node, found) > MOST_NODES)
    return { proto, calls: 0 };
  const work: Work = { ...found, names: new FreshNames(namesOf(proto).taken), sources, calls: 0 };
  const graph = expandGraph(proto.graph, work);
  if (work.calls === 0) return { proto, calls: 0 };
  const training = proto.trainingInfo.flatMap(({ initialization, algorithm }) => [
    ...(initialization?.node ?? []),
    ...(algorithm?.node ?? []),
  ]);
  const functions = stillCalled([...graph.node, ...training], proto.functions);
  const next = { ...proto, graph, functions };
  return { proto: { ...next, opsetImport: importsOf(next, found.opsets) }, calls: work.calls };
}

/** Nodes that calls come to. */
function sizeOf(nodes: readonly NodeProto[], { bodies }: Bodies): number {
  const known = new Map<string, number>();
  const size = (list: readonly NodeProto[]): number => {
    let sum = 0;
    for (const node of allNodes(list)) {
      const id = idOfCall(node);
      const body = bodies.get(id);
      if (!body) sum++;
      else {
        const inside = known.get(id) ?? size(body.node);
        known.set(id, inside);
        sum += inside;
      }
    }
    return sum;
  };
  return size(nodes);
}

function expandGraph(graph: GraphProto, work: Work): GraphProto {
  const node = expandNodes(graph.node, work);
  return node === graph.node ? graph : { ...graph, node };
}

function expandNodes(nodes: readonly NodeProto[], work: Work): readonly NodeProto[] {
  const before = work.calls;
  const expanded = nodes.flatMap((node, index) => {
    const body = work.bodies.get(idOfCall(node));
    const copy = body && expandCall(node, index, body, work);
    if (!copy) return [expandInside(node, work)];
    work.calls++;
    return expandNodes(copy, work);
  });
  return work.calls === before ? nodes : expanded;
}

function expandInside(node: NodeProto, work: Work): NodeProto {
  if (!node.attribute.some(({ g, graphs }) => g || graphs.length > 0)) return node;
  return {
    ...node,
    attribute: node.attribute.map((one) => ({
      ...one,
      g: one.g && expandGraph(one.g, work),
      graphs: one.graphs.map((graph) => expandGraph(graph, work)),
    })),
  };
}

/** The body for one call; undefined where an absent input would have to be a result. */
function expandCall(
  call: NodeProto,
  index: number,
  body: FunctionProto,
  work: Work,
): readonly NodeProto[] | undefined {
  const scope = new NameScope();
  const absent = new Set(body.input.filter((_, i) => !call.input[i]));
  const results = [...allNodes(body.node)].flatMap(({ attribute }) =>
    attribute.flatMap(({ g, graphs }) => (g ? [g, ...graphs] : graphs).flatMap(({ output }) => output)),
  );
  if (body.output.some((name) => absent.has(name)) || results.some(({ name }) => absent.has(name ?? '')))
    return undefined;
  for (const [i, name] of body.input.entries()) scope.set(name, call.input[i] ?? '');
  // An input that is handed on as it is: only a node can give it the name that the call wants.
  const handed = body.output.flatMap((name, i) => {
    const output = call.output[i];
    return output && body.input.includes(name) ? [{ input: scope.get(name), output }] : [];
  });
  if (handed.length > 0 && !work.opsets.has('')) return undefined;
  for (const [i, name] of body.output.entries())
    if (call.output[i] && !body.input.includes(name)) scope.set(name, call.output[i]);
  const label = call.name || `${call.opType ?? ''}_${index}`;
  const copies = copyNodes(body.node, scope, {
    prefix: `${label}/`,
    names: work.names,
    sources: work.sources,
    attribute: (reference) => valueFor(reference, call, body),
  });
  const identities = handed.map(({ input, output }) =>
    create('NodeProto', {
      name: work.names.unique(`${label}/Identity`),
      opType: 'Identity',
      input: [input],
      output: [output],
    }),
  );
  return [...copies, ...identities];
}

/** As the call gives it, else the default of the function. One that is parameter of another function stays one. */
function valueFor(
  { refAttrName }: AttributeProto,
  call: NodeProto,
  body: FunctionProto,
): AttributeProto | undefined {
  const isNamed = ({ name }: AttributeProto): boolean => name === refAttrName;
  return call.attribute.find(isNamed) ?? body.attributeProto.find(isNamed);
}

function stillCalled(
  nodes: readonly NodeProto[],
  functions: readonly FunctionProto[],
): readonly FunctionProto[] {
  const bodies = new Map(functions.map((body) => [idOfFunction(body), body]));
  const called = new Set<FunctionProto>();
  const waiting = [nodes];
  for (let list = waiting.pop(); list; list = waiting.pop())
    for (const node of allNodes(list)) {
      const body = bodies.get(idOfCall(node));
      if (!body || called.has(body)) continue;
      called.add(body);
      waiting.push(body.node);
    }
  return functions.filter((body) => called.has(body));
}

/** Operator sets of the model: those of bodies come in, those of functions that are gone go. */
function importsOf(
  { graph, functions, opsetImport }: ModelProto,
  opsets: ReadonlyMap<string, number>,
): ModelProto['opsetImport'] {
  const used = new Set(['']);
  for (const nodes of [graph?.node ?? [], ...functions.map(({ node }) => node)])
    for (const { domain } of allNodes(nodes)) used.add(domainOf(domain));
  const kept = opsetImport.filter(({ domain }) => used.has(domainOf(domain)));
  const known = new Set(opsetImport.map(({ domain }) => domainOf(domain)));
  const added = [...opsets].filter(([domain]) => used.has(domain) && !known.has(domain));
  return [
    ...kept,
    ...added.map(([domain, version]) => create('OperatorSetIdProto', { domain, version: BigInt(version) })),
  ];
}
