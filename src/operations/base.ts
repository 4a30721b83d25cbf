import type { ReadContext } from '../core/format.js';
import { LIMITS } from '../core/limits.js';
import type { DeltaInfo, Model } from '../core/model.js';
import { isMlserError, MlserError } from '../errors.js';
import { joinPath } from '../io/disk.js';
import type { InputFiles } from '../io/files.js';
import type { OpenedModel } from './open.js';

/** What a reader of deltas is given to find the models they build on. */
export interface BaseOptions {
  /** Paths that may be bases; before what lies beside the delta. */
  readonly bases?: readonly string[];
}

export type OpenContext = ReadContext & BaseOptions;

/** Files beside a delta that are looked into, at most. */
const MOST_NEIGHBOURS = 10_000;

/** What a file says of itself. */
interface Peeked {
  /** Undefined where it records none; empty where the file cannot be read. */
  readonly content: string | undefined;
  readonly depth: number;
}

type Open = (input: string, context: OpenContext) => Promise<OpenedModel>;

/** Finds the bases of one opened model, and keeps them open with it. */
export class Bases {
  readonly opened: OpenedModel[] = [];
  readonly #open: Open;
  readonly #context: OpenContext;
  /** A chain asks for the same files again and again. */
  readonly #peeked = new Map<string, Promise<Peeked>>();
  #depth = 0;

  constructor(open: Open, context: OpenContext) {
    this.#open = open;
    this.#context = context;
  }

  /** For the context of a reader. */
  readonly find = async (delta: DeltaInfo, files: InputFiles): Promise<Model | undefined> => {
    if (delta.depth > LIMITS.DELTA_DEPTH || ++this.#depth > LIMITS.DELTA_DEPTH)
      throw new MlserError(
        'E_LIMIT',
        `${files.label}: more than ${LIMITS.DELTA_DEPTH} deltas on top of each other`,
        {
          details: { file: files.main, limit: 'DELTA_DEPTH', allowed: LIMITS.DELTA_DEPTH },
          hint: 'fold the chain with mlser delta squash',
        },
      );
    return (await this.#named(delta, files)) ?? (await this.#beside(delta, files));
  };

  /** Among the paths that were given. A file that says which content it has must have the right one. */
  async #named(delta: DeltaInfo, files: InputFiles): Promise<Model | undefined> {
    const others: string[] = [];
    let unknown: string | undefined;
    for (const path of this.#context.bases ?? []) {
      const { content } = await this.#peek(path);
      if (content === delta.base) return this.#keep(path);
      if (content === undefined) unknown ??= path;
      else others.push(content);
    }
    if (unknown !== undefined) return this.#keep(unknown);
    const [other] = others;
    if (other === undefined || (await this.#isBeside(delta, files))) return undefined;
    throw baseMismatch(files.label, delta.base, other);
  }

  async #isBeside(delta: DeltaInfo, files: InputFiles): Promise<boolean> {
    return delta.file !== undefined && (await files.has(delta.file));
  }

  async #beside(delta: DeltaInfo, files: InputFiles): Promise<Model | undefined> {
    const { folder } = files;
    if (folder === undefined) return undefined;
    const { file } = delta;
    if (file !== undefined && file !== files.main && (await files.has(file))) {
      const path = joinPath(folder, file);
      const { content } = await this.#peek(path);
      if (content === undefined || content === delta.base) return this.#keep(path);
    }
    let other: string | undefined;
    for (const name of (await files.list()).slice(0, MOST_NEIGHBOURS))
      if (name.endsWith('.mlck') && name !== files.main && name !== file) {
        const path = joinPath(folder, name);
        const { content, depth } = await this.#peek(path);
        if (content !== delta.base) continue;
        if (depth < delta.depth) return this.#keep(path);
        other ??= path; // it may build on this very delta: only if there is nothing better
      }
    return other === undefined ? undefined : this.#keep(other);
  }

  #peek(path: string): Promise<Peeked> {
    const known = this.#peeked.get(path) ?? this.#look(path);
    this.#peeked.set(path, known);
    return known;
  }

  async #look(path: string): Promise<Peeked> {
    const { key } = this.#context;
    try {
      const peeked = await this.#open(path, { ...(key ? { key } : {}), findBase: async () => undefined });
      await peeked.close();
      const { recordedContent: content, delta } = peeked.model;
      return { content, depth: delta?.depth ?? 0 };
    } catch (error) {
      if (!isMlserError(error) || error.code === 'E_INTERRUPTED') throw error;
      if (this.#context.bases?.includes(path)) throw error;
      return { content: '', depth: 0 };
    }
  }

  async #keep(path: string): Promise<Model> {
    const model = await this.#open(path, { ...this.#context, findBase: this.find });
    this.opened.push(model);
    return model.model;
  }

  async close(): Promise<void> {
    for (const model of this.opened.splice(0)) await model.close();
  }
}

export const baseMismatch = (delta: string, needed: string, found: string): MlserError =>
  new MlserError(
    'E_BASE_MISMATCH',
    `${delta} was made from the model with content ${needed}, not from the one with content ${found}`,
    { details: { delta, needed, found }, hint: 'give the base that the delta was made from' },
  );

/** An error that another base would explain: something did not unfold, or has not the sum that a delta records. */
export const blamesBase = (error: unknown): error is MlserError =>
  isMlserError(error) &&
  (error.code === 'E_INTEGRITY' || error.code === 'E_MALFORMED') &&
  (error.details['base'] === true || ('recorded' in error.details && !('chunk' in error.details)));
