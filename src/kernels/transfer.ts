import type { WorkContext } from '../core/format.js';
import type { TensorSource } from '../core/tensor.js';
import { MlserError } from '../errors.js';
import { crc32, crc32Combine, PieceCrcs } from '../io/crc32.js';
import { sha256Hasher } from '../io/hashing.js';
import type { ByteSink } from '../io/sink.js';
import { checkRawCrc } from './integrity.js';
import { interrupted } from './messages.js';
import { Pipeline, spanBytes } from './pipeline.js';
import { type Pool, withPool } from './pool.js';
import { type Program, programOf } from './program.js';
import type { CopyTask, TaskResult } from './tasks.js';
import { together } from './together.js';

/** A tensor and the place in a staged file where its canonical bytes go. */
export interface Placement {
  readonly tensor: TensorSource;
  readonly sink: ByteSink;
  readonly offset: number;
  /** Also compute these over the bytes written. */
  readonly crc32?: boolean;
  readonly sha256?: boolean;
  /** Also the CRC-32 of every this many bytes (the last piece is the rest), for formats that check parts. */
  readonly crcEvery?: number;
}

export interface Placed {
  readonly crc32?: number;
  /** One for each `crcEvery` bytes. */
  readonly crcs?: readonly number[];
  readonly sha256?: string;
}

/** Bytes of a range that one task copies (of the source or the result, whichever is larger). */
const RANGE_BYTES = 16 << 20;

/**
 * Pulls every tensor once and writes its bytes at its place. Results are in the order of `placements`. Tensors with
 * a recipe whose sink is a file are copied by position, in ranges, by worker threads; the others are streamed at the
 * same time. Sinks are told how far they were filled.
 */
export async function transfer(placements: readonly Placement[], context: WorkContext): Promise<Placed[]> {
  const placed: Placed[] = placements.map(() => ({}));
  const streamed: number[] = [];
  const plans: Plan[] = [];
  placements.forEach((placement, index) => {
    const plan = planOf(placement, index);
    if (plan) plans.push(plan);
    else streamed.push(index);
  });
  // Told before the workers write: large files are flushed to the disk meanwhile.
  for (const { placement } of plans) placement.sink.extendTo(placement.offset + placement.tensor.byteLength);
  await withPool(context, async (pool) => {
    await together(context.signal, [
      async (signal) => {
        for (const [index, result] of await copyAll(plans, pool, signal)) placed[index] = result;
      },
      async (signal) => {
        for (const index of streamed) {
          const placement = placements[index];
          if (placement) placed[index] = await stream(placement, context, signal);
        }
      },
    ]);
  });
  return placed;
}

interface Plan {
  readonly placement: Placement;
  readonly index: number;
  readonly program: Program;
  readonly outBits: number;
  readonly tasks: readonly CopyTask[];
}

function planOf(placement: Placement, index: number): Plan | undefined {
  const { tensor, sink, offset } = placement;
  const program = programOf(tensor);
  if (!program || sink.path === undefined) return undefined;
  const pipeline = new Pipeline(program.ops, program.inBits);
  const { path } = sink;
  const tasks: CopyTask[] = [];
  const step = rangeElements(pipeline, placement, program.count);
  for (let start = 0; start < program.count; start += step)
    tasks.push({
      kind: 'copy',
      program,
      start,
      end: Math.min(program.count, start + step),
      path,
      offset: offset + (start * pipeline.outBits) / 8,
      crc32: placement.crc32 === true,
      sha256: placement.sha256 === true,
      crcEvery: placement.crcEvery,
    });
  return { placement, index, program, outBits: pipeline.outBits, tasks };
}

/** Elements of a range: whole blocks and whole CRC pieces; everything, where bytes have to be seen in order. */
function rangeElements(pipeline: Pipeline, { sha256, crcEvery }: Placement, count: number): number {
  if (sha256) return Math.max(1, count);
  const { blockElements, inBits, outBits } = pipeline;
  const blocks = Math.max(1, Math.floor((RANGE_BYTES * 8) / Math.max(inBits, outBits) / blockElements));
  if (crcEvery === undefined) return blocks * blockElements;
  const piece = (crcEvery * 8) / outBits;
  if (!Number.isInteger(piece) || piece % 8 !== 0) return Math.max(1, count);
  return Math.max(1, Math.floor((blocks * blockElements) / piece)) * piece;
}

async function copyAll(
  plans: readonly Plan[],
  pool: Pool,
  signal: AbortSignal,
): Promise<(readonly [number, Placed])[]> {
  const results = await pool.run(
    plans.flatMap((plan) => plan.tasks),
    signal,
  );
  let at = 0;
  return plans.map((plan) => {
    const own = results.slice(at, at + plan.tasks.length);
    at += plan.tasks.length;
    checkRawCrc(plan.program, plan.tasks, own);
    return [plan.index, joined(plan, own)] as const;
  });
}

function joined({ placement, outBits, tasks }: Plan, results: readonly TaskResult[]): Placed {
  let crc = 0;
  tasks.forEach(({ start, end }, i) => {
    crc = crc32Combine(crc, results[i]?.crc32 ?? 0, spanBytes(outBits, start, end));
  });
  return {
    ...(placement.crc32 ? { crc32: crc } : {}),
    ...(placement.crcEvery === undefined ? {} : { crcs: results.flatMap(({ crcs = [] }) => crcs) }),
    ...(placement.sha256 ? { sha256: results[0]?.sha256 ?? sha256Hasher().digest('hex') } : {}),
  };
}

async function stream(
  { tensor, sink, offset, ...want }: Placement,
  context: WorkContext,
  signal: AbortSignal,
): Promise<Placed> {
  let at = offset;
  let crc = 0;
  const hash = want.sha256 ? sha256Hasher() : undefined;
  const pieces = want.crcEvery === undefined ? undefined : new PieceCrcs(want.crcEvery);
  for await (const chunk of tensor.stream()) {
    if (signal.aborted) throw interrupted();
    await sink.writeAt(at, chunk);
    if (want.crc32) crc = crc32(chunk, crc);
    hash?.update(chunk);
    pieces?.update(chunk);
    at += chunk.byteLength;
    context.progress.advance(chunk.byteLength);
  }
  if (at !== offset + tensor.byteLength) throw wrongLength(tensor, at - offset);
  return {
    ...(want.crc32 ? { crc32: crc } : {}),
    ...(hash ? { sha256: hash.digest('hex') } : {}),
    ...(pieces ? { crcs: pieces.finish() } : {}),
  };
}

const wrongLength = ({ info, byteLength }: TensorSource, found: number): MlserError =>
  new MlserError(
    'E_TRUNCATED',
    `tensor ${JSON.stringify(info.name)} gave ${found} bytes instead of ${byteLength}`,
    { details: { tensor: info.name, needed: byteLength, found } },
  );

export { hashTensors } from './hash.js';
