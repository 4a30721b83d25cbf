import type { AttributeProto } from '../../formats/onnx/schema.js';
import type { EditNode, GraphEdit } from '../edit.js';
import { readsShapeOnly } from './static-operators.js';
import type { Active, StaticPlan } from './static-plan.js';
import type { StaticNumbers } from './static-qdq.js';
import type { StoredScale, StoredTensor } from './static-tensors.js';

const MICROSOFT = 'com.microsoft';

/**
 * Operators of integers instead of QDQ pairs: smaller files, for onnxruntime only. Values that integer nodes hand to
 * each other exist as integers alone; one that somebody takes as floats is dequantized once, under its own name.
 */
export function writeOperators(edit: GraphEdit, plan: StaticPlan, numbers: StaticNumbers): void {
  edit.importDomain(MICROSOFT, 1);
  const active = new Map(plan.active.map((one) => [one.node, one]));
  const dropped = new Set(plan.active.map(({ folded }) => folded));
  const made = new Set(plan.active.flatMap(({ outputs }) => outputs));
  const codes = new Map([...plan.owners.keys()].map((name) => [name, edit.fresh(`${name}_quantized`)]));
  const writer = new OperatorWriter(edit, numbers, codes);
  const rounded = (names: readonly string[]): readonly EditNode[] =>
    names.flatMap((name) => (codes.has(name) && !made.has(name) ? [writer.quantize(name)] : []));
  const from = new Set(edit.nodes.flatMap(({ output }) => output));
  edit.rewrite((node) => {
    if (dropped.has(node)) return [];
    const found = active.get(node);
    if (!found) {
      const input = node.input.map((name) => (made.has(name) && codes.get(name)) || name);
      return [readsShapeOnly(node) ? { ...node, input } : node, ...rounded(node.output)];
    }
    const back = found.outputs.filter((name) => plan.floats.has(name));
    return [writer.integer(found), ...back.map((name) => writer.dequantize(name))];
  });
  edit.prepend(rounded([...plan.owners.keys()].filter((name) => !from.has(name))));
}

class OperatorWriter {
  readonly #edit: GraphEdit;
  readonly #numbers: StaticNumbers;
  readonly #codes: ReadonlyMap<string, string>;

  constructor(edit: GraphEdit, numbers: StaticNumbers, codes: ReadonlyMap<string, string>) {
    this.#edit = edit;
    this.#numbers = numbers;
    this.#codes = codes;
  }

  quantize(name: string): EditNode {
    return this.#edit.make({
      op: 'QuantizeLinear',
      inputs: [name, ...this.#scale(name)],
      outputs: [this.#code(name)],
    });
  }

  dequantize(name: string): EditNode {
    const { scale, zeroPoint } = this.#scaleOf(name);
    return this.#edit.make({
      op: 'DequantizeLinear',
      inputs: [this.#code(name), scale, zeroPoint],
      outputs: [name],
    });
  }

  integer({ node, kind, bias, outputs, constants }: Active): EditNode {
    const [a = '', b = ''] = node.input;
    const [output = ''] = outputs;
    const stored = (name: string): readonly string[] => this.#operand(node, name);
    if (kind === 'passing') {
      const input = [this.#code(a), ...node.input.slice(1)];
      return { ...node, input, output: node.output.map((name) => this.#codes.get(name) ?? name) };
    }
    const added = bias === undefined ? [] : [this.#numbers.constants.get(node)?.get(bias)?.codes ?? ''];
    switch (node.opType) {
      case 'Conv':
        return this.#node(
          node,
          'QLinearConv',
          '',
          [...stored(a), ...stored(b), ...this.#scale(output), ...added],
          output,
        );
      case 'Gemm': {
        const inputs = [...stored(a), ...stored(b), ...(added.length > 0 ? added : [''])];
        // Without the scale of an output it is f32.
        if (output === '') return this.#node(node, 'QGemm', MICROSOFT, trimmed(inputs), undefined, ['beta']);
        return this.#node(node, 'QGemm', MICROSOFT, [...inputs, ...this.#scale(output)], output, ['beta']);
      }
      case 'MatMul': {
        if (output !== '')
          return this.#node(
            node,
            'QLinearMatMul',
            '',
            [...stored(a), ...stored(b), ...this.#scale(output)],
            output,
          );
        const [x = [], y = []] = [stored(a), stored(b)];
        const inputs = [x[0], y[0], x[1], y[1], x[2], y[2]].map((name) => name ?? '');
        return this.#node(node, 'MatMulIntegerToFloat', MICROSOFT, inputs, undefined);
      }
      case 'Concat':
        return this.#node(
          node,
          'QLinearConcat',
          MICROSOFT,
          [...this.#scale(output), ...node.input.flatMap(stored)],
          output,
        );
      default: {
        const operands = constants.length > 0 || node.input.length > 1 ? node.input : [a];
        const inputs = [...operands.flatMap(stored), ...this.#scale(output)];
        return this.#node(node, `QLinear${node.opType ?? ''}`, MICROSOFT, inputs, output);
      }
    }
  }

  #node(
    { name = '', attribute, output: outputs }: EditNode,
    op: string,
    domain: string,
    inputs: readonly string[],
    output: string | undefined,
    without: readonly string[] = [],
  ): EditNode {
    const made = this.#edit.make({
      op,
      domain,
      ...(name === '' ? {} : { name }),
      inputs,
      outputs: output === undefined ? outputs : [this.#code(output)],
    });
    const kept: readonly AttributeProto[] = attribute.filter((one) => !without.includes(one.name ?? ''));
    return { ...made, attribute: kept };
  }

  /** Integers, scale and zero point of an operand: a value, or a constant. */
  #operand(node: EditNode, name: string): readonly string[] {
    const constant: StoredTensor | undefined = this.#numbers.constants.get(node)?.get(name);
    if (constant) return [constant.codes, constant.scale, constant.zeroPoint];
    return [this.#code(name), ...this.#scale(name)];
  }

  #code(name: string): string {
    const code = this.#codes.get(name);
    if (code === undefined) throw new Error(`${name} is not quantized`);
    return code;
  }

  #scale(name: string): readonly string[] {
    const { scale, zeroPoint } = this.#scaleOf(name);
    return [scale, zeroPoint];
  }

  #scaleOf(name: string): StoredScale {
    const found = this.#numbers.scales.get(name);
    if (!found) throw new Error(`${name} has no scale`);
    return found;
  }
}

/** Without absent inputs at the end. */
const trimmed = (inputs: readonly string[]): readonly string[] =>
  inputs.slice(0, inputs.findLastIndex((name) => name !== '') + 1);
