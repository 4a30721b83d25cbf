import type { Model } from '../core/model.js';
import { MlserError } from '../errors.js';
import { functionId } from '../formats/onnx/check-node.js';
import {
  create,
  type FunctionProto,
  type GraphProto,
  type ModelProto,
  type NodeProto,
} from '../formats/onnx/schema.js';
import { protoOf } from '../formats/onnx/summary.js';
import { innerGraphs, takenBy } from './captures.js';
import { nearestNames } from './nearest-names.js';
import { sourcesOf, withProto } from './opset.js';
import { type KnownTypes, type TypeOf, valueTypes } from './value-types.js';

/** What a sub-graph lies between. */
export interface Cut {
  /** Values of the main graph that are given from outside. undefined: those inputs of the graph that are needed. */
  readonly inputs?: readonly string[];
  /** Values of the main graph that are made. */
  readonly outputs: readonly string[];
  /** Inputs that nothing needs are left out instead of refused. */
  readonly dropIdle?: boolean;
}

/** Where the values of the main graph come from. */
interface Values {
  readonly graph: GraphProto;
  readonly producers: ReadonlyMap<string, NodeProto>;
  readonly weights: ReadonlySet<string>;
  readonly inputs: ReadonlySet<string>;
}

/**
 * The part of a graph between named values: the nodes that the outputs need once the inputs are given, with the
 * initializers and functions that these use; sub-graphs take what they took from around them. Everything else of the
 * model (metadata, operator sets) stays, no tensor is read.
 *
 * Types of new inputs and outputs are those that `valueTypes` finds; an output whose type it does not find is left
 * without one, which the runtime takes and a file must not have: ask `untyped` before.
 *
 * E_USAGE: no graph, unknown values (with names that look like them), inputs that nothing needs, outputs that cannot
 * be computed (naming the inputs that are missing). E_UNSUPPORTED: an input whose type is not known.
 */
export function extract(model: Model, cut: Cut, known: KnownTypes = new Map()): Model {
  const { proto, values } = open(model);
  const { inputs, nodes } = follow(values, cut);
  const typeOf = valueTypes(model, known);
  return build(model, proto, { values, inputs, outputs: cut.outputs, nodes: new Set(nodes) }, typeOf);
}

/** The model with these nodes of its main graph only (in the graph's order), whatever inputs they then need. */
export function extractNodes(
  model: Model,
  nodes: ReadonlySet<NodeProto>,
  outputs: readonly string[],
  known: KnownTypes = new Map(),
): Model {
  const { proto, values } = open(model);
  const inputs = openInputs(values, nodes);
  return build(model, proto, { values, inputs, outputs, nodes }, valueTypes(model, known));
}

/** Values that these nodes need from outside, weights apart, in the order in which they are needed. */
export const inputsOfNodes = (model: Model, nodes: ReadonlySet<NodeProto>): readonly string[] =>
  openInputs(open(model).values, nodes);

/** Values that some nodes need and that neither they nor weights give, in the order in which they are needed. */
function openInputs({ graph, weights }: Values, nodes: ReadonlySet<NodeProto>): readonly string[] {
  const made = new Set([...nodes].flatMap(({ output }) => output));
  const needed = new Set<string>();
  for (const node of graph.node)
    if (nodes.has(node))
      for (const name of takenBy(node)) if (!made.has(name) && !weights.has(name)) needed.add(name);
  return [...needed];
}

/** Inputs and outputs of a cut whose type the graph does not tell: the runtime may know them. */
export function untyped(model: Model, { inputs = [], outputs }: Cut): readonly string[] {
  const typeOf = valueTypes(model);
  return [...new Set([...inputs, ...outputs])].filter((name) => !typeOf(name));
}

function open(model: Model): { proto: ModelProto; values: Values } {
  const proto = model.graph && protoOf(model.graph);
  const { graph } = proto ?? {};
  if (!proto || !graph)
    throw new MlserError('E_USAGE', `a ${model.format} file has no graph that parts could be taken out of`, {
      details: { format: model.format },
      hint: 'name an .onnx file',
    });
  const producers = new Map<string, NodeProto>();
  for (const node of graph.node) for (const name of node.output) if (name !== '') producers.set(name, node);
  const weights = new Set([
    ...graph.initializer.map(({ name }) => name ?? ''),
    ...graph.sparseInitializer.map(({ values }) => values?.name ?? ''),
  ]);
  const inputs = new Set(graph.input.flatMap(({ name = '' }) => (weights.has(name) ? [] : [name])));
  return { proto, values: { graph, producers, weights, inputs } };
}

/** From the outputs back to the inputs. */
function follow(values: Values, cut: Cut): { inputs: readonly string[]; nodes: ReadonlySet<NodeProto> } {
  const { graph, producers, weights, inputs } = values;
  const given = new Set(cut.inputs ?? inputs);
  check(values, cut, given);
  const nodes = new Set<NodeProto>();
  const met = new Set<string>();
  const missing = new Map<string, string>();
  const waiting = cut.outputs.map((name) => ({ name, output: name }));
  for (let step = waiting.pop(); step; step = waiting.pop()) {
    const { name, output } = step;
    if (met.has(name)) continue;
    met.add(name);
    if (given.has(name)) continue;
    const node = producers.get(name);
    if (!node) {
      if (!weights.has(name)) missing.set(name, output);
      continue;
    }
    if (nodes.has(node)) continue;
    nodes.add(node);
    for (const taken of takenBy(node)) waiting.push({ name: taken, output });
  }
  if (missing.size > 0) throw notGiven(missing);
  const idle = (cut.inputs ?? []).filter((name) => !met.has(name));
  if (idle.length > 0 && !cut.dropIdle) throw notNeeded(idle, cut.outputs);
  const order = cut.inputs ?? graph.input.map(({ name }) => name ?? '');
  return { inputs: order.filter((name) => given.has(name) && met.has(name)), nodes };
}

function check(values: Values, { inputs = [], outputs }: Cut, given: ReadonlySet<string>): void {
  const { producers, weights } = values;
  const isValue = (name: string): boolean =>
    producers.has(name) || weights.has(name) || values.inputs.has(name);
  for (const name of [...inputs, ...outputs]) if (!isValue(name)) throw unknownValue(name, values);
  for (const list of [inputs, outputs]) {
    const twice = list.find((name, i) => list.indexOf(name) !== i);
    if (twice !== undefined)
      throw new MlserError('E_USAGE', `${JSON.stringify(twice)} is named twice`, {
        details: { value: twice },
      });
  }
  if (outputs.length === 0)
    throw new MlserError('E_USAGE', 'a part of a graph needs an output', { hint: 'name one or more values' });
  for (const name of outputs)
    if (given.has(name) || !producers.has(name)) {
      const what = given.has(name) ? 'an input of the part' : weights.has(name) ? 'a weight' : 'an input';
      throw new MlserError(
        'E_USAGE',
        `the output ${JSON.stringify(name)} is ${what}: no node would be left`,
        {
          details: { value: name },
          hint: 'name an output that a node behind the inputs makes',
        },
      );
    }
}

function unknownValue(name: string, { graph, producers, weights, inputs }: Values): MlserError {
  const inner = graph.node.find((node) => innerGraphs(node).some((one) => isInside(name, one)));
  const near = nearestNames(name, [...producers.keys(), ...inputs, ...weights]);
  const list = near.map((other) => JSON.stringify(other)).join(', ');
  const where = inner ? ` (a sub-graph of ${JSON.stringify(inner.name ?? inner.opType ?? '')} has it)` : '';
  return new MlserError('E_NOT_FOUND', `the graph has no value ${JSON.stringify(name)}${where}`, {
    details: { value: name, nearest: near },
    hint: inner
      ? 'name values of the main graph'
      : near.length > 0
        ? `the nearest names are ${list}`
        : 'mlser inspect --graph lists the nodes and what they make',
  });
}

const isInside = (name: string, graph: GraphProto): boolean =>
  graph.input.some((input) => input.name === name) ||
  graph.node.some(
    (node) => node.output.includes(name) || innerGraphs(node).some((inner) => isInside(name, inner)),
  );

function notGiven(missing: ReadonlyMap<string, string>): MlserError {
  const names = [...missing.keys()].sort();
  const [first = ''] = names;
  const list = names.map((name) => JSON.stringify(name)).join(', ');
  return new MlserError(
    'E_USAGE',
    `${JSON.stringify(missing.get(first))} cannot be computed from the inputs named: it needs ${list} too`,
    {
      details: { output: missing.get(first) ?? '', missing: names },
      hint: 'name these inputs as well, or values between them and the output',
    },
  );
}

const notNeeded = (idle: readonly string[], outputs: readonly string[]): MlserError =>
  new MlserError(
    'E_USAGE',
    `no output depends on ${idle.map((name) => JSON.stringify(name)).join(', ')} once the other inputs are given`,
    {
      details: { inputs: idle, outputs },
      hint: 'leave these inputs out, or name outputs behind them',
    },
  );

interface Part {
  readonly values: Values;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly nodes: ReadonlySet<NodeProto>;
}

function build(model: Model, proto: ModelProto, part: Part, typeOf: TypeOf): Model {
  const { graph } = part.values;
  const node = graph.node.filter((one) => part.nodes.has(one));
  const given = new Set(part.inputs);
  const alive = new Set(node.flatMap((one) => [...takenBy(one), ...one.output]));
  const kept = (name: string | undefined): boolean =>
    name !== undefined && alive.has(name) && !given.has(name);
  const initializer = graph.initializer.filter(({ name }) => kept(name));
  const sparseInitializer = graph.sparseInitializer.filter(({ values }) => kept(values?.name));
  const weights = new Set(initializer.map(({ name }) => name));
  const edge = new Set([...part.inputs, ...part.outputs]);
  const next: ModelProto = {
    ...proto,
    trainingInfo: [],
    functions: calledFrom(node, proto.functions),
    graph: {
      ...graph,
      node,
      initializer,
      sparseInitializer,
      input: [
        ...part.inputs.map((name) => typeOf(name) ?? typeNotKnown(name)),
        // What defaults an input goes on doing so; before IR version 4 all of them had to.
        ...graph.input.filter(({ name }) => weights.has(name)),
      ],
      output: part.outputs.map((name) => typeOf(name) ?? create('ValueInfoProto', { name })),
      valueInfo: graph.valueInfo.filter(({ name = '' }) => alive.has(name) && !edge.has(name)),
      quantizationAnnotation: graph.quantizationAnnotation.filter(({ tensorName = '' }) =>
        alive.has(tensorName),
      ),
    },
  };
  return withProto(model, next, sourcesOf(model, proto));
}

/** Functions that nodes call, and those that these call. */
function calledFrom(
  nodes: readonly NodeProto[],
  functions: readonly FunctionProto[],
): readonly FunctionProto[] {
  const bodies = new Map(functions.map((body) => [functionId(body.domain, body.name, body.overload), body]));
  const called = new Set<FunctionProto>();
  const look = (list: readonly NodeProto[]): void => {
    for (const node of list) {
      const body = bodies.get(functionId(node.domain, node.opType, node.overload));
      if (body && !called.has(body)) {
        called.add(body);
        look(body.node);
      }
      for (const inner of innerGraphs(node)) look(inner.node);
    }
  };
  look(nodes);
  return functions.filter((body) => called.has(body));
}

function typeNotKnown(name: string): never {
  throw new MlserError(
    'E_UNSUPPORTED',
    `the type of ${JSON.stringify(name)} is not known, so it cannot be an input`,
    {
      details: { value: name },
      hint: 'name a value nearby whose type the graph declares',
    },
  );
}
