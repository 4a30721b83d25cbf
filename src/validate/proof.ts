import type { WorkContext } from '../core/format.js';
import type { Model } from '../core/model.js';
import type { TensorSource } from '../core/tensor.js';
import { type Finding, finding, MlserError } from '../errors.js';
import type { InputFiles } from '../io/files.js';
import { createScratch } from '../io/scratch-file.js';
import { statTensors, type TensorStats } from '../kernels/statistics.js';
import { together } from '../kernels/together.js';
import type { Runtime } from '../runtime/process.js';
import type { Values } from '../runtime/values.js';
import { batchesOf } from './hand-over.js';
import { isRefusedPath } from './open-session.js';
import { OUTPUTS, type PlacedSegment, proofModel } from './proof-graph.js';
import { asBytes, type Reading, readingOf, type Segment, segmentsOf, sessionsOf } from './proof-plan.js';

/** What the runtime read. */
export interface Proof {
  /** Tensors that the runtime read from the written bytes itself. */
  readonly read: number;
  /** Tensors that our reader decoded (compressed, strided) and handed over. */
  readonly fed: number;
  /** Of all: read as plain bytes. */
  readonly asBytes: number;
  readonly findings: readonly Finding[];
}

/** Bytes of one session: mapped by the runtime, so they count towards its memory. */
const SESSION_BYTES = 64 * 1024 * 1024;
/** Two files of this size are there at a time. */
const SCRATCH_BYTES = 32 * 1024 * 1024;

/** Our own figures of tensors that somebody else reads anyway, by name; absent: read here. */
export type KnownFigures = ReadonlyMap<string, TensorStats>;

/**
 * Weights without a graph: onnxruntime itself reads the written bytes, through generated graphs whose initializers
 * are external data in the written files, casts them to floats and reduces them. The least, the greatest and the
 * sum of every tensor must equal our own figures. What does not lie in the file as plain bytes is decoded by our
 * reader into scratch files, and read by the runtime from there (`fed`). Memory is bounded by the size of one session.
 * `known` may come later: the runtime reads meanwhile.
 */
export async function proveWeights(
  model: Model,
  files: InputFiles,
  runtime: Runtime,
  context: WorkContext,
  known: Promise<KnownFigures> = Promise.resolve(new Map()),
): Promise<Proof> {
  const tensors = model.tensors.filter(
    ({ info, byteLength }) => byteLength > 0 && !model.aliases.has(info.name) && info.dtype !== 'str',
  );
  const total = tensors.reduce((sum, tensor) => sum + tensor.byteLength, 0);
  context.progress.stage('onnxruntime', total);
  const { folder } = files;
  const direct = new Set(
    folder === undefined ? [] : tensors.flatMap((tensor, i) => (tensor.location ? [i] : [])),
  );
  const figures = tensors.map((): Figures => nothing());
  const typed = tensors.map(readingOf);
  let chosen: Chosen[] = [];
  await together(context.signal, [
    (signal) => readAll(typed, signal),
    async (signal) => {
      chosen = await chooseReadings(tensors, typed, await known, { ...context, signal });
    },
  ]);
  // Few: what our figures say cannot be compared as it was read is read in another way.
  const again = chosen.map(({ reading }, i) => (reading === typed[i] ? undefined : reading));
  again.forEach((reading, i) => {
    if (reading) figures[i] = nothing();
  });
  await readAll(again, context.signal);
  const findings = tensors.flatMap((tensor, i) => check(tensor, chosen[i], figures[i]) ?? []);
  return {
    read: direct.size,
    fed: tensors.length - direct.size,
    asBytes: chosen.filter(({ reading }, i) => reading.as === 'u8' && tensors[i]?.info.dtype !== 'u8').length,
    findings,
  };

  /** The figures of the tensors that have a reading: those that lie in the file from there, then the others. */
  async function readAll(
    readings: readonly (Reading | undefined)[],
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const plan = (list: readonly number[], bytes: number): Segment[][] =>
      sessionsOf(
        list.flatMap((i) => {
          const reading = readings[i];
          return reading ? segmentsOf(i, reading) : [];
        }),
        bytes,
      );
    for (const session of plan([...direct], SESSION_BYTES)) {
      if (direct.size === 0) break;
      const placed = session.map((segment) => {
        const { file, offset } = need(need(tensors[segment.tensor]).location);
        return { ...segment, from: { location: file, offset: offset + segment.start } };
      });
      try {
        await run(placed, folder, signal);
      } catch (error) {
        if (!isRefusedPath(error)) throw error;
        // A link out of the folder: these are handed over instead.
        for (const i of direct) figures[i] = nothing();
        direct.clear();
      }
    }
    const handed = plan(
      tensors.flatMap((_, i) => (direct.has(i) ? [] : [i])),
      SCRATCH_BYTES,
    );
    if (handed.length === 0) return;
    const scratch = createScratch();
    try {
      for await (const { segments } of batchesOf(handed, tensors, scratch))
        await run(segments, scratch.folder, signal);
    } finally {
      scratch.remove();
    }
  }

  async function run(
    segments: readonly PlacedSegment[],
    from: string | undefined,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    if (signal?.aborted) throw new MlserError('E_INTERRUPTED', 'interrupted');
    const bytes = await proofModel(segments);
    const session = await runtime.create(
      { bytes, ...(from === undefined ? {} : { folder: from }) },
      { providers: ['cpu'], threads: context.threads, lean: true },
      `the weights of ${files.label}`,
    );
    const { outputs } = await session.run(new Map());
    await session.release();
    collect(segments, outputs, figures);
    context.progress.advance(segments.reduce((sum, segment) => sum + segment.bytes, 0));
  }
}

const nothing = (): Figures => ({ min: Infinity, max: -Infinity, sum: 0 });

interface Figures {
  min: number;
  max: number;
  sum: number;
}

interface Chosen {
  readonly reading: Reading;
  readonly stats: TensorStats;
}

/** Our own figures; tensors with NaN or infinities fall back to bytes, whose figures always exist. */
async function chooseReadings(
  tensors: readonly TensorSource[],
  typed: readonly Reading[],
  known: KnownFigures,
  context: WorkContext,
): Promise<Chosen[]> {
  const stats = tensors.map(({ info }, i) =>
    info.dtype === typed[i]?.as ? known.get(info.name) : undefined,
  );
  const fillIn = async (list: readonly number[], readings: readonly Reading[]): Promise<void> => {
    const found = await statTensors(
      list.map((i) => seenAs(need(tensors[i]), need(readings[i]))),
      context,
    );
    list.forEach((i, at) => {
      stats[i] = found[at];
    });
  };
  await fillIn(
    tensors.flatMap((_, i) => (stats[i] ? [] : [i])),
    typed,
  );
  const odd = stats.flatMap((found, i) =>
    found && found.nan + found.inf === 0 && sumsFit(need(typed[i]), found) ? [] : [i],
  );
  const readings = typed.map((reading, i) => widened(reading, stats[i]));
  for (const i of odd) readings[i] = asBytes(need(tensors[i]));
  await fillIn(odd, readings);
  return readings.map((reading, i) => ({ reading, stats: need(stats[i]) }));
}

const largest = ({ min, max }: TensorStats): number => Math.max(Math.abs(min ?? 0), Math.abs(max ?? 0));

/** Sums of values near the end of the range of doubles are infinite. */
const sumsFit = ({ elements }: Reading, stats: TensorStats): boolean => largest(stats) * elements < 1e300;

/** A row of large values is summed in doubles. */
const widened = (reading: Reading, stats: TensorStats | undefined): Reading =>
  stats && largest(stats) * reading.columns > 1e37 ? { ...reading, reduce: 'f64' } : reading;

/** The same bytes under the type and flat shape that the runtime is given. */
function seenAs(tensor: TensorSource, { as, elements }: Reading): TensorSource {
  if (as === tensor.info.dtype) return tensor;
  return { ...tensor, info: { name: tensor.info.name, dtype: as, shape: [elements] } };
}

/** Least, greatest and sum of every row, in the order of the segments. */
function collect(segments: readonly Segment[], outputs: Values, figures: readonly Figures[]): void {
  const at = { f32: 0, f64: 0 };
  for (const { tensor, reading, rows } of segments) {
    const data = outputs.get(OUTPUTS[reading.reduce])?.data as Float32Array | Float64Array;
    const into = need(figures[tensor]);
    const start = at[reading.reduce];
    for (let row = 0; row < rows; row++) {
      into.min = Math.min(into.min, need(data[start + row]));
      into.max = Math.max(into.max, need(data[start + rows + row]));
      into.sum += need(data[start + 2 * rows + row]);
    }
    at[reading.reduce] = start + 3 * rows;
  }
}

/** Least and greatest are exact; a sum of floats may differ by the rounding of one row's additions. */
function check(
  tensor: TensorSource,
  chosen: Chosen | undefined,
  figures: Figures | undefined,
): Finding | undefined {
  const { reading, stats } = need(chosen);
  const { min, max, sum } = need(figures);
  const ours = { min: stats.min ?? 0, max: stats.max ?? 0, sum: (stats.mean ?? 0) * reading.elements };
  // Cauchy and Schwarz: the sum of sizes is at most n times the root mean square.
  const sizes = reading.elements * Math.hypot(stats.mean ?? 0, stats.std ?? 0);
  const unit = reading.exact || reading.reduce === 'f64' ? 2 ** -53 : 2 ** -24;
  const allowed = sizes * (reading.columns * unit + 2 ** -40);
  if (min === ours.min && max === ours.max && Math.abs(sum - ours.sum) <= allowed) return undefined;
  const text = (f: Figures): string => `least ${f.min}, greatest ${f.max}, sum ${f.sum}`;
  return finding(
    'error',
    'RUNTIME_READS_DIFFERENTLY',
    tensor.info.name,
    `onnxruntime reads other values from the file: ${text({ min, max, sum })}; written were ${text(ours)}`,
  );
}

function need<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('a figure is missing');
  return value;
}
