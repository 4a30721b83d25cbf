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

type Open = (input: string, context: OpenContext) => Promise<OpenedModel>;

/** Finds the bases of one opened model, and keeps them open with it. */
export class Bases {
  readonly opened: OpenedModel[] = [];
  readonly #open: Open;
  readonly #context: OpenContext;
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
      const content = await this.#peek(path);
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
      const content = await this.#peek(path);
      if (content === undefined || content === delta.base) return this.#keep(path);
    }
    for (const name of (await files.list()).slice(0, MOST_NEIGHBOURS))
      if (name.endsWith('.mlck') && name !== files.main && name !== file) {
        const path = joinPath(folder, name);
        if ((await this.#peek(path)) === delta.base) return this.#keep(path);
      }
    return undefined;
  }

  /** The content id that a file records; undefined where it records none, or cannot be read. */
  async #peek(path: string): Promise<string | undefined> {
    const { key } = this.#context;
    try {
      const peeked = await this.#open(path, { ...(key ? { key } : {}), findBase: async () => undefined });
      await peeked.close();
      return peeked.model.recordedContent;
    } catch (error) {
      if (!isMlserError(error) || error.code === 'E_INTERRUPTED') throw error;
      if (this.#context.bases?.includes(path)) throw error;
      return '';
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

/** An error that says that a base does not fit. */
export const blamesBase = (error: unknown): error is MlserError =>
  isMlserError(error) && error.code === 'E_INTEGRITY' && error.details['base'] === true;
