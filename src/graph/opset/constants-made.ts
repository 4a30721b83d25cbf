import type { DType } from '../../core/dtype.js';
import { memoryTensor, readTensor, type TensorSource } from '../../core/tensor.js';
import type { NodeProto, TensorProto } from '../../formats/onnx/schema.js';
import { nodeProto, tensorProto } from '../build.js';
import type { ConstantNumbers } from './adapter.js';
import { constantBytes } from './constant-value.js';
import type { Scope } from './scope.js';

/** Names that nothing has yet. */
export class FreshNames {
  readonly #taken: Set<string>;
  readonly #counts = new Map<string, number>();
  constructor(taken: ReadonlySet<string>) {
    this.#taken = new Set(taken);
  }
  /** A name for a value. */
  next(hint: string): string {
    return this.unique(`opset_${hint}`);
  }
  /** The wanted name, numbered if it is taken. */
  unique(wanted: string): string {
    let name = wanted;
    let count = this.#counts.get(wanted) ?? 1;
    while (this.#taken.has(name)) name = `${wanted}_${++count}`;
    this.#counts.set(wanted, count);
    this.#taken.add(name);
    return name;
  }
}

/**
 * Constants that the main graph or a function is given, seen by the graphs inside it too. Equal ones are made once.
 */
export class MadeConstants {
  readonly #names: FreshNames;
  readonly #scope: Scope;
  readonly #known = new Map<string, string>();
  readonly #tensors: TensorSource[] = [];

  constructor(names: FreshNames, scope: Scope) {
    this.#names = names;
    this.#scope = scope;
  }

  make(dtype: DType, shape: readonly number[], values: ConstantNumbers, hint: string): string {
    const key = JSON.stringify([dtype, shape, values.map(String)]);
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const name = this.#names.next(hint);
    const tensor = memoryTensor({ name, dtype, shape }, constantBytes(dtype, values), 'constant');
    this.#known.set(key, name);
    this.#tensors.push(tensor);
    this.#scope.setConstant(name, dtype, shape, () => tensor);
    return name;
  }

  get count(): number {
    return this.#tensors.length;
  }

  /** As initializers of a graph, with their tensors. */
  async initializers(used: ReadonlySet<string>): Promise<Map<TensorProto, TensorSource>> {
    const made = new Map<TensorProto, TensorSource>();
    for (const tensor of this.#tensors)
      if (used.has(tensor.info.name)) made.set(await this.#message(tensor), tensor);
    return made;
  }

  /** As nodes at the beginning of a function, which has no initializers. */
  async nodes(): Promise<NodeProto[]> {
    const made: NodeProto[] = [];
    for (const tensor of this.#tensors) {
      const { name, dtype, shape } = tensor.info;
      const value = { name, dtype, shape, raw: await readTensor(tensor) };
      made.push(nodeProto({ op: 'Constant', inputs: [], outputs: [name], attributes: { value }, name }, 0));
    }
    return made;
  }

  async #message(tensor: TensorSource): Promise<TensorProto> {
    return tensorProto({ ...tensor.info, raw: await readTensor(tensor) });
  }
}
