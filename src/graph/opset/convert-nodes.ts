import type { AttributeProto, FunctionProto, GraphProto, NodeProto } from '../../formats/onnx/schema.js';
import { nodeProto } from '../build.js';
import { type AdaptContext, blocked, type Outcome } from './adapter.js';
import { adapterOf } from './adapters/index.js';
import type { FreshNames, MadeConstants } from './constants-made.js';
import { type Change, historyOf, type OperatorHistory, parameterAt } from './history.js';
import { inferResults } from './infer.js';
import type { Remarks } from './problems.js';
import type { Scope } from './scope.js';

/** What the nodes of the main graph or of a function have in common. */
export interface Conversion {
  readonly from: number;
  readonly to: number;
  readonly made: MadeConstants;
  readonly names: FreshNames;
  readonly remarks: Remarks;
  readonly scopes: ReadonlyMap<GraphProto | FunctionProto, Scope>;
  readonly isStandard: (node: NodeProto) => boolean;
  /** All element types that are known to occur: what is not among them comes up nowhere. */
  readonly types: ReadonlySet<string>;
}

/** The nodes in the new version, in order. Those that have no way there are in `remarks.problems`. */
export async function convertNodes(
  nodes: readonly NodeProto[],
  scope: Scope,
  conversion: Conversion,
): Promise<readonly NodeProto[]> {
  const converted: NodeProto[] = [];
  let changed = false;
  for (const [index, node] of nodes.entries()) {
    const inner = await convertInside(node, scope, conversion);
    const results = conversion.isStandard(inner)
      ? await convertNode(
          inner,
          conversion.from,
          scope,
          conversion,
          node.name ? JSON.stringify(node.name) : `node ${index}`,
        )
      : [inner];
    const same = results.length === 1 && results[0] === node;
    changed ||= !same;
    if (!same && results[0] !== inner) conversion.remarks.rewritten++;
    const shifted = converted.length !== index;
    converted.push(...(shifted ? results.map((result) => keepName(result, index)) : results));
  }
  return changed ? converted : nodes;
}

/** Tensors of sub-graphs are named after their node: a node without a name keeps the one its place gave it. */
const keepName = (node: NodeProto, index: number): NodeProto =>
  node.name || !node.attribute.some(({ g, graphs }) => g || graphs.length > 0)
    ? node
    : { ...node, name: `${node.opType ?? 'node'}_${index}` };

async function convertInside(node: NodeProto, scope: Scope, conversion: Conversion): Promise<NodeProto> {
  if (!node.attribute.some(({ g, graphs }) => g || graphs.length > 0)) return node;
  const convert = async (graph: GraphProto): Promise<GraphProto> => {
    const own = conversion.scopes.get(graph) ?? scope;
    const nodes = await convertNodes(graph.node, own, conversion);
    return nodes === graph.node ? graph : { ...graph, node: nodes };
  };
  const attribute: AttributeProto[] = [];
  for (const one of node.attribute)
    attribute.push({
      ...one,
      g: one.g && (await convert(one.g)),
      graphs: await Promise.all(one.graphs.map(convert)),
    });
  const changed = attribute.some(
    ({ g, graphs }, i) =>
      g !== node.attribute[i]?.g || graphs.some((graph, k) => graph !== node.attribute[i]?.graphs[k]),
  );
  return changed ? { ...node, attribute } : node;
}

/** Version after version, since what an adapter makes is valid in the next one only. */
async function convertNode(
  start: NodeProto,
  version: number,
  scope: Scope,
  conversion: Conversion,
  label: string,
): Promise<readonly NodeProto[]> {
  const { to } = conversion;
  const up = to > version;
  let node = start;
  for (let at = version; at !== to; at += up ? 1 : -1) {
    const change = up ? at + 1 : at;
    const outcome = await move(node, change, up, scope, conversion, label);
    if ('blocked' in outcome) {
      const operator = start.opType ?? '';
      conversion.remarks.problems.push({ node: label, operator, why: outcome.blocked, version: change });
      return [start];
    }
    const [only] = outcome;
    if (only && outcome.length === 1) node = only;
    else {
      const next = up ? at + 1 : at - 1;
      const all: NodeProto[] = [];
      for (const one of outcome) inferResults(one, scope);
      for (const one of outcome) all.push(...(await convertNode(one, next, scope, conversion, label)));
      return all;
    }
  }
  return [node];
}

/** Over the change that one version brought. */
async function move(
  node: NodeProto,
  version: number,
  up: boolean,
  scope: Scope,
  conversion: Conversion,
  label: string,
): Promise<Outcome> {
  const operator = node.opType ?? '';
  const history = historyOf(operator);
  if (!history) return blocked('ONNX has no such operator');
  const arrives = history.first === version;
  const change = history.changes.find((one) => one.version === version);
  if (!change && !(arrives && !up)) return [node];
  const mistyped = change && checkTypes(node, history, change, up, { scope, conversion, label });
  if (mistyped !== undefined) return blocked(mistyped);
  if (!arrives && !change?.signature) return [node];
  const adapter = adapterOf(operator, version);
  if (!adapter)
    return blocked(
      arrives ? `came with operator set ${version}` : `changed its meaning with operator set ${version}`,
    );
  const adapt = up ? adapter.up : adapter.down;
  if (!adapt) return [node];
  const parameter = node.attribute.find(({ refAttrName }) => refAttrName);
  if (parameter) return blocked(`its ${parameter.name ?? ''} is a parameter of the function around it`);
  return adapt(node, contextFor(node, version, scope, conversion, label));
}

interface Around {
  readonly scope: Scope;
  readonly conversion: Conversion;
  readonly label: string;
}

/** Why the types of the values do not do in the other version; undefined if they do, or are not known. */
function checkTypes(
  node: NodeProto,
  history: OperatorHistory,
  change: Change,
  up: boolean,
  { scope, conversion, label }: Around,
): string | undefined {
  for (const { variable, added, removed } of change.types) {
    const barred = up ? removed : added;
    if (![...barred].some((type) => conversion.types.has(type))) continue;
    const values = [
      ...node.input.map((name, i) => ({ name, parameter: parameterAt(history.inputs, i) })),
      ...node.output.map((name, i) => ({ name, parameter: parameterAt(history.outputs, i) })),
    ];
    for (const { name, parameter } of values) {
      if (name === '' || parameter?.variable !== variable) continue;
      const type = scope.type(name);
      if (type === undefined) conversion.remarks.untyped(label);
      else if (barred.has(type))
        return up
          ? `takes no ${type} from operator set ${change.version} on`
          : `takes ${type} only from operator set ${change.version} on`;
    }
  }
  return undefined;
}

function contextFor(
  node: NodeProto,
  version: number,
  scope: Scope,
  { made, names, remarks }: Conversion,
  label: string,
): AdaptContext {
  const base = node.name || node.opType || 'node';
  return {
    version,
    type: (name) => scope.type(name),
    shape: (name) => scope.shape(name),
    constant: (name) => scope.constant(name),
    make: (dtype, shape, values, hint) => made.make(dtype, shape, values, hint),
    fresh(hint, type) {
      const name = names.next(hint);
      scope.setType(name, type);
      return name;
    },
    node: (description) => nodeProto({ ...description, name: names.unique(`${base}_${description.op}`) }, 0),
    assume: (what) => remarks.assume(label, what),
  };
}
