import type { NodeProto } from '../../../formats/onnx/schema.js';
import { floatOf, inputOf, numberOf } from '../../opset/attributes.js';
import type { WorkGraph } from '../work-graph.js';

/** y = scale·x + shift along one axis; a number for each channel. */
export interface Affine {
  readonly x: string;
  readonly scale?: Float64Array;
  readonly shift?: Float64Array;
}

export const AFFINE = ['BatchNormalization', 'Mul', 'Div', 'Add', 'Sub'] as const;

/** The axis of the channels, and all axes there are. */
export interface Layout {
  readonly axis: number;
  readonly rank: number;
  readonly channels: number;
}

/**
 * What a node does to each channel, if it is a BatchNormalization that does not train, or adds, subtracts, multiplies
 * or divides by f32 constants, one in all or one for each channel. f16 and f64 are left alone.
 */
export async function affineOf(
  graph: WorkGraph,
  node: NodeProto,
  layout: Layout,
): Promise<Affine | undefined> {
  const op = graph.op(node);
  const [a, b] = [inputOf(node, 0), inputOf(node, 1)];
  if (a === undefined || b === undefined) return undefined;
  if (op === 'BatchNormalization') return layout.axis === 1 ? normalized(graph, node, a, layout) : undefined;
  const right = await perChannel(graph, b, layout);
  const values = right ?? (op === 'Div' ? undefined : await perChannel(graph, a, layout));
  const x = right ? a : b;
  if (!values) return undefined;
  switch (op) {
    case 'Mul':
      return finite({ x, scale: values });
    case 'Div':
      return finite({ x, scale: values.map((value) => 1 / value) });
    case 'Add':
      return finite({ x, shift: values });
    case 'Sub':
      return finite(
        right
          ? { x, shift: values.map((value) => -value) }
          : { x, scale: values.map(() => -1), shift: values },
      );
    default:
      return undefined;
  }
}

async function normalized(
  graph: WorkGraph,
  node: NodeProto,
  x: string,
  { channels }: Layout,
): Promise<Affine | undefined> {
  const trains = numberOf(node, 'training_mode') === 1 || node.output.slice(1).some((name) => name !== '');
  const old = (graph.shop.opsets.get('') ?? 0) < 7 && numberOf(node, 'is_test') !== 1;
  if (trains || old || numberOf(node, 'spatial') === 0) return undefined;
  const read = (index: number) => vector(graph, inputOf(node, index), channels);
  const [gamma, beta, mean, variance] = [await read(1), await read(2), await read(3), await read(4)];
  if (!gamma || !beta || !mean || !variance) return undefined;
  const epsilon = floatOf(node, 'epsilon') ?? 1e-5;
  const scale = gamma.map((value, i) => value / Math.sqrt((variance[i] ?? 0) + epsilon));
  return finite({ x, scale, shift: beta.map((value, i) => value - (mean[i] ?? 0) * (scale[i] ?? 0)) });
}

async function vector(
  graph: WorkGraph,
  name: string | undefined,
  channels: number,
): Promise<Float64Array | undefined> {
  const value = await graph.value(name);
  return value?.dtype === 'f32' && value.numbers.length === channels
    ? Float64Array.from(value.numbers)
    : undefined;
}

/** A constant that says one number for each channel, and leaves the shape of what it meets as it is. */
export async function perChannel(
  graph: WorkGraph,
  name: string | undefined,
  { axis, rank, channels }: Layout,
): Promise<Float64Array | undefined> {
  const shape = graph.constant(name)?.info.shape;
  if (!shape || shape.length > rank) return undefined;
  const fits = shape.every((dim, i) => dim === 1 || (i + rank - shape.length === axis && dim === channels));
  const value = fits ? await graph.value(name) : undefined;
  if (value?.dtype !== 'f32') return undefined;
  const { numbers } = value;
  return numbers.length === 1 ? new Float64Array(channels).fill(numbers[0] ?? 0) : Float64Array.from(numbers);
}

/** Infinite factors do not commute with sums. */
const finite = (affine: Affine): Affine | undefined =>
  [...(affine.scale ?? []), ...(affine.shift ?? [])].every(Number.isFinite) ? affine : undefined;
