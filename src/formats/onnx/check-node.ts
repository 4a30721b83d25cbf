import { type Finding, finding, malformed } from '../../errors.js';
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
  const { file, opsets, findings } = rules;
  const label = nodeLabel(node, index);
  const details = { file, node: node.name ?? index };
  if (!node.opType) throw malformed(`${file}: ${label} has no operator`, details);
  if (node.input.length === 0 && node.output.length === 0)
    throw malformed(`${file}: ${label} has neither inputs nor outputs`, details);
  const domain = domainOf(node.domain);
  const version = opsets.get(domain);
  if (version === undefined)
    throw malformed(
      `${file}: ${label} uses domain ${JSON.stringify(domain)}, which is not imported`,
      details,
      'add it to opset_import',
    );
  if (!rules.functions.has(functionId(domain, node.opType, node.overload))) {
    const first = firstVersion(domain, node.opType);
    if (first === 'unknown' && (domain !== '' || version <= NEWEST_OPSET))
      findings.push(
        finding('warning', 'UNKNOWN_OPERATOR', label, `${label}: ONNX has no operator ${node.opType}`),
      );
    else if (typeof first === 'number' && first > version)
      findings.push(
        finding(
          'warning',
          'OPERATOR_TOO_NEW',
          label,
          `${label}: ${node.opType} came with version ${first}, the model imports ${version}`,
        ),
      );
  }
  const seen = new Set<string>();
  for (const attribute of node.attribute) {
    const name = attribute.name ?? '';
    if (name === '') throw malformed(`${file}: ${label} has an attribute without a name`, details);
    if (seen.has(name))
      throw malformed(`${file}: ${label} has attribute ${JSON.stringify(name)} twice`, details);
    seen.add(name);
    checkAttribute(attribute, `${file}: ${label}: attribute ${JSON.stringify(name)}`, rules, details);
  }
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
    throw malformed(`${label} has several values: ${set.map(([, , name]) => name).join(', ')}`, details);
  if (attribute.refAttrName) {
    if (!rules.inFunction)
      throw malformed(`${label} refers to ${attribute.refAttrName}, but is not in a function`, details);
    if (value) throw malformed(`${label} refers to ${attribute.refAttrName} and has a value too`, details);
  }
  if (attribute.type === undefined || attribute.type === 0) {
    // Before IR version 2 the type was told by the value.
    if (rules.irVersion >= 2n) throw malformed(`${label} has no type`, details);
    return;
  }
  if (value && value[0] !== attribute.type)
    throw malformed(
      `${label} has type ${VALUES.find(([type]) => type === attribute.type)?.[2] ?? attribute.type} but a value of type ${value[2]}`,
      details,
    );
}
