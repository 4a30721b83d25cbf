import { isDType } from '../../core/dtype.js';
import type { OnnxValueInfo } from '../../core/graph.js';
import type { Model } from '../../core/model.js';
import { isMlserError } from '../../errors.js';
import { extractNodes } from '../../graph/extract.js';
import { dtypeOf, type Values } from '../../runtime/values.js';
import { isRefusal } from '../trace/first-failing.js';
import type { Taps } from '../trace/taps.js';
import type { Candidate } from './candidates.js';

/** Candidates as models, with the types of their new inputs and outputs. */
export class PartModels {
  readonly #taps: Taps;
  readonly #types = new Map<string, OnnxValueInfo>();
  readonly #asked = new Set<string>();

  constructor(taps: Taps) {
    this.#taps = taps;
  }

  /** Asks the runtime for the types of many values at once. It may refuse the graph: then they are asked for singly. */
  async learn(names: readonly string[]): Promise<boolean> {
    try {
      for (const { name, type, shape } of (await this.#taps.fetchable(names)).values())
        if (type !== undefined) this.#types.set(name, { name, dtype: dtypeOf(type), shape });
      for (const name of names) this.#asked.add(name);
      return true;
    } catch (error) {
      if (!isRefusal(error)) throw error;
      return false;
    }
  }

  /** The type is known, so the value can leave the graph and enter it. */
  knows(name: string): boolean {
    return (
      this.#types.has(name) || (this.#taps.model.graph?.inputs.some((input) => input.name === name) ?? false)
    );
  }

  /** undefined where the type of an input or output is not to be found. `fed`: what the inputs will be given. */
  async of(candidate: Candidate, fed: Values | undefined): Promise<Model | undefined> {
    for (const name of candidate.inputs)
      if (!this.#asked.has(name) && this.#taps.makes(name)) await this.#ask(name, undefined);
    const first = this.#attempt(candidate, fed);
    if (first.open.length === 0) return first.part;
    for (const name of first.open) await this.#ask(name, first.part);
    const second = this.#attempt(candidate, fed);
    return second.open.length === 0 ? second.part : undefined;
  }

  /** The part with the types that are known, and the values whose type is not. */
  #attempt(
    candidate: Candidate,
    fed: Values | undefined,
  ): { readonly part?: Model; readonly open: readonly string[] } {
    const known = new Map(this.#types);
    for (const name of candidate.inputs) {
      const value = fed?.get(name);
      if (!value) continue;
      const { dtype = dtypeOf(value.type), shape = value.dims } = known.get(name) ?? {};
      // What has a name in the whole graph keeps it; what is open there is as it is fed.
      known.set(name, { name, dtype, shape: shape.map((size, i) => named(size) ?? value.dims[i] ?? null) });
    }
    try {
      const part = extractNodes(this.#taps.model, candidate.nodes, candidate.outputs, known);
      const outputs = part.graph?.outputs ?? [];
      return { part, open: outputs.filter(({ dtype }) => dtype === 'unknown').map(({ name }) => name) };
    } catch (error) {
      if (!isMlserError(error) || error.code !== 'E_UNSUPPORTED') throw error;
      return { open: candidate.inputs.filter((name) => !known.has(name)) };
    }
  }

  /** What the runtime does not tell (it refuses the node) is taken to be what the part's first input is. */
  async #ask(name: string, part: Model | undefined): Promise<void> {
    if (!this.#asked.has(name) && this.#taps.makes(name)) await this.learn([name]);
    this.#asked.add(name);
    const guess = part?.graph?.inputs.find(({ dtype }) => isDType(dtype));
    if (guess && !this.#types.has(name))
      this.#types.set(name, { name, dtype: guess.dtype, shape: undefined });
  }
}

/** The runtime makes up names for sizes that it does not know. */
const named = (size: number | string | null): number | string | undefined =>
  size === null || (typeof size === 'string' && size.startsWith('unk__')) ? undefined : size;
