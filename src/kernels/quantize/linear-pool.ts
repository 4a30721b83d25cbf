import { dtypeFacts, elementCount } from '../../core/dtype.js';
import type { WorkContext } from '../../core/format.js';
import type { TensorSource } from '../../core/tensor.js';
import type { Program } from '../program.js';
import type { EndsTask, LinearTask, TaskResult } from '../tasks.js';
import {
  type AffineSpec,
  type AffineTensor,
  heldScales,
  type Parameters,
  parametersOf,
  withParameters,
} from './affine.js';
import { STEP_ELEMENTS } from './f32-source.js';
import type { InScratch } from './in-scratch.js';
import { endsOfGroups, MOST_COLUMNS } from './linear-task.js';
import { type LossFigures, lossOf } from './loss.js';
import { type Readable, withReadable } from './readable.js';
import { ScratchTensors } from './scratch-tensors.js';

export interface LinearJob {
  readonly tensor: TensorSource;
  readonly spec: AffineSpec;
}

export interface QuantizedAffine {
  /** Undefined if a value is NaN or infinite. */
  readonly affine?: AffineTensor;
  readonly loss?: LossFigures;
}

/** Bytes of rows that one task does. */
const TASK_BYTES = 16 << 20;

interface Planned extends LinearJob {
  readonly program: Program;
  readonly columns: number;
  /** Every row has a scale (the first axis, or blocks along the last one), else every column or all. */
  readonly byRow: boolean;
}

/**
 * Tensors of f32, f16 or bf16 as integers of at most 8 bits with a scale for each index of the first or
 * the last axis, for blocks along the last one, or one for all, made by the pool. Where columns of a large
 * tensor share scales, a pass looks for ends first.
 */
export async function quantizeLinear(
  jobs: readonly LinearJob[],
  context: WorkContext,
): Promise<InScratch<QuantizedAffine>> {
  const scratch = new ScratchTensors();
  const done = new Map<string, QuantizedAffine>();
  const suited = jobs.filter(isSuited);
  try {
    await withReadable(
      suited.map(({ tensor }) => tensor),
      context,
      async (readable) => {
        const plans = suited.flatMap((job) => planOf(job, readable) ?? []);
        const large = plans.filter(looksFirst);
        const others = plans.filter((plan) => !looksFirst(plan));
        const looks = large.map(endsTasks);
        const tasks = others.map((plan) => linearTasks(plan, undefined, scratch));
        const results = inLists([...looks, ...tasks], await readable.run([...looks, ...tasks].flat()));
        others.forEach((plan, i) => {
          const own = results[looks.length + i] ?? [];
          done.set(plan.tensor.info.name, gathered(plan, undefined, own, tasks[i]?.[0], scratch));
        });
        const found = large.map((plan, i) => columnParameters(plan, results[i] ?? []));
        const later = large.map((plan, i) => linearTasks(plan, found[i], scratch));
        const rest = inLists(later, await readable.run(later.flat()));
        large.forEach((plan, i) => {
          done.set(plan.tensor.info.name, gathered(plan, found[i], rest[i] ?? [], later[i]?.[0], scratch));
        });
      },
    );
    return { done, release: () => scratch.release() };
  } catch (error) {
    scratch.release();
    throw error;
  }
}

/** Results by the lists that their tasks came in. */
function inLists(lists: readonly (readonly unknown[])[], results: readonly TaskResult[]): TaskResult[][] {
  let at = 0;
  return lists.map(({ length }) => {
    at += length;
    return results.slice(at - length, at);
  });
}

/** What the kernel can do. */
function isSuited({ tensor, spec }: LinearJob): boolean {
  const { shape } = tensor.info;
  const { axis, block, rule = 'linear', scaleType = 'f32', dtype } = spec;
  if (rule !== 'linear' || dtypeFacts(dtype).bits > 8) return false;
  // Scales of a tensor fit its own type.
  if (scaleType !== 'f32' && scaleType !== tensor.info.dtype) return false;
  const last = shape.length - 1;
  if (block !== undefined) return axis === last && (shape[last] ?? 1) % block === 0;
  return axis === undefined || axis === 0 || axis === last;
}

function planOf({ tensor, spec }: LinearJob, readable: Readable): Planned | undefined {
  const { shape, name } = tensor.info;
  const program = readable.program(tensor);
  const { axis, block } = spec;
  if (!program) return undefined;
  const byRow = axis === 0 || block !== undefined;
  const columns = block ?? (byRow ? elementCount(shape, name) / (shape[0] ?? 1) : (shape.at(-1) ?? 1));
  if ((columns * dtypeFacts(spec.dtype).bits) % 8 !== 0) return undefined;
  const most = program.ops.length > 0 ? STEP_ELEMENTS : MOST_COLUMNS;
  return columns > most ? undefined : { tensor, spec, program, columns, byRow };
}

/** Ranges of whole rows. */
function rangesOf({ program: { count }, columns }: Planned): { start: number; end: number }[] {
  const step = Math.max(1, Math.floor(TASK_BYTES / 4 / columns)) * columns;
  return Array.from({ length: Math.ceil(count / step) }, (_, i) => ({
    start: i * step,
    end: Math.min(count, (i + 1) * step),
  }));
}

/** Common scales of more rows than one task has. Smaller tensors are read once: their task looks for the ends by itself. */
const looksFirst = (plan: Planned): boolean => !plan.byRow && rangesOf(plan).length > 1;

const endsTasks = (plan: Planned): EndsTask[] =>
  rangesOf(plan).map((range) => ({
    kind: 'ends',
    program: plan.program,
    columns: plan.columns,
    ...range,
  }));

/** Scales and zero points of columns, or one of all. Null: not all values are finite. */
function columnParameters({ spec, columns }: Planned, own: readonly TaskResult[]): Parameters | null {
  if (!own.every(({ finite }) => finite)) return null;
  const ends = endsOfGroups(
    own.flatMap((result) => result.ends ?? []),
    columns,
    spec.axis === undefined ? 1 : columns,
  );
  return parametersOf({ ...ends, finite: true }, spec);
}

function linearTasks(
  plan: Planned,
  found: Parameters | null | undefined,
  scratch: ScratchTensors,
): LinearTask[] {
  if (found === null) return [];
  const { program, columns, spec } = plan;
  const { dtype, symmetric, reduceRange = false, scaleType = 'f32' } = spec;
  const all = <T extends Float32Array | Int32Array>(values: T): Float32Array =>
    values.length === columns ? Float32Array.from(values) : new Float32Array(columns).fill(values[0] ?? 0);
  const codesAt = scratch.place((program.count * dtypeFacts(dtype).bits) / 8);
  return rangesOf(plan).map((range) => ({
    kind: 'linear',
    ...{ program, columns, rounding: { dtype, symmetric, reduceRange }, codesAt, path: scratch.path },
    scaleType,
    ...(found ? { scales: all(heldScales(scaleType, found.scales)), zeros: all(found.zeros) } : {}),
    ...(plan.byRow || found
      ? {}
      : { over: spec.axis === undefined ? ('all' as const) : ('columns' as const) }),
    ...range,
  }));
}

function gathered(
  { tensor, spec, program }: Planned,
  found: Parameters | null | undefined,
  results: readonly TaskResult[],
  task: LinearTask | undefined,
  scratch: ScratchTensors,
): QuantizedAffine {
  if (!task || !results.every(({ finite }) => finite)) return {};
  const affine = withParameters(tensor, spec, found ?? foundBy(results));
  const codes = scratch.tensor(affine.codes.info, task.codesAt);
  const errors = results.flatMap((result) => result.errors ?? []);
  return { affine: { ...affine, codes }, loss: lossOf(errors, program.count) };
}

/** What tasks found by themselves. */
function foundBy(results: readonly TaskResult[]): Parameters {
  const parts = results.flatMap(({ parameters }) => parameters ?? []);
  const count = parts.reduce((sum, part) => sum + part.length / 2, 0);
  const found = { scales: new Float32Array(count), zeros: new Int32Array(count) };
  let at = 0;
  for (const part of parts) {
    const half = part.length / 2;
    found.scales.set(part.subarray(0, half), at);
    found.zeros.set(part.subarray(half), at);
    at += half;
  }
  return found;
}
