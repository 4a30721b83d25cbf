import { onnxType } from '../../formats/onnx/dtypes.js';
import type { GraphProto, NodeProto } from '../../formats/onnx/schema.js';
import { valueInfo } from '../../formats/onnx/summary.js';
import { inferResults } from '../opset/infer.js';
import type { Scope } from '../opset/scope.js';
import { isContrib, operatorOf, signatureOf } from './half-operators.js';

/**
 * A second look at types, for what the inference of standard operators does not follow: operators of onnxruntime, and
 * what comes out of sequences. Sub-graphs included.
 */
export class TypeFiller {
  readonly #scopes: ReadonlyMap<unknown, Scope>;
  readonly #isStandard: (node: NodeProto) => boolean;
  /** Element types of sequences, by name. */
  readonly #sequences = new Map<string, string>();

  constructor(scopes: ReadonlyMap<unknown, Scope>, isStandard: (node: NodeProto) => boolean) {
    this.#scopes = scopes;
    this.#isStandard = isStandard;
  }

  fill(graph: GraphProto): void {
    const scope = this.#scopes.get(graph);
    if (!scope) return;
    for (const value of [...graph.input, ...graph.valueInfo, ...graph.output]) {
      const { name, dtype } = valueInfo(value);
      const [, element] = /^sequence\((\w+)\)$/.exec(dtype) ?? [];
      if (element !== undefined) this.#sequences.set(name, element);
    }
    for (const node of graph.node) this.#node(node, scope);
  }

  #node(node: NodeProto, scope: Scope): void {
    const bodies = node.attribute.flatMap(({ g, graphs }) => (g ? [g, ...graphs] : graphs));
    for (const body of bodies) this.fill(body);
    const operator = operatorOf(node);
    const [body] = bodies;
    if (isContrib(operator)) this.#contrib(node, operator, scope);
    else if (!this.#isStandard(node)) return;
    else if (body) {
      const skip = operator === 'Loop' ? 1 : 0;
      const inside = this.#scopes.get(body);
      for (const [i, name] of node.output.entries())
        scope.setType(name, inside?.type(body.output[i + skip]?.name));
    } else {
      this.#sequence(node, operator, scope);
      inferResults(node, scope);
    }
  }

  #contrib(node: NodeProto, operator: string, scope: Scope): void {
    const signature = signatureOf(operator);
    const bound = new Map<string, string>();
    for (const [i, { variable }] of (signature?.inputs ?? []).entries()) {
      const type = scope.type(node.input[i]);
      if (variable !== undefined && type !== undefined) bound.set(variable, type);
    }
    for (const [i, { variable, fixed }] of (signature?.outputs ?? []).entries()) {
      const name = node.output[i];
      if (name) scope.setType(name, fixed ?? bound.get(variable ?? ''));
    }
  }

  #sequence(node: NodeProto, operator: string, scope: Scope): void {
    const [output = ''] = node.output;
    const of = (name: string | undefined): string | undefined => this.#sequences.get(name ?? '');
    const note = (element: string | undefined): void => {
      if (element !== undefined) this.#sequences.set(output, element);
    };
    switch (operator) {
      case 'SequenceConstruct':
      case 'SplitToSequence':
        note(scope.type(node.input[0]));
        break;
      case 'SequenceEmpty':
        note(onnxType(Number(node.attribute.find(({ name }) => name === 'dtype')?.i ?? 1n))?.dtype);
        break;
      case 'SequenceInsert':
      case 'SequenceErase':
      case 'Identity':
        note(of(node.input[0]));
        break;
      case 'SequenceAt':
      case 'ConcatFromSequence':
        scope.setType(output, of(node.input[0]));
        break;
      default:
    }
  }
}
