import type { TensorSource } from '../core/tensor.js';
import { type CopiesMade, isPlain, keyOf } from './copies-made.js';
import { Pipeline } from './pipeline.js';
import { type Program, programOf } from './program.js';
import { ScratchTensors } from './quantize/scratch-tensors.js';
import { type CopyTask, rangesOf, type Task } from './tasks.js';

/** Elements that a task copies. */
const TASK_ELEMENTS = 4 << 20;

/** What will probably be written, kept in a scratch file where the source is read before that is certain. */
export class KeptCopies {
  readonly #wanted = new Map<string, Program>();
  #scratch: ScratchTensors | undefined;

  foresee(tensors: readonly TensorSource[]): void {
    for (const tensor of tensors) {
      const program = programOf(tensor);
      if (program && isPlain(program)) this.#wanted.set(keyOf(program), program);
    }
  }

  /** What these read in their own way is read from a copy instead. */
  keepFor(tasks: readonly Task[]): void {
    for (const { program } of tasks) {
      const bytes = { ...program, ops: [] };
      if (isPlain(program)) this.#wanted.set(keyOf(bytes), bytes);
    }
  }

  /** Copies what has been foreseen since, and is not there yet. */
  tasks(made: CopiesMade): CopyTask[] {
    const programs = [...this.#wanted.values()].filter((program) => !made.has(program));
    this.#wanted.clear();
    return programs.flatMap((program) => this.#copy(program));
  }

  #copy(program: Program): CopyTask[] {
    this.#scratch ??= new ScratchTensors();
    const { path } = this.#scratch;
    const { outBits, outBytes } = new Pipeline(program.ops, program.inBits);
    const at = this.#scratch.place(outBytes(0, program.count));
    return rangesOf(program.count, TASK_ELEMENTS).map((range) => ({
      ...{ kind: 'copy', program, path, ...range },
      offset: at + (range.start * outBits) / 8,
      ...{ crc32: false, sha256: false, crcEvery: undefined },
    }));
  }

  /** The file goes. */
  release(): void {
    this.#scratch?.release();
    this.#scratch = undefined;
  }
}
