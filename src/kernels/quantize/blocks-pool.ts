import type { WorkContext } from '../../core/format.js';
import { rangeTensor, type TensorInfo, type TensorSource } from '../../core/tensor.js';
import { joinPath, openDisk } from '../../io/disk.js';
import { createScratch } from '../../io/scratch-file.js';
import { withPool } from '../pool.js';
import { programOf } from '../program.js';
import type { BlocksTask, TaskResult } from '../tasks.js';
import { columnsAtOnce, fitsAreas } from './blocks-task.js';
import { type LossFigures, lossOf } from './loss.js';
import { matrixShapes, type NBitsMatrix, type NBitsSpec, refitted } from './matmul-nbits.js';

export interface MatrixJob {
  readonly tensor: TensorSource;
  readonly spec: NBitsSpec;
}

export interface QuantizedMatrix {
  /** Undefined if a value is NaN or infinite. */
  readonly matrix?: NBitsMatrix;
  readonly loss: LossFigures;
}

export interface QuantizedMatrices {
  /** By the name of the tensor; those that have to be streamed are missing. */
  readonly done: ReadonlyMap<string, QuantizedMatrix>;
  /** Their bytes go: to be called when nothing reads them any more. */
  release(): void;
}

interface Planned extends MatrixJob {
  readonly tasks: readonly BlocksTask[];
}

/**
 * Matrices that lie in files as f32, quantized by the pool: each is read once, and what comes out goes into a scratch
 * file, with its errors counted on the way.
 */
export async function quantizeMatrices(
  jobs: readonly MatrixJob[],
  context: WorkContext,
): Promise<QuantizedMatrices> {
  if (jobs.length === 0) return { done: new Map(), release: () => {} };
  const scratch = createScratch();
  try {
    const file = scratch.create();
    const path = joinPath(scratch.folder, file.name);
    let size = 0;
    const place = (bytes: number): number => {
      const at = size;
      size += Math.ceil(bytes / 64) * 64;
      return at;
    };
    const plans = jobs.flatMap((job) => planOf(job, path, place) ?? []);
    const results = await withPool(context, (pool) =>
      pool.run(
        plans.flatMap(({ tasks }) => tasks),
        context.signal,
      ),
    );
    const source = openDisk(path);
    const read = (info: TensorInfo, at: number): TensorSource =>
      rangeTensor(info, { ...source, derived: true, read: source.read.bind(source) }, at);
    const done = new Map<string, QuantizedMatrix>();
    let at = 0;
    for (const plan of plans) {
      const own = results.slice(at, at + plan.tasks.length);
      at += plan.tasks.length;
      done.set(plan.tensor.info.name, gathered(plan, own, read));
    }
    return {
      done,
      release() {
        source.close();
        file.remove();
        scratch.remove();
      },
    };
  } catch (error) {
    scratch.remove();
    throw error;
  }
}

function planOf(
  { tensor, spec }: MatrixJob,
  path: string,
  place: (bytes: number) => number,
): Planned | undefined {
  const { dtype, shape } = tensor.info;
  const program = programOf(tensor);
  const { bits, block, symmetric } = spec;
  const [rows = 0, columns = 0] = shape;
  if (!program || dtype !== 'f32' || program.ops.length > 0 || program.coded || program.crc32)
    return undefined;
  if (spec.scaleType === 'f16' || !fitsAreas(rows, block)) return undefined;
  const { packed, scales, zeros } = matrixShapes(shape, spec);
  const common = {
    ...{ kind: 'blocks' as const, program, rows, columns, bits, block, symmetric, path },
    codesAt: place(product(packed)),
    scalesAt: place(product(scales) * 4),
    zerosAt: symmetric ? 0 : place(product(zeros)),
  };
  const step = columnsAtOnce(rows, block, bits);
  const tasks: BlocksTask[] = [];
  for (let first = 0; first < columns; first += step) {
    const last = Math.min(columns, first + step);
    tasks.push({ ...common, first, last, start: 0, end: rows * (last - first) });
  }
  return { tensor, spec, tasks };
}

const product = (sizes: readonly number[]): number => sizes.reduce((all, size) => all * size, 1);

function gathered(
  { tensor, spec, tasks }: Planned,
  results: readonly TaskResult[],
  read: (info: TensorInfo, at: number) => TensorSource,
): QuantizedMatrix {
  const { name, shape } = tensor.info;
  const loss = lossOf(
    results.flatMap(({ errors }) => (errors ? [errors] : [])),
    product(shape),
  );
  const [task] = tasks;
  if (!loss.finite || !task) return { loss };
  const shapes = matrixShapes(shape, spec);
  const matrix: NBitsMatrix = {
    packed: read({ name, dtype: 'u8', shape: shapes.packed }, task.codesAt),
    scales: read({ name, dtype: 'f32', shape: shapes.scales }, task.scalesAt),
    ...(spec.symmetric ? {} : { zeroPoints: read({ name, dtype: 'u8', shape: shapes.zeros }, task.zerosAt) }),
    dequantized: refitted(tensor, spec),
  };
  return { matrix, loss };
}
