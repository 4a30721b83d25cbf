import type { WorkContext } from '../../core/format.js';
import type { TensorSource } from '../../core/tensor.js';
import { withPool } from '../pool.js';
import { programOf } from '../program.js';
import type { BlocksTask, TaskResult } from '../tasks.js';
import { refitted } from './affine.js';
import { columnsAtOnce, fitsAreas } from './blocks-task.js';
import { type LossFigures, lossOf } from './loss.js';
import { matrixShapes, matrixSpec, type NBitsMatrix, type NBitsSpec } from './matmul-nbits.js';
import { ScratchTensors } from './scratch-tensors.js';
import { sharedScratch } from './shared-scratch.js';

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
export function quantizeMatrices(
  jobs: readonly MatrixJob[],
  context: WorkContext,
): Promise<QuantizedMatrices> {
  return sharedScratch('matrices', jobs, context, () => quantized(jobs, context));
}

async function quantized(jobs: readonly MatrixJob[], context: WorkContext): Promise<QuantizedMatrices> {
  const scratch = new ScratchTensors();
  try {
    const plans = jobs.flatMap((job) => planOf(job, scratch) ?? []);
    const results = await withPool(context, (pool) =>
      pool.run(
        plans.flatMap(({ tasks }) => tasks),
        context.signal,
      ),
    );
    const done = new Map<string, QuantizedMatrix>();
    let at = 0;
    for (const plan of plans) {
      const own = results.slice(at, at + plan.tasks.length);
      at += plan.tasks.length;
      done.set(plan.tensor.info.name, gathered(plan, own, scratch));
    }
    return { done, release: () => scratch.release() };
  } catch (error) {
    scratch.release();
    throw error;
  }
}

function planOf({ tensor, spec }: MatrixJob, scratch: ScratchTensors): Planned | undefined {
  const { dtype, shape } = tensor.info;
  const program = programOf(tensor);
  const { bits, block, symmetric } = spec;
  const [rows = 0, columns = 0] = shape;
  if (!program || dtype !== 'f32' || program.ops.length > 0 || program.coded || program.crc32)
    return undefined;
  if (spec.scaleType === 'f16' || !fitsAreas(rows, block)) return undefined;
  const { packed, scales, zeros } = matrixShapes(shape, spec);
  const common = {
    ...{ kind: 'blocks' as const, program, rows, columns, bits, block, symmetric, path: scratch.path },
    codesAt: scratch.place(product(packed)),
    scalesAt: scratch.place(product(scales) * 4),
    zerosAt: symmetric ? 0 : scratch.place(product(zeros)),
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
  scratch: ScratchTensors,
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
    packed: scratch.tensor({ name, dtype: 'u8', shape: shapes.packed }, task.codesAt),
    scales: scratch.tensor({ name, dtype: 'f32', shape: shapes.scales }, task.scalesAt),
    ...(spec.symmetric
      ? {}
      : { zeroPoints: scratch.tensor({ name, dtype: 'u8', shape: shapes.zeros }, task.zerosAt) }),
    dequantized: refitted(tensor, matrixSpec(spec)),
  };
  return { matrix, loss };
}
