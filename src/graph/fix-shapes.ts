import type { Model } from '../core/model.js';
import { MlserError } from '../errors.js';
import {
  create,
  type GraphProto,
  type ModelProto,
  type TypeProto,
  type ValueInfoProto,
} from '../formats/onnx/schema.js';
import { protoOf, valueInfo } from '../formats/onnx/summary.js';
import { sourcesOf, withProto } from './opset.js';

/** Sizes for open dimensions: by their names (`batch`), and of whole inputs. */
export interface FixedSizes {
  readonly dims?: ReadonlyMap<string, number>;
  readonly shapes?: ReadonlyMap<string, readonly number[]>;
}

/**
 * The model for inputs of certain sizes: open dimensions that are named in the graph get numbers everywhere, in
 * sub-graphs too. A shape of an input names its open dimensions by their places.
 *
 * E_USAGE for dimensions and inputs that are not there, for shapes that contradict what the graph declares, and for two
 * sizes of one name.
 */
export function fixShapes(model: Model, sizes: FixedSizes): Model {
  const proto = model.graph && protoOf(model.graph);
  if (!proto?.graph) throw new Error('only graphs have inputs');
  const inputs = new Map((model.graph?.inputs ?? []).map((input) => [input.name, input.shape]));
  const dims = new Map(sizes.dims);
  const open = new Set<string>();
  for (const shape of inputs.values())
    for (const dim of shape ?? []) if (typeof dim === 'string') open.add(dim);
  for (const name of dims.keys())
    if (!open.has(name)) throw unknown('no input has an open dimension', name, [...open]);
  for (const [name, shape] of sizes.shapes ?? []) {
    if (!inputs.has(name)) throw unknown('the graph has no input', name, [...inputs.keys()]);
    bind(name, inputs.get(name), shape, dims);
  }
  const graph = withInputShapes(fixGraph(proto.graph, dims), sizes.shapes ?? new Map());
  const next: ModelProto = { ...proto, graph };
  return withProto(model, next, sourcesOf(model, proto));
}

/** Notes the sizes of named dimensions. */
function bind(
  name: string,
  declared: readonly (number | string | null)[] | undefined,
  shape: readonly number[],
  dims: Map<string, number>,
): void {
  const given = `${name}=${shape.join('x')}`;
  const wrong = (why: string): MlserError =>
    new MlserError('E_USAGE', `the shape ${given} does not fit: ${why}`, {
      details: { input: name, shape, declared: (declared ?? []).map((dim) => dim ?? '?') },
      hint: 'mlser inspect shows the inputs and their shapes',
    });
  if (!declared) return;
  if (declared.length !== shape.length) throw wrong(`the input has ${declared.length} dimensions`);
  for (const [i, dim] of declared.entries()) {
    const size = shape[i] ?? 0;
    if (typeof dim === 'number' && dim !== size) throw wrong(`dimension ${i} is ${dim}`);
    if (typeof dim !== 'string') continue;
    const before = dims.get(dim);
    if (before !== undefined && before !== size) throw wrong(`${JSON.stringify(dim)} is ${before} already`);
    dims.set(dim, size);
  }
}

const unknown = (what: string, name: string, known: readonly string[]): MlserError =>
  new MlserError('E_USAGE', `${what} ${JSON.stringify(name)}`, {
    details: { name, known },
    hint: known.length > 0 ? `there are: ${known.join(', ')}` : 'all dimensions have sizes already',
  });

function fixGraph(graph: GraphProto, dims: ReadonlyMap<string, number>): GraphProto {
  const fix = (value: ValueInfoProto): ValueInfoProto => ({
    ...value,
    type: value.type && fixType(value.type, dims),
  });
  return {
    ...graph,
    input: graph.input.map(fix),
    output: graph.output.map(fix),
    valueInfo: graph.valueInfo.map(fix),
    node: graph.node.map((node) =>
      node.attribute.some(({ g, graphs }) => g || graphs.length > 0)
        ? {
            ...node,
            attribute: node.attribute.map((one) => ({
              ...one,
              g: one.g && fixGraph(one.g, dims),
              graphs: one.graphs.map((inner) => fixGraph(inner, dims)),
            })),
          }
        : node,
    ),
  };
}

function fixType(type: TypeProto, dims: ReadonlyMap<string, number>): TypeProto {
  const shape = type.tensorType?.shape;
  if (!type.tensorType || !shape) return type;
  const dim = shape.dim.map((one) => {
    const size = one.dimParam === undefined ? undefined : dims.get(one.dimParam);
    return size === undefined ? one : { ...one, dimParam: undefined, dimValue: BigInt(size) };
  });
  return { ...type, tensorType: { ...type.tensorType, shape: { ...shape, dim } } };
}

/** Dimensions without names get their sizes too. */
const withInputShapes = (graph: GraphProto, shapes: ReadonlyMap<string, readonly number[]>): GraphProto => ({
  ...graph,
  input: graph.input.map((value) => {
    const shape = shapes.get(value.name ?? '');
    return shape ? withShape(value, shape) : value;
  }),
});

/** The same value with another shape. */
const withShape = (value: ValueInfoProto, shape: readonly (number | string | null)[]): ValueInfoProto =>
  value.type?.tensorType
    ? {
        ...value,
        type: {
          ...value.type,
          tensorType: {
            ...value.type.tensorType,
            shape: create('TensorShapeProto', {
              dim: shape.map((dim) =>
                create(
                  'TensorShapeProtoDimension',
                  typeof dim === 'number' ? { dimValue: BigInt(dim) } : dim === null ? {} : { dimParam: dim },
                ),
              ),
            }),
          },
        },
      }
    : value;

/** Outputs whose declared dimensions are open get the sizes that are known of them. */
export function fixOutputs(
  model: Model,
  known: ReadonlyMap<string, { readonly shape?: readonly (number | string | undefined)[] | undefined }>,
): Model {
  const proto = model.graph && protoOf(model.graph);
  if (!proto?.graph) return model;
  const output = proto.graph.output.map((value) => {
    const before = valueInfo(value).shape;
    const shape = known.get(value.name ?? '')?.shape;
    if (!before || !shape || shape.length !== before.length) return value;
    const sizes = before.map((dim, i) =>
      typeof dim !== 'number' && typeof shape[i] === 'number' ? shape[i] : dim,
    );
    return sizes.some((dim, i) => dim !== before[i]) ? withShape(value, sizes) : value;
  });
  if (output.every((value, i) => value === proto.graph?.output[i])) return model;
  return withProto(model, { ...proto, graph: { ...proto.graph, output } }, sourcesOf(model, proto));
}

/** The model without shapes of its outputs, so that the runtime tells those that it infers. */
export function withoutOutputShapes(model: Model): Model {
  const proto = model.graph && protoOf(model.graph);
  if (!proto?.graph) return model;
  const output = proto.graph.output.map(({ name }) => create('ValueInfoProto', { name }));
  return withProto(model, { ...proto, graph: { ...proto.graph, output } }, sourcesOf(model, proto));
}
