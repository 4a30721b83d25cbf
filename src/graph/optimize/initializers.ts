import type { TensorSource } from '../../core/tensor.js';
import type { GraphProto, SparseTensorProto, TensorProto } from '../../formats/onnx/schema.js';
import { initializerMessage } from './initializer-message.js';

type Sources = Map<TensorProto | SparseTensorProto, TensorSource>;

/** The constants of a graph by their names, with the messages that they were read from. */
export class Initializers {
  readonly #sources: Sources;
  readonly #tensors = new Map<string, TensorSource>();
  readonly #messages = new Map<string, TensorProto>();

  constructor({ initializer }: GraphProto, sources: Sources) {
    this.#sources = sources;
    for (const message of initializer) {
      const tensor = sources.get(message);
      if (!tensor) continue;
      const name = message.name ?? '';
      this.#tensors.set(name, tensor);
      this.#messages.set(name, message);
    }
  }

  get all(): ReadonlyMap<string, TensorSource> {
    return this.#tensors;
  }

  has(name: string): boolean {
    return this.#tensors.has(name);
  }

  get(name: string): TensorSource | undefined {
    return this.#tensors.get(name);
  }

  /** Under its own name. */
  set(tensor: TensorSource): void {
    this.#tensors.set(tensor.info.name, tensor);
  }

  delete(name: string): void {
    this.#tensors.delete(name);
  }

  /** As messages of the graph; what each one holds is noted in the sources. */
  messages(): TensorProto[] {
    return [...this.#tensors].map(([name, tensor]) => {
      const message = initializerMessage(name, tensor.info, this.#messages.get(name));
      this.#sources.set(message, tensor);
      return message;
    });
  }
}
