import { setImmediate } from 'node:timers/promises';
import type { TensorSource } from '../core/tensor.js';
import { Descriptors } from '../io/descriptors.js';
import type { Scratch, ScratchFile } from '../io/scratch-file.js';
import { ChunkReader } from '../kernels/codecs/chunk-reader.js';
import { loadCodecs } from '../kernels/codecs/index.js';
import type { PlacedSegment } from './proof-graph.js';
import type { Segment } from './proof-plan.js';

/** Places in the scratch file are multiples of this. */
const ALIGNMENT = 64;

/** Bytes that are unfolded before others get the thread. */
const STEP_BYTES = 1 << 20;

/** Segments whose bytes lie in a scratch file, for the runtime to map. */
export interface Batch {
  readonly segments: readonly PlacedSegment[];
  readonly file: ScratchFile;
}

/**
 * Decodes tensors into scratch files, one for each session. Every tensor is streamed once, from its front to its end
 * (whole passes also check what its format records), however many sessions it is cut into. The next file is filled
 * while its consumer is busy with the one before; there are never more than two.
 */
export async function* batchesOf(
  sessions: readonly (readonly Segment[])[],
  tensors: readonly TensorSource[],
  scratch: Scratch,
): AsyncGenerator<Batch> {
  const reader = new TensorReader(tensors);
  const fill = async (session: readonly Segment[]): Promise<Batch> => {
    const file = scratch.create();
    try {
      const segments: PlacedSegment[] = [];
      for (const segment of session) {
        file.align(ALIGNMENT);
        segments.push({ ...segment, from: { location: file.name, offset: file.size } });
        await reader.copy(segment, file);
      }
      return { segments, file };
    } catch (error) {
      file.remove();
      throw error;
    }
  };
  let next: Promise<Batch> | undefined;
  try {
    for (let i = 0; i < sessions.length; i++) {
      const batch = await (next ?? fill(sessions[i] ?? []));
      const following = sessions[i + 1];
      next = following && fill(following);
      next?.catch(() => {}); // told when its turn comes
      try {
        yield batch;
      } finally {
        batch.file.remove();
      }
    }
    await reader.finish();
  } finally {
    // Whoever stops early still has one file being filled.
    await next?.then(
      ({ file }) => file.remove(),
      () => {},
    );
    await reader.close();
  }
}

/** Reads segments that follow each other from one pass over each tensor. */
class TensorReader {
  readonly #tensors: readonly TensorSource[];
  #current = -1;
  #chunks: AsyncIterator<Uint8Array> | undefined;
  #rest: Uint8Array = new Uint8Array();
  /** Of a tensor that is unfolded from chunks of local files: here, where a thread has nothing else to do. */
  #unfolding: ChunkReader | undefined;
  readonly #files = new Descriptors();

  constructor(tensors: readonly TensorSource[]) {
    this.#tensors = tensors;
  }

  async copy({ tensor, bytes, start }: Segment, file: ScratchFile): Promise<void> {
    if (tensor !== this.#current) await this.#open(tensor);
    if (this.#unfolding) {
      await this.#unfold(this.#unfolding, start, bytes, file);
      return;
    }
    for (let missing = bytes; missing > 0; ) {
      if (this.#rest.byteLength === 0) {
        const step = await this.#chunks?.next();
        if (!step || step.done) throw new Error('a tensor streamed fewer bytes than it has');
        this.#rest = step.value;
      }
      const part = this.#rest.subarray(0, missing);
      file.append(part);
      this.#rest = this.#rest.subarray(part.byteLength);
      missing -= part.byteLength;
    }
  }

  async #unfold(chunks: ChunkReader, start: number, bytes: number, file: ScratchFile): Promise<void> {
    for (let done = 0; done < bytes; done += STEP_BYTES) {
      const part = new Uint8Array(Math.min(STEP_BYTES, bytes - done));
      chunks.read(start + done, part);
      file.append(part);
      await setImmediate(); // others want the thread too
    }
  }

  /** To the very end of the current tensor: sums are checked there. */
  async finish(): Promise<void> {
    while (this.#chunks && !(await this.#chunks.next()).done);
    this.#chunks = undefined;
  }

  async close(): Promise<void> {
    await this.#chunks?.return?.();
    this.#chunks = undefined;
    this.#files.closeAll();
  }

  async #open(tensor: number): Promise<void> {
    await this.finish();
    const source = this.#tensors[tensor];
    if (!source) throw new Error(`no tensor ${tensor}`);
    this.#current = tensor;
    this.#rest = new Uint8Array();
    const coded = source.recipe?.ops.length === 0 ? source.recipe.coded : undefined;
    if (coded) await loadCodecs();
    this.#unfolding = coded && new ChunkReader(coded, source.info.name, this.#files);
    if (coded) return;
    this.#chunks = source.stream()[Symbol.asyncIterator]();
  }
}
