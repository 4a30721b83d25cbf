import { type DiskSource, joinPath, openDisk } from '../io/disk.js';
import { createScratch, type Scratch, type ScratchFile } from '../io/scratch-file.js';
import { type Value, type Values, viewAs } from '../runtime/values.js';

type Kept = Pick<Value, 'type' | 'dims'> & {
  readonly name: string;
  readonly offset: number;
  readonly length: number;
  /** Strings are few and stay in memory. */
  readonly strings?: readonly string[];
};

/** Outputs of runs, in a scratch file that is there from the first of them until `close`. */
export class KeptOutputs {
  #scratch: { readonly folder: Scratch; readonly file: ScratchFile } | undefined;
  #source: DiskSource | undefined;
  readonly #runs: (readonly Kept[])[] = [];

  /** The number under which they are found again. */
  put(outputs: Values): number {
    return this.#runs.push([...outputs].map(([name, value]) => this.#append(name, value))) - 1;
  }

  async get(run: number): Promise<Values> {
    const found = new Map<string, Value>();
    for (const { name, type, dims, offset, length, strings } of this.#runs[run] ?? []) {
      const data =
        type === 'string'
          ? (strings ?? [])
          : viewAs(type, (await this.#read(offset, length)) ?? new Uint8Array());
      found.set(name, { type, dims, data });
    }
    return found;
  }

  close(): void {
    this.#source?.close();
    this.#scratch?.file.remove();
    this.#scratch?.folder.remove();
    this.#source = this.#scratch = undefined;
  }

  #append(name: string, { type, dims, data }: Value): Kept {
    if (!ArrayBuffer.isView(data))
      return { name, type, dims, offset: 0, length: 0, strings: data as string[] };
    const folder = this.#scratch?.folder ?? createScratch();
    this.#scratch ??= { folder, file: folder.create() };
    const { file } = this.#scratch;
    file.align(8);
    const offset = file.size;
    file.append(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    return { name, type, dims, offset, length: data.byteLength };
  }

  async #read(offset: number, length: number): Promise<Uint8Array | undefined> {
    if (!this.#scratch) return undefined;
    // All is written before the first is read.
    this.#source ??= openDisk(joinPath(this.#scratch.folder.folder, this.#scratch.file.name));
    return this.#source.read(offset, length);
  }
}
