import type { Values } from '../../runtime/values.js';
import { type Value, valueBytes } from '../../runtime/values.js';
import { onlyInputs } from '../open-changed.js';
import { isRefusal } from '../trace/first-failing.js';
import type { Taps } from '../trace/taps.js';

/** Values that are kept to be fed again. */
const KEPT_BYTES = 256 << 20;

/**
 * Values of the main graph as they are when the whole graph runs on some feeds: what parts of it are fed with. They are
 * computed when they are asked for (with no more of the graph than they need, so also in front of a node that
 * fails), and the latest are kept.
 */
export class ValueStore {
  readonly #taps: Taps;
  readonly #feeds: Values;
  readonly #kept = new Map<string, Value>();
  readonly #impossible = new Set<string>();
  #bytes = 0;

  constructor(taps: Taps, feeds: Values) {
    this.#taps = taps;
    this.#feeds = feeds;
  }

  /** undefined where one of them cannot be computed, or cannot leave the graph. */
  async get(names: readonly string[]): Promise<Values | undefined> {
    const found = new Map<string, Value>();
    for (const name of names) {
      const known = this.#feeds.get(name) ?? this.#kept.get(name);
      if (known) found.set(name, known);
    }
    const missing = names.filter((name) => !found.has(name));
    if (missing.some((name) => this.#impossible.has(name) || !this.#taps.makes(name))) return undefined;
    if (missing.length > 0) {
      const made = await this.#compute(missing);
      if (!made) return undefined;
      for (const [name, value] of made) found.set(name, value);
    }
    return new Map(names.flatMap((name) => entryOf(found, name)));
  }

  async #compute(names: readonly string[]): Promise<Values | undefined> {
    try {
      const session = await this.#taps.open(names);
      try {
        if (session.outputs.some(({ type }) => type === undefined)) throw new NotFetched();
        const { outputs } = await session.run(onlyInputs(session, this.#feeds), names);
        for (const [name, value] of outputs) this.#keep(name, value);
        return outputs;
      } finally {
        await session.release();
      }
    } catch (error) {
      if (!isRefusal(error) && !(error instanceof NotFetched)) throw error;
      // One of several spoils all: each is tried alone, so that the others are known from then on.
      const [only] = names;
      if (names.length === 1 && only !== undefined) this.#impossible.add(only);
      else for (const name of names) await this.#compute([name]);
      return undefined;
    }
  }

  #keep(name: string, value: Value): void {
    this.#kept.set(name, value);
    this.#bytes += bytesOf(value);
    for (const [old, one] of this.#kept) {
      if (this.#bytes <= KEPT_BYTES || old === name) break;
      this.#kept.delete(old);
      this.#bytes -= bytesOf(one);
    }
  }
}

class NotFetched extends Error {}

const bytesOf = ({ type, data }: Value): number => data.length * valueBytes(type);

const entryOf = (values: Values, name: string): (readonly [string, Value])[] => {
  const value = values.get(name);
  return value ? [[name, value]] : [];
};
