import type { Program } from './program.js';
import type { CopyTask, Task } from './tasks.js';

interface Copy {
  readonly path: string;
  /** Where its first byte lies. */
  readonly offset: number;
  /** Bytes that are there. */
  bytes: number;
}

/**
 * Where bytes of files lie once more since they were copied as they are: whoever wants them again reads them there. A source
 * on a slow disk, or one that the system does not keep in memory, is then read once.
 */
export class CopiesMade {
  readonly #copies = new Map<string, Copy>();

  /** What tasks that have ended have copied. */
  add(tasks: readonly Task[]): void {
    for (const task of tasks) if (task.kind === 'copy' && isPlain(task)) this.#add(task);
  }

  #add({ program, start, end, path, offset }: CopyTask): void {
    const key = keyOf(program);
    const at = offset - (start * program.inBits) / 8;
    let copy = this.#copies.get(key);
    if (!copy) {
      copy = { path, offset: at, bytes: 0 };
      this.#copies.set(key, copy);
    }
    // Others have made a copy too: one is enough.
    if (copy.path === path && copy.offset === at) copy.bytes += ((end - start) * program.inBits) / 8;
  }

  /** The same task, which reads from a copy where there is one. */
  instead(task: Task): Task {
    const { program } = task;
    if (program.coded || program.crc32) return task;
    const copy = this.#copies.get(keyOf(program));
    if (!copy || copy.bytes < bytesOf(program)) return task;
    return { ...task, program: { ...program, path: copy.path, offset: copy.offset } };
  }
}

const isPlain = ({ program }: CopyTask): boolean =>
  program.ops.length === 0 && !program.coded && !program.crc32;

const bytesOf = ({ inBits, count }: Program): number => (inBits * count) / 8;

/** The same bytes of the same file. */
const keyOf = (program: Program): string => [program.path, program.offset, bytesOf(program)].join(' ');
