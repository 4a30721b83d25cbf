import type { TensorSource } from '../../core/tensor.js';
import { domainOf, functionId } from '../../formats/onnx/check-node.js';
import type {
  FunctionProto,
  GraphProto,
  ModelProto,
  NodeProto,
  SparseTensorProto,
  TensorProto,
} from '../../formats/onnx/schema.js';
import { FreshNames } from '../opset/constants-made.js';
import { convertFunction } from '../opset/convert-function.js';
import { inferFunction } from '../opset/infer.js';
import { namesOf } from '../opset/names.js';
import { Remarks } from '../opset/problems.js';
import type { Scope } from '../opset/scope.js';

type Sources = ReadonlyMap<TensorProto | SparseTensorProto, TensorSource>;

export const idOfCall = ({ domain, opType, overload }: NodeProto): string =>
  functionId(domain, opType, overload);
export const idOfFunction = ({ domain, name, overload }: FunctionProto): string =>
  functionId(domain, name, overload);

/** Nodes, and those of the graphs inside them. */
export function* allNodes(nodes: readonly NodeProto[]): Generator<NodeProto> {
  for (const node of nodes) {
    yield node;
    for (const { g, graphs } of node.attribute)
      for (const graph of g ? [g, ...graphs] : graphs) yield* allNodes(graph.node);
  }
}

/** Functions that can stand where they are called, and the operator sets that the model needs then. */
export interface Bodies {
  readonly bodies: ReadonlyMap<string, FunctionProto>;
  readonly opsets: ReadonlyMap<string, number>;
}

/**
 * Bodies in the model's versions of the operators: a function may import others. It is converted where it can be
 * without taking anything for granted, and is left out otherwise. Domains that only functions import are added.
 */
export async function inlinable(proto: ModelProto, sources: Sources): Promise<Bodies> {
  const opsets = new Map(
    proto.opsetImport.map(({ domain, version }) => [domainOf(domain), Number(version ?? 0n)]),
  );
  const ids = new Set(proto.functions.map(idOfFunction));
  const bodies = new Map<string, FunctionProto>();
  for (const body of proto.functions) {
    const own = new Map(body.opsetImport.map(({ domain, version }) => [domainOf(domain), Number(version)]));
    const used = new Set<string>();
    for (const node of allNodes(body.node)) if (!ids.has(idOfCall(node))) used.add(domainOf(node.domain));
    for (const domain of used) {
      const version = own.get(domain);
      if (!opsets.has(domain) && version !== undefined) opsets.set(domain, version);
    }
    const differs = [...used].filter((domain) => own.size > 0 && own.get(domain) !== opsets.get(domain));
    const fitting = differs.length === 0 ? body : await converted(body, differs, proto, opsets, sources);
    if (fitting) bodies.set(idOfFunction(body), fitting);
  }
  return { bodies, opsets };
}

async function converted(
  body: FunctionProto,
  differs: readonly string[],
  proto: ModelProto,
  opsets: ReadonlyMap<string, number>,
  sources: Sources,
): Promise<FunctionProto | undefined> {
  const to = opsets.get('');
  if (to === undefined || differs.some((domain) => domain !== '')) return undefined;
  const ids = new Set(proto.functions.map(idOfFunction));
  const isStandard = (node: NodeProto): boolean => domainOf(node.domain) === '' && !ids.has(idOfCall(node));
  const scopes = new Map<GraphProto | FunctionProto, Scope>();
  inferFunction(body, { sources, isStandard, overridable: true, scopes });
  const types = new Set([...scopes.values()].flatMap((scope) => [...scope.knownTypes()]));
  const remarks = new Remarks();
  const names = new FreshNames(namesOf(proto).taken);
  const outcome = await convertFunction(body, { from: to, to, names, remarks, scopes, isStandard, types });
  return remarks.problems.length > 0 || remarks.findings().length > 0 ? undefined : outcome;
}
