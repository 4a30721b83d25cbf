import type { WorkContext } from '../../core/format.js';
import { rangeTensor, type TensorSource } from '../../core/tensor.js';
import { createDiskSink, type DiskSource, joinPath, openDisk } from '../../io/disk.js';
import { createScratch } from '../../io/scratch-file.js';
import { transfer } from '../transfer.js';

export interface LaidDown {
  /** The same tensors, in order, each a range of a scratch file. */
  readonly tensors: readonly TensorSource[];
  /** The file goes. */
  release(): void;
}

const NAME = 'laid-down.bin';

/** The canonical bytes of tensors that are unfolded, gathered or computed, written down once to be read by ranges. */
export async function layDown(tensors: readonly TensorSource[], context: WorkContext): Promise<LaidDown> {
  const scratch = createScratch();
  const path = joinPath(scratch.folder, NAME);
  const sink = createDiskSink(path, NAME, { sync: false });
  let file: DiskSource | undefined;
  const release = (): void => {
    file?.close();
    scratch.remove();
  };
  try {
    let size = 0;
    const offsets = tensors.map(({ byteLength }) => {
      const at = size;
      size += Math.ceil(byteLength / 64) * 64;
      return at;
    });
    await transfer(
      tensors.map((tensor, i) => ({ tensor, sink, offset: offsets[i] ?? 0 })),
      context,
    );
    file = openDisk(path);
    const source = { ...file, derived: true };
    return { tensors: tensors.map(({ info }, i) => rangeTensor(info, source, offsets[i] ?? 0)), release };
  } catch (error) {
    release();
    throw error;
  } finally {
    sink.close();
  }
}
