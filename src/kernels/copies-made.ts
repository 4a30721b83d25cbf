import { Pipeline } from './pipeline.js';
import { keyText, type Program } from './program.js';
import type { CopyTask, Task } from './tasks.js';

interface Copy {
  readonly path: string;
  /** Where its first byte lies. */
  readonly offset: number;
  /** Bits of an element there. */
  readonly bits: number;
  /** Bits of the source that have been copied. */
  done: number;
}

/**
 * Where tensors of files lie once more, as they are or turned into others: whoever wants them again reads them there. A source
 * on a slow disk, or one that the system does not keep in memory, is then read once.
 */
export class CopiesMade {
  readonly #copies = new Map<string, Copy>();

  /** What tasks that have ended have copied. */
  add(tasks: readonly Task[]): void {
    for (const task of tasks) if (task.kind === 'copy' && isPlain(task.program)) this.#add(task);
  }

  #add({ program, start, end, path, offset }: CopyTask): void {
    const key = keyOf(program);
    const bits = new Pipeline(program.ops, program.inBits).outBits;
    const at = offset - (start * bits) / 8;
    let copy = this.#copies.get(key);
    if (!copy) {
      copy = { path, offset: at, bits, done: 0 };
      this.#copies.set(key, copy);
    }
    // Others have made a copy too: one is enough.
    if (copy.path === path && copy.offset === at) copy.done += (end - start) * program.inBits;
  }

  has(program: Program): boolean {
    return this.#whole(program) !== undefined;
  }

  /** The same task, which reads from a copy where there is one: of what it makes of the bytes, or of the bytes. */
  instead(task: Task): Task {
    const { program } = task;
    if (!isPlain(program)) return task;
    const made = program.ops.length > 0 ? this.#whole(program) : undefined;
    if (made) {
      const { path, offset, bits: inBits } = made;
      return { ...task, program: { ...program, path, offset, inBits, ops: [] } };
    }
    const copy = this.#whole({ ...program, ops: [] });
    return copy ? { ...task, program: { ...program, path: copy.path, offset: copy.offset } } : task;
  }

  #whole(program: Program): Copy | undefined {
    const copy = this.#copies.get(keyOf(program));
    return copy && copy.done >= program.count * program.inBits ? copy : undefined;
  }
}

/** What can be read by ranges, and has no sum to be checked. */
export const isPlain = ({ coded, crc32 }: Program): boolean => coded === undefined && crc32 === undefined;

/** The same of the same bytes of a file. */
export const keyOf = ({ path, offset, inBits, count, ops }: Program): string =>
  `${path} ${offset} ${(inBits * count) / 8} ${ops.length === 0 ? '' : keyText(ops)}`;
