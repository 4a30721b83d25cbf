import { tensorBytes } from '../../core/dtype.js';
import { memoryTensor, type TensorSource } from '../../core/tensor.js';
import { onnxType } from '../../formats/onnx/dtypes.js';
import { contentOf } from '../../formats/onnx/origins.js';
import type {
  AttributeProto,
  FunctionProto,
  GraphProto,
  NodeProto,
  SparseTensorProto,
  TensorProto,
} from '../../formats/onnx/schema.js';
import { valueInfo } from '../../formats/onnx/summary.js';
import { internalTensor } from '../../formats/onnx/tensor-data.js';
import { tensorFacts } from '../../formats/onnx/tensor-facts.js';
import { constantBytes } from './constant-value.js';
import { historyOf, parameterAt } from './history.js';
import { inferShape } from './infer-shape.js';
import { Scope } from './scope.js';

/** What inference needs to know of the model around a graph. */
export interface InferContext {
  /** Initializers with their tensors. */
  readonly sources: ReadonlyMap<TensorProto | SparseTensorProto, TensorSource>;
  /** True for nodes of the default domain that no function of the model stands for. */
  readonly isStandard: (node: NodeProto) => boolean;
  /** Inputs with an initializer may be fed another value (IR version 4 and later). */
  readonly overridable: boolean;
  /** Filled by what is found. */
  readonly scopes: Map<GraphProto | FunctionProto, Scope>;
}

/** Types of the values of a graph and of those inside it, as far as its declarations and operators tell. */
export function inferGraph(graph: GraphProto, outer: Scope | undefined, context: InferContext): Scope {
  const scope = new Scope(outer);
  context.scopes.set(graph, scope);
  const inputs = new Set(graph.input.map(({ name }) => name ?? ''));
  for (const tensor of graph.initializer) {
    const name = tensor.name ?? '';
    const source = context.sources.get(tensor);
    if (!source) scope.declare(name);
    else if (context.overridable && inputs.has(name)) {
      scope.setType(name, source.info.dtype);
      scope.setShape(name, source.info.shape);
    } else scope.setConstant(name, source.info.dtype, source.info.shape, () => source);
  }
  for (const sparse of graph.sparseInitializer) {
    const source = context.sources.get(sparse);
    if (source) scope.setType(sparse.values?.name ?? '', source.info.dtype);
  }
  for (const value of [...graph.input, ...graph.valueInfo, ...graph.output]) scope.describe(valueInfo(value));
  inferNodes(graph.node, scope, context);
  return scope;
}

/** The same for the body of a function, whose inputs may be of any type. */
export function inferFunction(body: FunctionProto, context: InferContext): Scope {
  const scope = new Scope();
  context.scopes.set(body, scope);
  for (const name of body.input) scope.declare(name);
  for (const value of body.valueInfo) scope.describe(valueInfo(value));
  inferNodes(body.node, scope, context);
  return scope;
}

function inferNodes(nodes: readonly NodeProto[], scope: Scope, context: InferContext): void {
  for (const node of nodes) for (const name of node.output) scope.declare(name);
  for (const node of nodes) {
    const inner = node.attribute.flatMap(({ g, graphs }) =>
      (g ? [g, ...graphs] : graphs).map((graph) => ({ graph, scope: inferGraph(graph, scope, context) })),
    );
    if (!context.isStandard(node)) continue;
    const [body] = inner;
    if (node.opType === 'Constant') inferConstant(node, scope);
    else if (body) {
      // A loop's body says first whether it goes on.
      const skip = node.opType === 'Loop' ? 1 : 0;
      for (const [i, name] of node.output.entries())
        scope.setType(name, body.scope.type(body.graph.output[i + skip]?.name));
    } else inferResults(node, scope);
  }
}

/** Attributes that name the type of the output. */
const TYPE_ATTRIBUTES = new Map([
  ['Cast', 'to'],
  ['EyeLike', 'dtype'],
  ['Bernoulli', 'dtype'],
  ['RandomNormalLike', 'dtype'],
  ['RandomUniformLike', 'dtype'],
  ['RandomNormal', 'dtype'],
  ['RandomUniform', 'dtype'],
  ['Multinomial', 'dtype'],
  ['BitCast', 'to'],
  ['QuantizeLinear', 'output_dtype'],
  ['DequantizeLinear', 'output_dtype'],
  ['BlackmanWindow', 'output_datatype'],
  ['HammingWindow', 'output_datatype'],
  ['HannWindow', 'output_datatype'],
  ['MelWeightMatrix', 'output_datatype'],
]);
/** What those operators give without the attribute; others hand on the type of their first input. */
const WITHOUT = new Map([
  ['RandomNormal', 'f32'],
  ['RandomUniform', 'f32'],
  ['Multinomial', 'i32'],
  ['BlackmanWindow', 'f32'],
  ['HammingWindow', 'f32'],
  ['HannWindow', 'f32'],
  ['MelWeightMatrix', 'f32'],
]);
/** They take elements out of a sequence: the variable of their table line stands for both. */
const UNWRAPPING = new Set(['SequenceAt', 'ConcatFromSequence', 'OptionalGetElement']);
const LIKE_FIRST = new Set(['EyeLike', 'Bernoulli', 'RandomNormalLike', 'RandomUniformLike']);

/** Types and shapes of what a standard node without sub-graphs gives. */
export function inferResults(node: NodeProto, scope: Scope): void {
  inferTypes(node, scope);
  inferShape(node, scope);
}

function inferTypes(node: NodeProto, scope: Scope): void {
  const operator = node.opType ?? '';
  const history = historyOf(operator);
  if (!history || UNWRAPPING.has(operator)) return;
  const bound = new Map<string, string>();
  for (const [i, name] of node.input.entries()) {
    const parameter = parameterAt(history.inputs, i);
    const type = scope.type(name);
    if (type !== undefined && parameter?.variable && parameter.many !== 'mixed')
      bound.set(parameter.variable, type);
  }
  const named = namedType(node, scope);
  for (const [i, name] of node.output.entries()) {
    const parameter = parameterAt(history.outputs, i);
    if (!parameter || parameter.many === 'mixed') continue;
    scope.setType(name, named ?? parameter.fixed ?? bound.get(parameter.variable ?? ''));
  }
}

function namedType(node: NodeProto, scope: Scope): string | undefined {
  const operator = node.opType ?? '';
  if (operator === 'ConstantOfShape') {
    const value = node.attribute.find(({ name }) => name === 'value');
    return value ? onnxType(value.t?.dataType ?? 0)?.dtype : 'f32';
  }
  const attribute = TYPE_ATTRIBUTES.get(operator);
  if (attribute !== undefined) {
    const id = Number(node.attribute.find(({ name }) => name === attribute)?.i ?? 0n);
    if (id !== 0) return onnxType(id)?.dtype;
  }
  // The type of numbers before they were quantized is the type of the scale.
  if (operator === 'DequantizeLinear') return scope.type(node.input[1]);
  if (operator === 'QuantizeLinear') return node.input[2] ? scope.type(node.input[2]) : 'u8';
  return LIKE_FIRST.has(operator) ? scope.type(node.input[0]) : WITHOUT.get(operator);
}

function inferConstant(node: NodeProto, scope: Scope): void {
  const [output] = node.output;
  const [value] = node.attribute.filter(({ name }) => name !== 'doc_string');
  if (!output || !value) return;
  const { t, sparseTensor, i, f, s, strings } = value;
  if (t) scope.setConstant(output, onnxType(t.dataType ?? 0)?.dtype, t.dims.map(Number), () => openValue(t));
  else if (sparseTensor) scope.setType(output, onnxType(sparseTensor.values?.dataType ?? 0)?.dtype);
  else if (s !== undefined || strings.length > 0) scope.setType(output, 'str');
  else if (value.name === 'value_ints' || i !== undefined) setNumbers(scope, output, 'i64', value);
  else if (value.name === 'value_floats' || f !== undefined) setNumbers(scope, output, 'f32', value);
}

function setNumbers(scope: Scope, output: string, dtype: 'i64' | 'f32', value: AttributeProto): void {
  const single = dtype === 'i64' ? value.i : value.f;
  const list = dtype === 'i64' ? value.ints : value.floats;
  const numbers = single === undefined ? list.map(Number) : [Number(single)];
  const integers = single === undefined ? value.ints : [value.i ?? 0n];
  const shape = single === undefined ? [numbers.length] : [];
  scope.setConstant(output, dtype, shape, () =>
    memoryTensor({ name: output, dtype, shape }, constantBytes(dtype, dtype === 'i64' ? integers : numbers)),
  );
}

/** The tensor of a Constant node. The reader has checked it. */
async function openValue(tensor: TensorProto): Promise<TensorSource | undefined> {
  if (tensor.dataLocation === 1) return contentOf(tensor);
  const facts = tensorFacts(tensor, tensor.name ?? '', '');
  if (facts.info.dtype === 'str' || tensorBytes(facts.info.dtype, facts.info.shape, '') > 1 << 20)
    return undefined;
  return internalTensor(tensor, facts);
}
