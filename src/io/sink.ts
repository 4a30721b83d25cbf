/**
 * A staged file being written. Writers may append in order, or write by position (the layout is known before
 * any tensor byte is pulled, so worker threads can fill their own ranges of `path`).
 */
export interface ByteSink {
  /** File name inside the output folder. */
  readonly name: string;
  /** Absolute path of the staged file: workers open it themselves. Absent for in-memory sinks. */
  readonly path?: string;
  /** Bytes so far: the end of the furthest write. */
  readonly size: number;
  /** Writes all of `bytes` at `offset` or throws E_IO; a short write is never success. */
  writeAt(offset: number, bytes: Uint8Array): Promise<void>;
  /** Writes at the current end. */
  append(bytes: Uint8Array): Promise<void>;
  /** Tells the sink that others (workers) filled its file up to `size`. */
  extendTo(size: number): void;
  /** Gives up the bytes from `size` on, where the sink can. */
  truncate?(size: number): void;
}
