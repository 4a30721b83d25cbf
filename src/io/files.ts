import type { ByteSink } from './sink.js';
import type { ByteSource } from './source.js';

/**
 * A model is one file or a family (shards, ONNX external data, a Hugging Face folder).
 * Names never lead out of the folder: `open` refuses them with E_UNSAFE before touching the disk.
 */
export interface InputFiles {
  /** Name of the file the user pointed at, inside the folder. */
  readonly main: string;
  /** What the user typed, for messages and reports. */
  readonly label: string;
  /** Absolute folder path when the files are on a local disk. */
  readonly folder?: string;
  /** Opens a sibling (or the main file). E_NOT_FOUND, E_UNSAFE. The same name gives the same source. */
  open(name: string): Promise<ByteSource>;
  /** True if a regular file of that (safe) name is there. */
  has(name: string): Promise<boolean>;
  /** File names directly in the folder (no sub-folders), sorted; empty where listing is impossible (http). */
  list(): Promise<readonly string[]>;
  /** Files opened so far, for reports. */
  opened(): readonly ByteSource[];
  /** Throws E_CHANGED if an opened file's size, mtime or inode differs from when it was opened. */
  assertUnchanged(): Promise<void>;
  close(): Promise<void>;
}

/**
 * All or nothing: files are written into a private folder beside the target under their final names,
 * can be read there through `stage`, and appear at the target on `commit` (fsync, rename; main file last).
 */
export interface OutputFiles {
  /** Final name of the main file: that of the target, unless `setMain` named another. */
  readonly main: string;
  /**
   * Names another file of the family as the main one (the index of a sharded model). A file at the target itself
   * is then out of date: `commit` removes it, which is why it needs `force` as any replacement does.
   */
  setMain(name: string): void;
  /** True if the target folder already has a file of that name (which `commit` would replace). */
  taken(name: string): boolean;
  create(name: string): Promise<ByteSink>;
  /**
   * A data file that the file at the target names and the new family does not need: `commit` removes it with the file that
   * it replaces. Nothing happens where no file is replaced (it belongs to something else), or where it is being read.
   */
  retire?(name: string): void;
  /**
   * Lets the staged files find a file of the target folder that stays as it is. False where that cannot be done
   * without a copy (no such regular file, in a sub-folder, a disk without hard links).
   */
  borrow?(name: string): boolean;
  /** Flushes and opens what was written so far as input, from its staged place. */
  stage(): Promise<InputFiles>;
  commit(): Promise<void>;
  abort(): Promise<void>;
}
