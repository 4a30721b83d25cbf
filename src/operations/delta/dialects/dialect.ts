import type { WorkContext } from '../../../core/format.js';
import type { Model } from '../../../core/model.js';
import type { Finding } from '../../../errors.js';
import type { OutputFiles } from '../../../io/files.js';
import type { OpenedModel } from '../../open.js';

/** What a delta says about itself; each dialect writes the ones that it has a place for. */
export interface DialectOptions {
  /** Number of the new state; default: the one after `baseVersion`. */
  readonly version?: number;
  /** Number of the state that the delta starts from; default 0. */
  readonly baseVersion?: number;
  /** slime: checksum of the new bytes of a tensor (`xxh3-128`, `blake3`, `adler32`). */
  readonly checksum?: string;
  /** TRL: what the base is called. */
  readonly baseModelId?: string;
}

/** A layout in which another program ships the difference between two models. */
export interface Dialect {
  readonly id: string;
  readonly title: string;
  /** What the main file of a delta is called in a folder of its own. */
  readonly file: string;
  recognises(opened: OpenedModel): boolean | Promise<boolean>;
  /**
   * The model that the delta makes of `base`. Reads headers only; the bytes come from the base when they are pulled.
   * @throws E_BASE_MISMATCH if the base cannot be the one that the delta was made from; E_MALFORMED, E_UNSUPPORTED.
   */
  apply(base: Model, delta: OpenedModel, context: WorkContext): Promise<Model>;
  /**
   * Reads all of the result to check what the delta says about the whole of it; absent where it says nothing, or
   * says it tensor by tensor.
   * @throws E_BASE_MISMATCH
   */
  verify?(result: Model, delta: OpenedModel, context: WorkContext): Promise<readonly Finding[]>;
  /**
   * Writes what turns `base` into `next`. The bytes depend on nothing else.
   * @throws E_UNSUPPORTED where the layout has no place for the difference.
   */
  write(
    base: Model,
    next: Model,
    files: OutputFiles,
    context: WorkContext & DialectOptions,
  ): Promise<Finding[]>;
}
