import { Descriptors } from '../io/descriptors.js';
import { DistinctSet } from './distinct.js';
import { type Arena, arena } from './wasm.js';

/** What tasks work with that are done one after the other on one thread. */
export class Workplace {
  readonly arena: Arena = arena();
  readonly files = new Descriptors();
  #distinct: DistinctSet | undefined;

  /** An empty set, always the same one. */
  get distinct(): DistinctSet {
    this.#distinct ??= new DistinctSet();
    return this.#distinct.cleared();
  }

  close(): void {
    this.files.closeAll();
  }
}
