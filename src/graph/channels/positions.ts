/**
 * The positions along one axis of one value. Positions of many axes hang together: what is taken out of one has to be
 * taken out of all. A forest of sets (Tarjan's union-find) over all positions that a group has reached.
 */
export class Positions {
  readonly #parents: number[] = [];
  readonly #places = new Map<string, { readonly start: number; readonly count: number }>();

  /** True if the axis was not known yet. */
  add(value: string, axis: number, count: number): boolean {
    const key = keyOf(value, axis);
    if (this.#places.has(key)) return false;
    const start = this.#parents.length;
    this.#places.set(key, { start, count });
    for (let i = 0; i < count; i++) this.#parents.push(start + i);
    return true;
  }

  /** The set of every position of an axis; undefined for an axis that was not reached. */
  setsOf(value: string, axis: number): readonly number[] | undefined {
    const place = this.#places.get(keyOf(value, axis));
    return place && Array.from({ length: place.count }, (_, i) => this.#root(place.start + i));
  }

  /** Positions of several axes with the same unit hang together; a unit of −1 stands for none. */
  link(ends: readonly LinkEnd[]): void {
    const first = new Map<number, number>();
    for (const { value, axis, units } of ends) {
      const place = this.#places.get(keyOf(value, axis));
      if (!place) throw new Error(`axis ${axis} of ${value} was not reached`);
      for (let i = 0; i < place.count; i++) {
        const unit = units ? (units[i] ?? -1) : i;
        if (unit < 0) continue;
        const other = first.get(unit);
        if (other === undefined) first.set(unit, place.start + i);
        else this.#join(other, place.start + i);
      }
    }
  }

  #root(i: number): number {
    let at = i;
    while (this.#parents[at] !== at) {
      const parent = this.#parents[at] ?? at;
      this.#parents[at] = this.#parents[parent] ?? parent;
      at = this.#parents[at] ?? at;
    }
    return at;
  }

  /** The lower one stays the root, so that names of sets do not depend on the order of joining. */
  #join(a: number, b: number): void {
    const [x, y] = [this.#root(a), this.#root(b)];
    if (x < y) this.#parents[y] = x;
    else this.#parents[x] = y;
  }
}

/** An axis of a value, and which unit each of its positions belongs to (absent: each its own, in order). */
export interface LinkEnd {
  readonly value: string;
  readonly axis: number;
  readonly units?: readonly number[];
}

export const keyOf = (value: string, axis: number): string => `${axis} ${value}`;
