import { MlserError } from '../../src/errors.js';
import type { InputFiles, OutputFiles } from '../../src/io/files.js';
import { memorySource } from '../../src/io/memory.js';
import type { ByteSink } from '../../src/io/sink.js';
import type { ByteSource } from '../../src/io/source.js';

/** A family of files in memory, for readers. */
export function memoryFiles(main: string, files: ReadonlyMap<string, Uint8Array>): InputFiles {
  const opened = new Map<string, ByteSource>();
  return {
    main,
    label: main,
    async open(name) {
      const bytes = files.get(name);
      if (!bytes) throw new MlserError('E_NOT_FOUND', `${name} does not exist`);
      const source = opened.get(name) ?? memorySource(bytes, name);
      opened.set(name, source);
      return source;
    },
    has: async (name) => files.has(name),
    list: async () => [...files.keys()].sort(),
    opened: () => [...opened.values()],
    async assertUnchanged() {},
    async close() {},
  };
}

/** A sink in memory that grows as it is written. */
class MemorySink implements ByteSink {
  #bytes = new Uint8Array(1 << 16);
  size = 0;
  readonly name: string;
  constructor(name: string) {
    this.name = name;
  }
  #grow(end: number): void {
    if (end > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(end, this.#bytes.length * 2));
      larger.set(this.#bytes);
      this.#bytes = larger;
    }
    this.size = Math.max(this.size, end);
  }
  async writeAt(offset: number, bytes: Uint8Array): Promise<void> {
    this.#grow(offset + bytes.byteLength);
    this.#bytes.set(bytes, offset);
  }
  append(bytes: Uint8Array): Promise<void> {
    return this.writeAt(this.size, bytes);
  }
  extendTo(end: number): void {
    this.#grow(end);
  }
  truncate(end: number): void {
    this.#bytes.fill(0, end);
    this.size = Math.min(this.size, end);
  }
  written(): Uint8Array {
    return this.#bytes.slice(0, this.size);
  }
}

/** Output kept in memory: `bytes(name)` is what was written. */
export function memoryOutput(target: string): OutputFiles & { bytes(name?: string): Uint8Array } {
  const sinks = new Map<string, MemorySink>();
  let main = target;
  const bytes = (name = main): Uint8Array => sinks.get(name)?.written() ?? new Uint8Array();
  return {
    get main() {
      return main;
    },
    setMain(name) {
      main = name;
    },
    bytes,
    taken: () => false,
    async create(name) {
      const sink = new MemorySink(name);
      sinks.set(name, sink);
      return sink;
    },
    stage: async () =>
      memoryFiles(main, new Map([...sinks.keys()].map((name) => [name, bytes(name)] as const))),
    async commit() {},
    async abort() {
      sinks.clear();
    },
  };
}
