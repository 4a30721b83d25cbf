import type { DType } from '../../core/dtype.js';
import { memoryTensor } from '../../core/tensor.js';
import { encodeElements, packedBytes } from '../../kernels/elements.js';
import type { EditNode } from '../edit.js';
import { withInputs } from '../opset/attributes.js';
import type { ChannelGraph } from './graph.js';
import { numbersOf, withNumbers } from './matrix.js';
import { inputAt, outputAt } from './rule.js';

/** What is added to the outputs of a product: a tensor of its own, or none yet. */
export type BiasPlace = { readonly tensor: string } | 'none';

/** undefined: what is added cannot be changed, because others take it too, or because it is computed. */
export function biasPlace(graph: ChannelGraph, node: EditNode, outputs: number): BiasPlace | undefined {
  const own = (name: string): BiasPlace | undefined => {
    const shape = graph.tensor(name)?.info.shape;
    const alone =
      graph.takers(name).length === 1 && !graph.captured.has(name) && !graph.outputNames.has(name);
    const fits = shape?.at(-1) === outputs && shape.every((size, i) => i === shape.length - 1 || size === 1);
    return alone && fits && graph.isConstant(name) ? { tensor: name } : undefined;
  };
  if (node.opType !== 'MatMul') {
    const bias = inputAt(node, 2);
    return bias === undefined ? 'none' : own(bias);
  }
  const [next, ...others] = graph.takers(outputAt(node));
  if (next?.opType !== 'Add' || others.length > 0) return 'none';
  const added = next.input.find((name) => name !== node.output[0]) ?? '';
  return own(added) ?? 'none';
}

/** A product, what is added to its outputs, and which of the outputs stay. */
export interface Shift {
  readonly node: EditNode;
  readonly place: BiasPlace;
  readonly values: Float64Array;
  readonly dtype: DType;
  readonly kept: readonly number[];
}

/** Adds to biases. Those that exist keep all of their outputs, as they are cut later; new ones have those that stay. */
export async function shiftBiases(graph: ChannelGraph, shifts: readonly Shift[]): Promise<void> {
  const { edit } = graph;
  const made = new Map<EditNode, readonly EditNode[]>();
  for (const { node, place, values, dtype, kept } of shifts) {
    if (values.every((x) => x === 0)) continue;
    if (place !== 'none') {
      const tensor = edit.tensor(place.tensor);
      if (!tensor) continue;
      const old = await numbersOf(tensor);
      edit.replaceTensor(
        place.tensor,
        withNumbers(
          tensor,
          old.map((x, i) => x + (values[i] ?? 0)),
        ),
      );
      continue;
    }
    const left = Float64Array.from(kept, (i) => values[i] ?? 0);
    const bytes = new Uint8Array(packedBytes(dtype, left.length));
    encodeElements(dtype, left, left.length, bytes);
    const output = outputAt(node);
    const bias = edit.add(`${output}_bias`, memoryTensor({ name: '', dtype, shape: [left.length] }, bytes));
    if (node.opType !== 'MatMul') made.set(node, [withInputs(node, [node.input[0], node.input[1], bias])]);
    else {
      const bare = edit.fresh(`${output}_product`);
      const add = edit.make({ op: 'Add', inputs: [bare, bias], outputs: [output] });
      made.set(node, [{ ...node, output: [bare] }, add]);
    }
  }
  edit.rewrite((node) => made.get(node));
}
