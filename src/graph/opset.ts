import { type Model, tensorMap } from '../core/model.js';
import { renamed, type TensorSource } from '../core/tensor.js';
import { type Finding, finding, MlserError } from '../errors.js';
import { domainOf, functionId } from '../formats/onnx/check-node.js';
import { initializersOf } from '../formats/onnx/graphs.js';
import { NEWEST_OPSET } from '../formats/onnx/operators.js';
import type {
  FunctionProto,
  GraphProto,
  ModelProto,
  NodeProto,
  SparseTensorProto,
  TensorProto,
} from '../formats/onnx/schema.js';
import { protoOf, summarize } from '../formats/onnx/summary.js';
import { FreshNames, MadeConstants } from './opset/constants-made.js';
import { convertFunction, imports } from './opset/convert-function.js';
import { convertNodes } from './opset/convert-nodes.js';
import { inferFunction, inferGraph } from './opset/infer.js';
import { irVersionFor } from './opset/ir-version.js';
import { namesOf } from './opset/names.js';
import { Remarks, unconvertible } from './opset/problems.js';
import { prune } from './opset/prune.js';
import type { Scope } from './opset/scope.js';

/** The oldest version whose operators are in the table. */
export const OLDEST_OPSET = 7;

type Sources = Map<TensorProto | SparseTensorProto, TensorSource>;

/**
 * The same graph in another version of the standard operators (docs/Versioning.md), up or down: nodes whose operators
 * changed are rewritten, sub-graphs and functions included. What becomes an input is a new small initializer, what
 * becomes an attribute leaves the initializers. The IR version rises where the operators need it and never sinks.
 *
 * Findings: OPSET_CONVERTED, OPSET_SAME, IR_RAISED (info), OPSET_ASSUMED, OPSET_TYPES_UNKNOWN (warnings).
 * Throws E_USAGE for a model without a graph or a version outside 7..28, E_UNSUPPORTED naming the nodes in the way.
 */
export async function convertOpset(
  model: Model,
  target: number,
): Promise<{ model: Model; findings: Finding[] }> {
  if (!model.graph)
    throw new MlserError('E_USAGE', `--opset ${target}: a ${model.format} file has no graph`, {
      details: { format: model.format, opset: target },
      hint: 'leave --opset out, or put the weights into a graph with --graph base.onnx',
    });
  if (!Number.isInteger(target) || target < OLDEST_OPSET || target > NEWEST_OPSET)
    throw new MlserError('E_USAGE', `--opset ${target}: known are ${OLDEST_OPSET} to ${NEWEST_OPSET}`, {
      details: { opset: target },
    });
  const from = model.graph.opsets.get('');
  const proto = protoOf(model.graph);
  checkSource(from, proto, target);
  if (from === undefined || from === target) {
    const same = from === undefined ? 'the model uses no standard operators' : `it is ${target} already`;
    return { model, findings: [finding('info', 'OPSET_SAME', 'graph', `operator set: ${same}`)] };
  }

  const sources = sourcesOf(model, proto);
  const remarks = new Remarks();
  const made: Sources = new Map();
  const converted = await convertModel(proto, from, target, sources, made, remarks);
  if (remarks.problems.length > 0) throw unconvertible(remarks.problems, from, target);

  const pruned = prune(proto, converted, tiedMessages(model, sources));
  const ir = irVersionFor(pruned, target, made.size > 0);
  const next = ir === proto.irVersion ? pruned : { ...pruned, irVersion: ir };
  const findings = [
    finding(
      'info',
      'OPSET_CONVERTED',
      'graph',
      `operator set ${from} → ${target}: ${remarks.rewritten} nodes rewritten`,
    ),
    ...remarks.findings(),
  ];
  if (ir !== proto.irVersion)
    findings.push(
      finding(
        'info',
        'IR_RAISED',
        'graph',
        `IR version ${proto.irVersion ?? 0n} → ${ir}, which the operators need`,
      ),
    );
  return { model: withProto(model, next, new Map([...sources, ...made])), findings };
}

function checkSource(from: number | undefined, proto: ModelProto, target: number): void {
  if (from !== undefined && (from < OLDEST_OPSET || from > NEWEST_OPSET))
    throw new MlserError(
      'E_UNSUPPORTED',
      `the model uses operator set ${from}: only ${OLDEST_OPSET} to ${NEWEST_OPSET} can be converted`,
      { details: { from, to: target }, hint: 'export the model again for the version you need' },
    );
  if (proto.trainingInfo.length > 0)
    throw new MlserError('E_UNSUPPORTED', 'graphs that train (training_info) are not converted', {
      details: { to: target },
      hint: 'export the model for inference',
    });
}

/** Every initializer with the tensor that stands for it now. */
export function sourcesOf(model: Model, proto: ModelProto): Sources {
  const tensors = tensorMap(model);
  const sources: Sources = new Map();
  for (const initializer of initializersOf(proto)) {
    const tensor = tensors.get(initializer.name);
    if (tensor) sources.set('sparse' in initializer ? initializer.sparse : initializer.tensor, tensor);
  }
  return sources;
}

async function convertModel(
  proto: ModelProto,
  from: number,
  to: number,
  sources: Sources,
  made: Sources,
  remarks: Remarks,
): Promise<ModelProto> {
  const functions = new Set(proto.functions.map((f) => functionId(f.domain, f.name, f.overload)));
  const isStandard = ({ domain, opType, overload }: NodeProto): boolean =>
    domainOf(domain) === '' && !functions.has(functionId(domain, opType, overload));
  const scopes = new Map<GraphProto | FunctionProto, Scope>();
  const infer = { sources, isStandard, overridable: (proto.irVersion ?? 0n) >= 4n, scopes };
  const main = proto.graph && inferGraph(proto.graph, undefined, infer);
  for (const body of proto.functions) inferFunction(body, infer);

  const { taken } = namesOf(proto);
  const names = new FreshNames(taken);
  const types = new Set([...scopes.values()].flatMap((scope) => [...scope.knownTypes()]));
  const shared = { to, names, remarks, scopes, isStandard, types };

  let graph = proto.graph;
  if (graph && main) {
    const constants = new MadeConstants(names, main);
    const node = await convertNodes(graph.node, main, { ...shared, from, made: constants });
    const used = namesOf({ ...proto, graph: { ...graph, node } }).used;
    const initializers = await constants.initializers(used);
    for (const [message, tensor] of initializers) made.set(message, tensor);
    graph = { ...graph, node, initializer: [...graph.initializer, ...initializers.keys()] };
  }
  const bodies: FunctionProto[] = [];
  for (const body of proto.functions) bodies.push(await convertFunction(body, { ...shared, from }));
  return { ...proto, graph, functions: bodies, opsetImport: imports(proto.opsetImport, to) };
}

/** Initializers that share their bytes with others stay: ties are told by name. */
function tiedMessages(model: Model, sources: Sources): Set<TensorProto | SparseTensorProto> {
  const tied = new Set([...model.aliases].flat());
  return new Set([...sources].filter(([, { info }]) => tied.has(info.name)).map(([message]) => message));
}

/** The model around a new structure: its tensors under the names that the structure gives them. */
export function withProto(
  model: Model,
  proto: ModelProto,
  sources: ReadonlyMap<TensorProto | SparseTensorProto, TensorSource>,
): Model {
  const names = new Map<TensorSource, string>();
  const tensors: TensorSource[] = [];
  for (const initializer of initializersOf(proto)) {
    const source = sources.get('sparse' in initializer ? initializer.sparse : initializer.tensor);
    if (!source) continue;
    names.set(source, initializer.name);
    tensors.push(source.info.name === initializer.name ? source : renamed(source, initializer.name));
  }
  const placed = new Set(sources.values());
  const current = new Map([...names].map(([source, name]) => [source.info.name, name]));
  const aliases = [...model.aliases].flatMap(([alias, canonical]) => {
    const [a, c] = [current.get(alias), current.get(canonical)];
    return a !== undefined && c !== undefined ? [[a, c] as const] : [];
  });
  return {
    ...model,
    formatVersion: `IR ${proto.irVersion ?? 0n}`,
    tensors: [...tensors, ...model.tensors.filter((tensor) => !placed.has(tensor))],
    aliases: new Map(aliases),
    graph: summarize(proto),
  };
}
