import { rangeTensor, type TensorInfo, type TensorSource } from '../../core/tensor.js';
import { type DiskSource, joinPath, openDisk } from '../../io/disk.js';
import { createScratch } from '../../io/scratch-file.js';

/** A scratch file that workers fill by position, and tensors in it. It is gone after `release`, or with the process. */
export class ScratchTensors {
  readonly path: string;
  readonly #scratch = createScratch();
  readonly #file = this.#scratch.create();
  #source: DiskSource | undefined;
  #size = 0;

  constructor() {
    this.path = joinPath(this.#scratch.folder, this.#file.name);
  }

  /** Room for so many bytes: where they begin. */
  place(bytes: number): number {
    const at = this.#size;
    this.#size += Math.ceil(bytes / 64) * 64;
    return at;
  }

  /** Bytes that are made here and not by workers (in a file that has no places for those): where they begin. */
  append(bytes: Uint8Array): number {
    this.#file.align(64);
    const at = this.#file.size;
    this.#file.append(bytes);
    return at;
  }

  /** Once everything is written. */
  tensor(info: TensorInfo, at: number): TensorSource {
    this.#source ??= openDisk(this.path);
    const { name, size, path } = this.#source;
    const source = this.#source;
    // Derived: a model must not point into this file.
    return rangeTensor(
      info,
      {
        name,
        size,
        path,
        derived: true,
        read: (o, n) => source.read(o, n),
      },
      at,
    );
  }

  release(): void {
    this.#source?.close();
    this.#file.remove();
    this.#scratch.remove();
  }
}
