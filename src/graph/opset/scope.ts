import type { DType } from '../../core/dtype.js';
import type { OnnxValueInfo } from '../../core/graph.js';
import type { TensorSource } from '../../core/tensor.js';
import { type Constant, readConstant } from './constant-value.js';

type Shape = readonly (number | undefined)[];

/** Where the bytes of a constant come from: they are read when somebody asks. */
export type ConstantOrigin = () => TensorSource | undefined | Promise<TensorSource | undefined>;

/**
 * What is known of the values of a graph: types, shapes, constants. Names of the graphs around it are seen too;
 * undefined stands for what is not known.
 */
export class Scope {
  readonly #outer: Scope | undefined;
  readonly #names = new Set<string>();
  readonly #types = new Map<string, string>();
  readonly #shapes = new Map<string, Shape>();
  readonly #origins = new Map<string, ConstantOrigin>();
  readonly #constants = new Map<string, Promise<Constant | undefined>>();

  constructor(outer?: Scope) {
    this.#outer = outer;
  }

  /** A name of this graph, whatever graphs around it mean by it. */
  declare(name: string): void {
    if (name !== '') this.#names.add(name);
  }

  setType(name: string, type: string | undefined): void {
    this.declare(name);
    if (type !== undefined && name !== '' && !this.#types.has(name)) this.#types.set(name, type);
  }

  /** As a graph says it of its inputs, outputs and inner values. */
  describe({ name, dtype, shape }: OnnxValueInfo): void {
    const kind = dtype.split('(')[0] ?? dtype;
    this.setType(name, dtype === 'unknown' || kind.startsWith('type ') ? undefined : kind);
    if (shape)
      this.setShape(
        name,
        shape.map((dim) => (typeof dim === 'number' ? dim : undefined)),
      );
  }

  setShape(name: string, shape: Shape): void {
    this.declare(name);
    this.#shapes.set(name, shape);
  }

  setConstant(
    name: string,
    dtype: DType | undefined,
    shape: Shape | undefined,
    origin: ConstantOrigin,
  ): void {
    this.setType(name, dtype);
    if (shape) this.setShape(name, shape);
    this.#origins.set(name, origin);
  }

  type(name: string | undefined): string | undefined {
    if (name === undefined) return undefined;
    return this.#names.has(name) ? this.#types.get(name) : this.#outer?.type(name);
  }

  shape(name: string | undefined): Shape | undefined {
    if (name === undefined) return undefined;
    return this.#names.has(name) ? this.#shapes.get(name) : this.#outer?.shape(name);
  }

  /** Types of the values of this graph. */
  knownTypes(): Iterable<string> {
    return this.#types.values();
  }

  async constant(name: string | undefined): Promise<Constant | undefined> {
    if (name === undefined) return undefined;
    if (!this.#names.has(name)) return this.#outer?.constant(name);
    let known = this.#constants.get(name);
    if (!known) {
      const origin = this.#origins.get(name);
      known = Promise.resolve(origin?.()).then((tensor) => tensor && readConstant(tensor));
      this.#constants.set(name, known);
    }
    return known;
  }
}
