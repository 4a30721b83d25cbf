import type { WorkContext } from '../../core/format.js';
import type { TensorSource } from '../../core/tensor.js';
import { castTensor } from '../cast.js';
import type { BlocksTask, TaskResult } from '../tasks.js';
import { refitted } from './affine.js';
import { columnsAtOnce, fitsAreas } from './blocks-task.js';
import { type InScratch, makeInScratch } from './in-scratch.js';
import { type LossFigures, lossOf } from './loss.js';
import { matrixShapes, matrixSpec, type NBitsMatrix, type NBitsSpec } from './matmul-nbits.js';
import type { Readable } from './readable.js';
import type { ScratchTensors } from './scratch-tensors.js';
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

interface Planned extends MatrixJob {
  readonly tasks: readonly BlocksTask[];
}

/**
 * Matrices of f32, or of f16 with scales of f16, quantized by the pool: each is read once, and what comes out goes into a scratch file, with its errors
 * counted on the way.
 */
export function quantizeMatrices(
  jobs: readonly MatrixJob[],
  context: WorkContext,
): Promise<InScratch<QuantizedMatrix>> {
  return sharedScratch('matrices', jobs, context, () =>
    makeInScratch(jobs.filter(isSuited), { plan: planOf, made: gathered }, context),
  );
}

/** What the kernel can do. */
const isSuited = ({ tensor: { info }, spec: { scaleType = 'f32', block } }: MatrixJob): boolean =>
  scaleType === info.dtype && scaleType !== 'bf16' && fitsAreas(info.shape[0] ?? 0, block);

function planOf(
  { tensor, spec }: MatrixJob,
  readable: Readable,
  scratch: ScratchTensors,
): Planned | undefined {
  const { shape } = tensor.info;
  const program = readable.program(tensor);
  const { bits, block, symmetric } = spec;
  const [rows = 0, columns = 0] = shape;
  if (!program) return undefined;
  const { packed, scales, zeros } = matrixShapes(shape, spec);
  const common = {
    ...{ kind: 'blocks' as const, program, rows, columns, bits, block, symmetric, path: scratch.path },
    halfScales: spec.scaleType === 'f16',
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
    scales: castTensor(
      scratch.tensor({ name, dtype: 'f32', shape: shapes.scales }, task.scalesAt),
      spec.scaleType ?? 'f32',
    ),
    ...(spec.symmetric
      ? {}
      : { zeroPoints: scratch.tensor({ name, dtype: 'u8', shape: shapes.zeros }, task.zerosAt) }),
    dequantized: refitted(tensor, matrixSpec(spec)),
  };
  return { matrix, loss };
}
