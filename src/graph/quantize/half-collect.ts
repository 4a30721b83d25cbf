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
import { parameterAt } from '../opset/history.js';
import { inferGraph } from '../opset/infer.js';
import { Scope } from '../opset/scope.js';
import { contentOfConstant, plainCast } from './half-nodes.js';
import { isContrib, operatorOf, type Signature, signatureOf } from './half-operators.js';
import { TypeFiller } from './half-types.js';
import { Frame, type Kind, Site, Value } from './half-values.js';

type Sources = ReadonlyMap<TensorProto | SparseTensorProto, TensorSource>;

/** The graphs of a model as frames: nodes, f32 values, and who takes which. */
export async function collect(
  proto: ModelProto,
  sources: Sources,
  opset: number,
): Promise<Frame | undefined> {
  if (!proto.graph) return undefined;
  const functions = new Set(proto.functions.map((f) => functionId(f.domain, f.name, f.overload)));
  const own = ({ domain, opType, overload }: NodeProto): boolean =>
    functions.has(functionId(domain, opType, overload));
  const isStandard = (node: NodeProto): boolean => domainOf(node.domain) === '' && !own(node);
  const scopes = new Map<GraphProto | FunctionProto, Scope>();
  const overridable = (proto.irVersion ?? 0n) >= 4n;
  inferGraph(proto.graph, undefined, { sources, isStandard, overridable, scopes });
  new TypeFiller(scopes, isStandard).fill(proto.graph);
  const isKnown = (node: NodeProto): boolean =>
    !own(node) && (isStandard(node) || isContrib(operatorOf(node)));
  const main = await new Collector(sources, scopes, isKnown, opset).frame(proto.graph);
  link(main);
  return main;
}

class Collector {
  constructor(
    private readonly sources: Sources,
    private readonly scopes: ReadonlyMap<GraphProto | FunctionProto, Scope>,
    private readonly isKnown: (node: NodeProto) => boolean,
    private readonly opset: number,
  ) {}

  async frame(graph: GraphProto, outer?: Frame, owner?: Site): Promise<Frame> {
    const frame = new Frame(graph, this.scopes.get(graph) ?? new Scope(outer?.scope), outer, owner);
    for (const tensor of graph.initializer) {
      const source = this.sources.get(tensor);
      const value = this.#value(frame, tensor.name ?? '', undefined, source, tensor);
      if (value && !source) value.kept = true;
    }
    for (const { values } of graph.sparseInitializer) {
      const value = this.#value(frame, values?.name ?? '');
      if (value) value.kept = true;
    }
    for (const { name = '' } of graph.input) if (!frame.names.has(name)) this.#value(frame, name);
    for (const node of graph.node) for (const name of node.output) if (name !== '') frame.names.add(name);
    for (const [index, node] of graph.node.entries()) await this.#site(frame, node, index);
    return frame;
  }

  #value(
    frame: Frame,
    name: string,
    maker?: Site,
    tensor?: TensorSource,
    message?: TensorProto,
  ): Value | undefined {
    if (name === '') return undefined;
    frame.names.add(name);
    if (frame.scope.type(name) !== 'f32') return undefined;
    const value = new Value(name, frame, maker, frame.scope.shape(name), tensor, message);
    frame.values.set(name, value);
    return value;
  }

  async #site(frame: Frame, given: NodeProto, index: number): Promise<void> {
    const node = this.isKnown(given) ? plainCast(given, frame.scope) : given;
    const operator = operatorOf(node);
    const signature = this.isKnown(node) ? signatureOf(operator) : undefined;
    const kind = this.#kind(node, operator, signature, frame.scope);
    const site = new Site(node, index, frame, operator, kind, signature);
    frame.sites.push(site);
    for (const { g, graphs } of node.attribute)
      for (const graph of g ? [g, ...graphs] : graphs) site.inner.push(await this.frame(graph, frame, site));
    const tensor = kind === 'constant' ? await contentOfConstant(node) : undefined;
    for (const name of node.output) site.outputs.push(this.#value(frame, name, site, tensor));
  }

  #kind(node: NodeProto, operator: string, signature: Signature | undefined, scope: Scope): Kind {
    if (!this.isKnown(node)) return 'fixed';
    const isFloat = (name: string | undefined): boolean => scope.type(name) === 'f32';
    if (node.attribute.some(({ g, graphs }) => g || graphs.length > 0))
      return operator === 'If' || operator === 'Loop' || (operator === 'Scan' && this.opset >= 9)
        ? 'border'
        : 'fixed';
    if (operator === 'Constant' || operator === 'ConstantOfShape')
      return isFloat(node.output[0]) && !node.attribute.some(({ sparseTensor }) => sparseTensor)
        ? 'constant'
        : 'fixed';
    if (operator === 'Cast') return isFloat(node.output[0]) ? 'cast-in' : 'cast-out';
    if (!signature) return 'fixed';
    // Where one of several inputs of a variable is not known to be f32, none of them can change.
    const variables = new Map<string, boolean>();
    for (const [i, name] of node.input.entries()) {
      const { variable, many } = parameterAt(signature.inputs, i) ?? {};
      if (name === '' || variable === undefined) continue;
      if (many === 'mixed') return 'fixed';
      const before = variables.get(variable);
      if (before !== undefined && before !== isFloat(name)) return 'fixed';
      variables.set(variable, isFloat(name));
    }
    return 'operator';
  }
}

function link(frame: Frame): void {
  for (const site of frame.sites) {
    for (const [index, name] of site.node.input.entries()) {
      const value = frame.find(name);
      site.inputs.push(value);
      value?.uses.push({ site, index });
    }
    for (const inner of site.inner) link(inner);
  }
  for (const { name = '' } of frame.graph.output) {
    const value = frame.find(name);
    if (value && !frame.outer) value.isOutput = true;
  }
}
