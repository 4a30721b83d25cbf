import { elementCount } from '../../core/dtype.js';

/** Which elements share a scale. Neither: all of a tensor. */
export interface Granularity {
  /** A scale for every index along this axis, or, with `block`, blocks along it. */
  readonly axis?: number;
  /** Elements of a block along the axis; the last block of a row may be shorter. */
  readonly block?: number;
}

/** Elements [start, start + length) belong to `group`, or (`steps`) to `group`, `group` + 1, … */
type Visit = (start: number, length: number, group: number, steps: boolean) => void;

/** Elements of a row-major tensor by the scale that they have. */
export class Groups {
  readonly count: number;
  /** Of scales and zero points; [] is one for all. */
  readonly shape: readonly number[];
  readonly #dim: number;
  readonly #inner: number;
  readonly #block: number | undefined;
  readonly #perTensor: boolean;

  constructor(shape: readonly number[], { axis, block }: Granularity) {
    this.#perTensor = axis === undefined;
    const at = axis ?? 0;
    this.#dim = shape[at] ?? 1;
    this.#inner = elementCount(shape.slice(at + 1));
    this.#block = block;
    this.shape =
      axis === undefined
        ? []
        : block === undefined
          ? [this.#dim]
          : shape.map((size, i) => (i === at ? Math.ceil(size / block) : size));
    this.count = elementCount(this.shape);
  }

  /** Elements [start, end) as runs, in order. */
  visit(start: number, end: number, visit: Visit): void {
    if (this.#perTensor) {
      if (end > start) visit(start, end - start, 0, false);
    } else if (this.#block === undefined) this.#channels(start, end, visit);
    else this.#blocks(start, end, this.#block, visit);
  }

  #channels(start: number, end: number, visit: Visit): void {
    const rows = this.#inner === 1;
    const run = rows ? this.#dim : this.#inner;
    for (let at = start; at < end; ) {
      const within = at % run;
      const length = Math.min(run - within, end - at);
      visit(at, length, rows ? within : Math.floor(at / run) % this.#dim, rows);
      at += length;
    }
  }

  #blocks(start: number, end: number, block: number, visit: Visit): void {
    const [dim, inner] = [this.#dim, this.#inner];
    const perRow = Math.ceil(dim / block);
    for (let at = start; at < end; ) {
      const row = Math.floor(at / inner);
      const [outer, index] = [Math.floor(row / dim), row % dim];
      const group = outer * perRow + Math.floor(index / block);
      if (inner === 1) {
        const length = Math.min(block - (index % block), dim - index, end - at);
        visit(at, length, group, false);
        at += length;
      } else {
        const within = at - row * inner;
        const length = Math.min(inner - within, end - at);
        visit(at, length, group * inner + within, true);
        at += length;
      }
    }
  }
}
