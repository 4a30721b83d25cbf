import type { WorkContext } from '../core/format.js';
import type { Model } from '../core/model.js';
import type { TensorSource } from '../core/tensor.js';
import { type Finding, finding } from '../errors.js';
import type { InputFiles } from '../io/files.js';
import { statTensors, type TensorStats } from '../kernels/statistics.js';
import type { Runtime } from '../runtime/process.js';
import type { Values } from '../runtime/values.js';
import { isRefusedPath } from './open-session.js';
import { OUTPUTS, proofModel, type SegmentBytes } from './proof-graph.js';
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
/** Bytes handed over pass through several copies. */
const HANDED_OVER_BYTES = 8 * 1024 * 1024;

/**
 * Weights without a graph: onnxruntime itself reads the written bytes, through generated graphs whose initializers
 * are external data in the written files, casts them to floats and reduces them. The least, the greatest and the
 * sum of every tensor must equal our own figures. Memory is bounded by the size of one session.
 */
export async function proveWeights(
  model: Model,
  files: InputFiles,
  runtime: Runtime,
  context: WorkContext,
): Promise<Proof> {
  const tensors = model.tensors.filter(
    ({ info, byteLength }) => byteLength > 0 && !model.aliases.has(info.name) && info.dtype !== 'str',
  );
  const total = tensors.reduce((sum, tensor) => sum + tensor.byteLength, 0);
  context.progress.stage('figures', total);
  const readings = await chooseReadings(tensors, context);
  const figures = readings.map((): Figures => ({ min: Infinity, max: -Infinity, sum: 0 }));
  context.progress.stage('onnxruntime', total);
  const { folder } = files;
  const direct = folder === undefined ? [] : tensors.flatMap((tensor, i) => (tensor.location ? [i] : []));
  const lying = new Set(direct);
  const handed = tensors.flatMap((_, i) => (lying.has(i) ? [] : [i])).concat(await readDirect(direct));
  await readHanded(handed);
  const findings = tensors.flatMap((tensor, i) => check(tensor, readings[i], figures[i]) ?? []);
  return {
    read: tensors.length - handed.length,
    fed: handed.length,
    asBytes: readings.filter((chosen, i) => chosen.reading.as === 'u8' && tensors[i]?.info.dtype !== 'u8')
      .length,
    findings,
  };

  /** Tensors that the runtime refuses to read where they lie (a link out of the folder) are given back. */
  async function readDirect(list: readonly number[]): Promise<number[]> {
    const segments = list.flatMap((i) => segmentsOf(i, need(readings[i]).reading));
    for (const session of sessionsOf(segments, SESSION_BYTES)) {
      const placed = session.map((segment) => {
        const { file, offset } = need(need(tensors[segment.tensor]).location);
        return { ...segment, from: { location: file, offset: offset + segment.start } };
      });
      try {
        await run(placed);
      } catch (error) {
        if (!isRefusedPath(error)) throw error;
        for (const i of list) Object.assign(need(figures[i]), { min: Infinity, max: -Infinity, sum: 0 });
        return [...list];
      }
    }
    return [];
  }

  async function readHanded(list: readonly number[]): Promise<void> {
    const segments = list.flatMap((i) => segmentsOf(i, need(readings[i]).reading));
    for (const session of sessionsOf(segments, HANDED_OVER_BYTES)) {
      const placed = [];
      for (const segment of session)
        placed.push({ ...segment, from: { raw: await bytesOf(need(tensors[segment.tensor]), segment) } });
      await run(placed);
    }
  }

  async function run(segments: readonly (Segment & { readonly from: SegmentBytes })[]): Promise<void> {
    const bytes = await proofModel(segments);
    const session = await runtime.create(
      { bytes, ...(folder === undefined ? {} : { folder }) },
      { providers: ['cpu'], threads: context.threads, lean: true },
      `the weights of ${files.label}`,
    );
    const { outputs } = await session.run(new Map());
    await session.release();
    collect(segments, outputs, figures);
    context.progress.advance(segments.reduce((sum, segment) => sum + segment.bytes, 0));
  }
}

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
async function chooseReadings(tensors: readonly TensorSource[], context: WorkContext): Promise<Chosen[]> {
  const typed = tensors.map(readingOf);
  const stats = await statTensors(
    tensors.map((tensor, i) => seenAs(tensor, need(typed[i]))),
    context,
  );
  const odd = stats.flatMap((found, i) =>
    found && found.nan + found.inf === 0 && sumsFit(need(typed[i]), found) ? [] : [i],
  );
  const readings = typed.map((reading, i) => widened(reading, stats[i]));
  for (const i of odd) readings[i] = asBytes(need(tensors[i]));
  const again = await statTensors(
    odd.map((i) => seenAs(need(tensors[i]), need(readings[i]))),
    context,
  );
  odd.forEach((i, at) => {
    stats[i] = again[at];
  });
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

async function bytesOf(tensor: TensorSource, { start, bytes }: Segment): Promise<Uint8Array> {
  const all = new Uint8Array(bytes);
  let at = 0;
  for await (const chunk of tensor.stream({ start, end: start + bytes })) {
    all.set(chunk, at);
    at += chunk.byteLength;
  }
  return all;
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
