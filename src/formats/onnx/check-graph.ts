import { finding, type MlserError } from '../../errors.js';
import { checkNode, type NodeRules, nodeLabel } from './check-node.js';
import { invalid } from './invalid.js';
import type { FunctionProto, GraphProto, NodeProto, ValueInfoProto } from './schema.js';

/** Names that a graph uses but does not define, with who uses them first: they must come from outside. */
type Free = Map<string, string>;

/** Checks the main graph and everything in it (IR.md, Graphs). Nothing may be left undefined. */
export function checkMainGraph(graph: GraphProto, rules: NodeRules): void {
  const { file } = rules;
  if (!graph.name)
    throw invalid(
      `${file}: the graph has no name`,
      { file },
      graph.node.length === 0 ? 'the file looks truncated: copy it again' : 'set GraphProto.name',
    );
  for (const value of graph.input) checkValue(value, 'input', rules);
  for (const value of graph.output) checkValue(value, 'output', rules);
  const free = checkGraph(graph, 'the graph', rules);
  for (const [name, user] of free)
    throw invalid(`${file}: ${user} uses ${JSON.stringify(name)}, which nothing defines`, { file, name });
}

/** A function's body sees its inputs only. */
export function checkFunctionBody(body: FunctionProto, rules: NodeRules): void {
  const { file } = rules;
  const label = `function ${JSON.stringify(body.name ?? '')}`;
  const defined = new Set<string>();
  for (const name of body.input) define(defined, name, `an input of ${label}`, file);
  const free = checkNodes(body.node, label, defined, rules);
  for (const name of body.output) if (!defined.has(name)) free.set(name, `${label} as an output`);
  for (const [name, user] of free)
    throw invalid(`${file}: ${label}: ${user} uses ${JSON.stringify(name)}, which nothing defines`, {
      file,
      name,
    });
}

function checkValue(value: ValueInfoProto, kind: string, { file, findings }: NodeRules): void {
  const label = `${kind} ${JSON.stringify(value.name ?? '')}`;
  const { type } = value;
  const set =
    type?.tensorType ??
    type?.sparseTensorType ??
    type?.sequenceType ??
    type?.mapType ??
    type?.optionalType ??
    type?.opaqueType;
  if (!type || !set) throw invalid(`${file}: graph ${label} has no type`, { file, name: value.name ?? '' });
  const tensor = type.tensorType ?? type.sparseTensorType;
  if (!tensor) return;
  if (!tensor.elemType)
    throw invalid(`${file}: graph ${label} has no element type`, { file, name: value.name ?? '' });
  if (!tensor.shape)
    findings.push(
      finding('warning', 'SHAPE_MISSING', value.name ?? '', `graph ${label} has no shape, not even a rank`),
    );
}

function define(defined: Set<string>, name: string, what: string, file: string): void {
  if (defined.has(name))
    throw invalid(`${file}: ${JSON.stringify(name)} is defined twice: again as ${what}`, { file, name });
  defined.add(name);
}

/** Checks names in a graph and its sub-graphs; gives the names that must come from around it. */
function checkGraph(graph: GraphProto, label: string, rules: NodeRules): Free {
  const { file, irVersion } = rules;
  const inputs = new Set<string>();
  for (const { name } of graph.input) {
    if (!name) throw invalid(`${file}: an input of ${label} has no name`, { file });
    define(inputs, name, `an input of ${label}`, file);
  }
  const initializers = new Set<string>();
  for (const name of [
    ...graph.initializer.map((tensor) => tensor.name),
    ...graph.sparseInitializer.map((sparse) => sparse.values?.name),
  ]) {
    if (!name) throw invalid(`${file}: an initializer of ${label} has no name`, { file });
    if (initializers.has(name))
      throw invalid(`${file}: initializer name ${JSON.stringify(name)} is used twice`, {
        file,
        tensor: name,
      });
    if (irVersion <= 3n && !inputs.has(name))
      throw invalid(
        `${file}: initializer ${JSON.stringify(name)} is not an input, which IR version ${irVersion} asks for`,
        { file, tensor: name },
        'set ir_version to 4 or more',
      );
    initializers.add(name);
  }
  // An initializer may give an input its default value; nothing else may be defined twice.
  const defined = new Set([...inputs, ...initializers]);
  const free = checkNodes(graph.node, label, defined, rules);
  for (const { name } of graph.output) {
    if (!name) throw invalid(`${file}: an output of ${label} has no name`, { file });
    if (!defined.has(name) && !free.has(name)) free.set(name, `${label} as an output`);
  }
  return free;
}

/** Nodes in single static assignment form and in topological order; `defined` grows by their outputs. */
function checkNodes(
  nodes: readonly NodeProto[],
  label: string,
  defined: Set<string>,
  rules: NodeRules,
): Free {
  const { file, findings } = rules;
  const producer = new Map<string, number>();
  for (const [index, node] of nodes.entries())
    for (const name of node.output) {
      if (name === '') continue;
      if (producer.has(name) || defined.has(name))
        throw invalid(
          `${file}: ${JSON.stringify(name)} is defined twice: again by ${nodeLabel(node, index)} of ${label}`,
          { file, name },
        );
      producer.set(name, index);
    }
  const free: Free = new Map();
  let early: string | undefined;
  for (const [index, node] of nodes.entries()) {
    checkNode(node, index, rules);
    const use = (name: string, by?: string): void => {
      if (name === '' || defined.has(name)) return;
      if (producer.has(name)) early ??= name;
      else if (!free.has(name)) free.set(name, by ?? nodeLabel(node, index));
    };
    for (const name of node.input) use(name);
    for (const attribute of node.attribute)
      for (const graph of attribute.g ? [attribute.g, ...attribute.graphs] : attribute.graphs) {
        const inner = `${attribute.name ?? 'a graph'} of ${nodeLabel(node, index)}`;
        for (const [name, by] of checkGraph(graph, inner, rules)) use(name, by);
      }
    for (const name of node.output) if (name !== '') defined.add(name);
  }
  if (early !== undefined) {
    const cycle = findCycle(nodes, producer);
    if (cycle) throw inCycle(file, label, cycle);
    findings.push(
      finding(
        'warning',
        'NODES_UNSORTED',
        early,
        `${label}: nodes are not in topological order: ${JSON.stringify(early)} is used before it is made`,
      ),
    );
  }
  return free;
}

const inCycle = (file: string, label: string, cycle: readonly string[]): MlserError =>
  invalid(
    `${file}: nodes of ${label} feed each other: ${cycle.slice(0, 8).join(' → ')}${cycle.length > 8 ? ' → …' : ''}`,
    { file },
    'a graph must not have cycles',
  );

/** All names that a node uses, also inside its sub-graphs. */
function* usesOf(node: NodeProto): Generator<string> {
  yield* node.input;
  for (const { g, graphs } of node.attribute)
    for (const graph of g ? [g, ...graphs] : graphs) {
      for (const inner of graph.node) yield* usesOf(inner);
      for (const { name } of graph.output) if (name) yield name;
    }
}

/** The nodes of a cycle in order, or undefined. Iterative: chains of nodes can be long. */
function findCycle(nodes: readonly NodeProto[], producer: ReadonlyMap<string, number>): string[] | undefined {
  const before = nodes.map((node) =>
    [...usesOf(node)].flatMap((name) => {
      const from = producer.get(name);
      return from === undefined ? [] : [from];
    }),
  );
  const state = new Uint8Array(nodes.length); // 0 new, 1 on the path, 2 done
  for (let root = 0; root < nodes.length; root++) {
    if (state[root] !== 0) continue;
    const path: { node: number; next: number }[] = [{ node: root, next: 0 }];
    state[root] = 1;
    for (let top = path.at(-1); top; top = path.at(-1)) {
      const next = before[top.node]?.[top.next++];
      if (next === undefined) {
        state[top.node] = 2;
        path.pop();
      } else if (state[next] === 1) {
        const cycle = path.slice(path.findIndex(({ node }) => node === next));
        return cycle.reverse().map(({ node }) => {
          const found = nodes[node];
          return found ? nodeLabel(found, node) : String(node);
        });
      } else if (state[next] === 0) {
        state[next] = 1;
        path.push({ node: next, next: 0 });
      }
    }
  }
  return undefined;
}
