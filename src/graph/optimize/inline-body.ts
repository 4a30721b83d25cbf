import type { NodeProto } from '../../formats/onnx/schema.js';
import { copyNodes, NameScope } from '../inline/copy-nodes.js';
import type { WorkGraph } from './work-graph.js';

/**
 * Puts the nodes of a sub-graph without inputs (a branch of If) in the place of the node that has it. All values get
 * names of their own: those of two branches may be the same. False where its initializers are sparse.
 */
export async function inlineBody(graph: WorkGraph, node: NodeProto, body: WorkGraph): Promise<boolean> {
  const proto = body.finish();
  if (proto.sparseInitializer.length > 0 || proto.input.length > 0) return false;
  if (proto.quantizationAnnotation.length > 0) return false;
  const scope = new NameScope();
  const prefix = `${node.name || (node.opType ?? '')}/`;
  for (const [name, tensor] of body.tensors) scope.set(name, graph.addTensor(`${prefix}${name}`, tensor));
  const made = new Set(proto.node.flatMap(({ output }) => output));
  const handed: (readonly [from: string, to: string])[] = [];
  for (const [i, name] of body.outputNames.entries()) {
    const to = node.output[i];
    if (!to) continue;
    // What the branch only hands on, or gives twice, takes a node to get the name that is wanted.
    if (made.has(name) && !scope.has(name)) scope.set(name, to);
    else handed.push([name, to]);
  }
  const { names, sources } = graph.shop;
  const copies = copyNodes(proto.node, scope, { prefix, names, sources, attribute: (one) => one });
  for (const name of made) if (name !== '') graph.learn(scope.get(name), body.fact(name));
  const identities = handed.map(([from, to]) =>
    graph.make({ op: 'Identity', inputs: [scope.get(from)], outputs: [to], name: `${prefix}Identity` }),
  );
  await graph.adopt(copies);
  graph.replace(node, ...copies, ...identities);
  return true;
}
