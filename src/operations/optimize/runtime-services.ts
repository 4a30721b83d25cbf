import type { TensorSource } from '../../core/tensor.js';
import { memoryTensor, rangeTensor } from '../../core/tensor.js';
import { isMlserError } from '../../errors.js';
import { type Fact, factOf } from '../../graph/optimize/facts.js';
import type { Services } from '../../graph/optimize/pass.js';
import { joinPath, openDisk } from '../../io/disk.js';
import { createScratch } from '../../io/scratch-file.js';
import type { Runtime } from '../../runtime/process.js';
import { dtypeOf, type Value, type ValueInfo } from '../../runtime/values.js';
import { withOutputs } from '../observed-model.js';
import type { OpenedModel } from '../open.js';
import { openChanged } from '../open-changed.js';

/** Larger results are kept in a file. */
const IN_MEMORY_BYTES = 1 << 20;

export interface RuntimeServices extends Services {
  /** Removes what results were kept in. The runtime stays. */
  close(): void;
}

/** What passes ask of the runtime, on one thread: results must not depend on how many there are. */
export function runtimeServices(
  { model, files }: Pick<OpenedModel, 'model' | 'files'>,
  runtime: Runtime,
): RuntimeServices {
  const scratch = createScratch();
  const opened: ReturnType<typeof openDisk>[] = [];
  const keep = (name: string, value: Value): TensorSource | undefined => {
    if (value.type === 'string' || !ArrayBuffer.isView(value.data)) return undefined;
    const info = { name, dtype: dtypeOf(value.type), shape: [...value.dims] };
    const { buffer, byteOffset, byteLength } = value.data;
    const bytes = new Uint8Array(buffer, byteOffset, byteLength);
    if (byteLength <= IN_MEMORY_BYTES) return memoryTensor(info, bytes.slice(), 'constant');
    const file = scratch.create();
    file.append(bytes);
    const source = openDisk(joinPath(scratch.folder, file.name));
    opened.push(source);
    // Where it lies is no part of the model's folder: nothing may point at it.
    const { location: _, ...tensor } = rangeTensor(info, source, 0);
    return tensor;
  };
  return {
    async describe(changed, names) {
      const facts = new Map<string, Fact>();
      const session = await asked(() =>
        openChanged({ model, files }, runtime, withOutputs(changed, names, []), 1),
      );
      if (!session) return facts;
      for (const { name, type, shape } of session.outputs)
        if (type !== undefined && type !== 'string')
          facts.set(name, factOf({ dtype: dtypeOf(type), shape: shapeOf(shape) }));
      await session.release();
      return facts;
    },
    async evaluate(changed) {
      const session = await asked(() => openChanged({ model, files }, runtime, changed, 1));
      if (!session) return undefined;
      const run = await asked(() => session.run(new Map()));
      await session.release();
      if (!run) return undefined;
      const results = new Map<string, TensorSource>();
      for (const [name, value] of run.outputs) {
        const tensor = keep(name, value);
        if (tensor) results.set(name, tensor);
      }
      return results;
    },
    close() {
      for (const source of opened) source.close();
      scratch.remove();
    },
  };
}

/**
 * A shape as the runtime tells it: [] where it does not even know the number of dimensions, and names that it made up,
 * which mean something else the next time.
 */
const shapeOf = (shape: ValueInfo['shape']): (number | string | null)[] | undefined =>
  shape && shape.length > 0
    ? shape.map((dim) => (typeof dim === 'string' && /^unk__\d+$/.test(dim) ? null : dim))
    : undefined;

/** What the runtime cannot do is left as it is: the gate tells what it thinks of the whole. */
async function asked<T>(question: () => Promise<T>): Promise<T | undefined> {
  try {
    return await question();
  } catch (error) {
    if (isMlserError(error) && error.code === 'E_RUNTIME') return undefined;
    throw error;
  }
}
