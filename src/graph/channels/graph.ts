import type { TensorSource } from '../../core/tensor.js';
import type { EditNode, GraphEdit } from '../edit.js';
import { readConstant } from '../opset/constant-value.js';
import { type SizePiece, sizePieces } from './size-pieces.js';

/** Integers beyond this are no sizes that anybody steers a node with. */
const MOST_INTEGERS = 1024;
/** Steps from a weight to the node that takes it; a broken graph may run in circles. */
const MOST_STEPS = 16;

/** A graph with what is known of its values: who makes and takes them, and how large they were in one run. */
export class ChannelGraph {
  readonly edit: GraphEdit;
  readonly outputNames: ReadonlySet<string>;
  readonly inputNames: ReadonlySet<string>;
  readonly captured: ReadonlySet<string>;
  readonly #producers: ReadonlyMap<string, EditNode>;
  readonly #takers: ReadonlyMap<string, readonly EditNode[]>;
  readonly #shapes: ReadonlyMap<string, readonly number[]>;
  readonly #integers: ReadonlyMap<string, readonly number[]>;
  readonly #static = new Map<string, boolean>();

  private constructor(
    edit: GraphEdit,
    shapes: ReadonlyMap<string, readonly number[]>,
    integers: ReadonlyMap<string, readonly number[]>,
  ) {
    this.edit = edit;
    this.outputNames = edit.outputNames;
    this.inputNames = edit.inputNames;
    this.captured = edit.captured;
    this.#producers = edit.producers();
    this.#takers = edit.consumers();
    this.#shapes = shapes;
    this.#integers = integers;
  }

  /** `shapes`: of the values that nodes make and that are fed. */
  static async open(edit: GraphEdit, shapes: ReadonlyMap<string, readonly number[]>): Promise<ChannelGraph> {
    const integers = new Map<string, readonly number[]>();
    for (const [name, tensor] of edit.initializers) {
      const { dtype, shape } = tensor.info;
      const few = shape.length < 2 && (shape[0] ?? 1) <= MOST_INTEGERS;
      if (!few || (dtype !== 'i64' && dtype !== 'i32') || !edit.isConstant(name)) continue;
      const constant = await readConstant(tensor);
      if (constant) integers.set(name, constant.numbers);
    }
    return new ChannelGraph(edit, shapes, integers);
  }

  get nodes(): readonly EditNode[] {
    return this.edit.nodes;
  }

  get opset(): number {
    return this.edit.opset();
  }

  shape(name: string | undefined): readonly number[] | undefined {
    if (name === undefined || name === '') return undefined;
    return this.edit.tensor(name)?.info.shape ?? this.#shapes.get(name);
  }

  integers(name: string | undefined): readonly number[] | undefined {
    return name === undefined ? undefined : this.#integers.get(name);
  }

  sizes(name: string | undefined): readonly SizePiece[] | undefined {
    return sizePieces(name, {
      producer: (value) => this.#producers.get(value),
      integers: (value) => this.integers(value),
      shape: (value) => this.shape(value),
    });
  }

  tensor(name: string): TensorSource | undefined {
    return this.edit.tensor(name);
  }

  isConstant(name: string): boolean {
    return this.edit.isConstant(name);
  }

  producer(value: string): EditNode | undefined {
    return this.#producers.get(value);
  }

  takers(value: string): readonly EditNode[] {
    return this.#takers.get(value) ?? [];
  }

  /** True for weights, and for what is made from weights alone. */
  isStatic(value: string, steps = MOST_STEPS): boolean {
    const known = this.#static.get(value);
    if (known !== undefined) return known;
    const node = this.#producers.get(value);
    const found =
      this.tensor(value) !== undefined ||
      (node !== undefined &&
        steps > 0 &&
        node.input.length > 0 &&
        node.input.every((name) => name === '' || this.isStatic(name, steps - 1)));
    this.#static.set(value, found);
    return found;
  }

  /** The weight of a product, by its name in the file: what lies behind casts and transpositions. */
  weightName(node: EditNode): string {
    let name = node.input[1] ?? '';
    for (let step = 0; step < MOST_STEPS && !this.tensor(name); step++)
      name = this.#producers.get(name)?.input[0] ?? name;
    return name;
  }
}
