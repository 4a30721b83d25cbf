import type { Hash } from 'node:crypto';
import * as path from 'node:path';
import { Descriptors } from '../io/descriptors.js';
import { preadExactly } from '../io/disk.js';
import { DistinctSet } from './distinct.js';
import { SourceWindow } from './source-window.js';
import { type Arena, arena } from './wasm.js';

/** What tasks work with that are done one after the other on one thread. */
export class Workplace {
  readonly arena: Arena = arena();
  readonly files = new Descriptors();
  /** Bytes of a file that several tasks in a row want. */
  readonly window = new SourceWindow(this.files);
  /** What was found last for integers with common scales: least, then greatest values of columns. */
  ends: { readonly key: string; readonly ends: Float32Array; readonly finite: boolean } | undefined;
  /** Digests of tensors that are gone through in parts, by their programs. */
  readonly hashing = new Map<string, Hash>();
  #distinct: DistinctSet | undefined;

  /** An empty set, always the same one. */
  get distinct(): DistinctSet {
    this.#distinct ??= new DistinctSet();
    return this.#distinct.cleared();
  }

  /** Fills `into` with the bytes at `offset` of a file. */
  read(file: string, into: Uint8Array, offset: number): void {
    const held = this.window.bytes(file, offset, into.length);
    if (held) into.set(held);
    else preadExactly(this.files.reader(file), into, offset, path.basename(file));
  }

  close(): void {
    this.files.closeAll();
  }
}
