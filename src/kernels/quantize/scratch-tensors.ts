import { rangeTensor, type TensorInfo, type TensorSource } from '../../core/tensor.js';
import { type DiskSource, joinPath, openDisk } from '../../io/disk.js';
import { createScratch } from '../../io/scratch-file.js';

/** A scratch file that workers fill by position, and tensors in it. It is gone after `release`, or with the process. */
export class ScratchTensors {
  readonly path: string;
  readonly #scratch = createScratch();
  readonly #file = this.#scratch.create();
  readonly #sources: DiskSource[] = [];
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

  /** Writes bytes behind all that was put before; not together with `place`. Where they begin. */
  put(bytes: Uint8Array): number {
    this.#file.align(64);
    const at = this.#file.size;
    this.#file.append(bytes);
    return at;
  }

  /** Once it is written; what is put later comes behind it. */
  tensor(info: TensorInfo, at: number): TensorSource {
    const source = this.#opened();
    const { name, size, path } = source;
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

  /** A source is as long as the file was when it was opened. */
  #opened(): DiskSource {
    const last = this.#sources.at(-1);
    if (last && last.size >= this.#file.size) return last;
    const source = openDisk(this.path);
    this.#sources.push(source);
    return source;
  }

  release(): void {
    for (const source of this.#sources) source.close();
    this.#file.remove();
    this.#scratch.remove();
  }
}
