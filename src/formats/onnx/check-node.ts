import { type Finding, finding, type MlserError } from '../../errors.js';
import { invalid } from './invalid.js';
import { firstVersion, NEWEST_OPSET } from './operators.js';
import type { AttributeProto, NodeProto } from './schema.js';

/** What the nodes of a graph or a function are checked against. */
export interface NodeRules {
  readonly file: string;
  readonly irVersion: bigint;
  /** Imported domains; the standard one is ''. */
  readonly opsets: ReadonlyMap<string, number>;
  /** Ids of model-local functions (functionId). */
  readonly functions: ReadonlySet<string>;
  /** Attributes may refer to those of the calling node. */
  readonly inFunction: boolean;
  readonly findings: Finding[];
}

/** '' and 'ai.onnx' are the same domain. */
export const domainOf = (domain: string | undefined): string =>
  domain === undefined || domain === 'ai.onnx' ? '' : domain;

export const functionId = (domain: string | undefined, name = '', overload = ''): string =>
  JSON.stringify([domainOf(domain), name, overload]);

export const nodeLabel = (node: NodeProto, index: number): string =>
  node.name
    ? `node ${JSON.stringify(node.name)} (${node.opType ?? ''})`
    : `node ${index} (${node.opType ?? ''})`;

/** Rules of a node by itself (IR.md, Nodes and Attributes): operator known and imported, attributes well-formed. */
export function checkNode(node: NodeProto, index: number, rules: NodeRules): void {
  const { attribute: attributes } = node;
  // Labels are made where something is wrong: one for each node and attribute was a fifth of opening a graph.
  const wrong = (what: string, of?: AttributeProto): MlserError => {
    const { file } = rules;
    const part = of ? `: attribute ${JSON.stringify(of.name)}` : '';
    return invalid(`${file}: ${nodeLabel(node, index)}${part} ${what}`, { file, node: node.name ?? index });
  };
  if (!node.opType) throw wrong('has no operator');
  if (node.input.length === 0 && node.output.length === 0) throw wrong('has neither inputs nor outputs');
  checkOperator(node, index, rules);
  const seen = attributes.length > 1 ? new Set<string>() : undefined;
  for (const attribute of attributes) {
    const name = attribute.name ?? '';
    if (name === '') throw wrong('has an attribute without a name');
    if (seen?.has(name)) throw wrong(`has attribute ${JSON.stringify(name)} twice`);
    seen?.add(name);
    const fault = attributeFault(attribute, rules);
    if (fault !== undefined) throw wrong(fault, attribute);
  }
}

/** Domains of onnxruntime, which has one version of each and does not ask for their import. */
const RUNTIME_DOMAINS: ReadonlySet<string> = new Set([
  'com.microsoft',
  'com.ms.internal.nhwc',
  'com.microsoft.nchwc',
]);

function checkOperator(node: NodeProto, index: number, rules: NodeRules): void {
  const { file, opsets, functions, findings } = rules;
  const { opType: op = '', overload } = node;
  const domain = domainOf(node.domain);
  const version = opsets.get(domain);
  if (version === undefined) {
    const label = nodeLabel(node, index);
    const message = `${label} uses domain ${JSON.stringify(domain)}, which is not imported`;
    if (!RUNTIME_DOMAINS.has(domain))
      throw invalid(`${file}: ${message}`, { file, domain }, 'add the domain to opset_import');
    findings.push(finding('warning', 'DOMAIN_NOT_IMPORTED', label, message));
    return;
  }
  if (functions.size > 0 && functions.has(functionId(domain, op, overload))) return;
  const first = firstVersion(domain, op);
  const warn = (code: string, what: string): void => {
    const label = nodeLabel(node, index);
    findings.push(finding('warning', code, label, `${label}: ${what}`));
  };
  if (first === 'unknown' && (domain !== '' || version <= NEWEST_OPSET))
    warn('UNKNOWN_OPERATOR', `ONNX has no operator ${op}`);
  else if (typeof first === 'number' && first > version)
    warn('OPERATOR_TOO_NEW', `${op} came with version ${first}, the model imports ${version}`);
}

/** Value fields of an attribute with the number of their type (AttributeProto.AttributeType). */
const VALUES: readonly (readonly [
  type: number,
  isSet: (attribute: AttributeProto) => boolean,
  name: string,
])[] = [
  [1, (a) => a.f !== undefined, 'FLOAT'],
  [2, (a) => a.i !== undefined, 'INT'],
  [3, (a) => a.s !== undefined, 'STRING'],
  [4, (a) => a.t !== undefined, 'TENSOR'],
  [5, (a) => a.g !== undefined, 'GRAPH'],
  [6, (a) => a.floats.length > 0, 'FLOATS'],
  [7, (a) => a.ints.length > 0, 'INTS'],
  [8, (a) => a.strings.length > 0, 'STRINGS'],
  [9, (a) => a.tensors.length > 0, 'TENSORS'],
  [10, (a) => a.graphs.length > 0, 'GRAPHS'],
  [11, (a) => a.sparseTensor !== undefined, 'SPARSE_TENSOR'],
  [12, (a) => a.sparseTensors.length > 0, 'SPARSE_TENSORS'],
  [13, (a) => a.tp !== undefined, 'TYPE_PROTO'],
  [14, (a) => a.typeProtos.length > 0, 'TYPE_PROTOS'],
];

/** What is wrong with an attribute, or undefined. */
function attributeFault(attribute: AttributeProto, rules: NodeRules): string | undefined {
  const set = VALUES.filter(([, isSet]) => isSet(attribute));
  const [value] = set;
  const { type, refAttrName } = attribute;
  if (set.length > 1) return `has several values: ${set.map(([, , name]) => name).join(', ')}`;
  if (refAttrName) {
    if (!rules.inFunction) return `refers to ${refAttrName}, but is not in a function`;
    if (value) return `refers to ${refAttrName} and has a value too`;
  }
  // Before IR version 2 the type was told by the value.
  if (type === undefined || type === 0) return rules.irVersion >= 2n ? 'has no type' : undefined;
  if (value && value[0] !== type)
    return `has type ${VALUES.find(([id]) => id === type)?.[2] ?? type} but a value of type ${value[2]}`;
  return undefined;
}
