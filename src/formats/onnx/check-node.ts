import { type Finding, finding } from '../../errors.js';
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
  const { file } = rules;
  const label = nodeLabel(node, index);
  const details = { file, node: node.name ?? index };
  if (!node.opType) throw invalid(`${file}: ${label} has no operator`, details);
  if (node.input.length === 0 && node.output.length === 0)
    throw invalid(`${file}: ${label} has neither inputs nor outputs`, details);
  const domain = domainOf(node.domain);
  checkOperator(node.opType, domain, node.overload, label, rules);
  const seen = new Set<string>();
  for (const attribute of node.attribute) {
    const name = attribute.name ?? '';
    if (name === '') throw invalid(`${file}: ${label} has an attribute without a name`, details);
    if (seen.has(name))
      throw invalid(`${file}: ${label} has attribute ${JSON.stringify(name)} twice`, details);
    seen.add(name);
    checkAttribute(attribute, `${file}: ${label}: attribute ${JSON.stringify(name)}`, rules, details);
  }
}

/** Domains of onnxruntime, which has one version of each and does not ask for their import. */
const RUNTIME_DOMAINS: ReadonlySet<string> = new Set([
  'com.microsoft',
  'com.ms.internal.nhwc',
  'com.microsoft.nchwc',
]);

function checkOperator(
  op: string,
  domain: string,
  overload: string | undefined,
  label: string,
  rules: NodeRules,
): void {
  const { file, opsets, functions, findings } = rules;
  const version = opsets.get(domain);
  if (version === undefined) {
    const message = `${label} uses domain ${JSON.stringify(domain)}, which is not imported`;
    if (!RUNTIME_DOMAINS.has(domain))
      throw invalid(`${file}: ${message}`, { file, domain }, 'add the domain to opset_import');
    findings.push(finding('warning', 'DOMAIN_NOT_IMPORTED', label, message));
    return;
  }
  if (functions.has(functionId(domain, op, overload))) return;
  const first = firstVersion(domain, op);
  if (first === 'unknown' && (domain !== '' || version <= NEWEST_OPSET))
    findings.push(finding('warning', 'UNKNOWN_OPERATOR', label, `${label}: ONNX has no operator ${op}`));
  else if (typeof first === 'number' && first > version)
    findings.push(
      finding(
        'warning',
        'OPERATOR_TOO_NEW',
        label,
        `${label}: ${op} came with version ${first}, the model imports ${version}`,
      ),
    );
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

function checkAttribute(
  attribute: AttributeProto,
  label: string,
  rules: NodeRules,
  details: { readonly file: string },
): void {
  const set = VALUES.filter(([, isSet]) => isSet(attribute));
  const [value] = set;
  if (set.length > 1)
    throw invalid(`${label} has several values: ${set.map(([, , name]) => name).join(', ')}`, details);
  if (attribute.refAttrName) {
    if (!rules.inFunction)
      throw invalid(`${label} refers to ${attribute.refAttrName}, but is not in a function`, details);
    if (value) throw invalid(`${label} refers to ${attribute.refAttrName} and has a value too`, details);
  }
  if (attribute.type === undefined || attribute.type === 0) {
    // Before IR version 2 the type was told by the value.
    if (rules.irVersion >= 2n) throw invalid(`${label} has no type`, details);
    return;
  }
  if (value && value[0] !== attribute.type)
    throw invalid(
      `${label} has type ${VALUES.find(([type]) => type === attribute.type)?.[2] ?? attribute.type} but a value of type ${value[2]}`,
      details,
    );
}
