import type { WorkContext } from '../../core/format.js';
import { isMlserError } from '../../errors.js';
import { decodeMessage } from '../../formats/onnx/decode.js';
import { graphsOf } from '../../formats/onnx/graphs.js';
import { vocabularyOf } from '../../graph/vocabulary.js';
import { joinPath, openDisk, scratchFolder } from '../../io/disk.js';
import { withArrays } from '../../runtime/arrays.js';
import { type ActualDevice, providersOf } from '../../runtime/devices.js';
import { feedsFromFile } from '../../runtime/feed-source.js';
import { type Runtime, type Session, startRuntime } from '../../runtime/process.js';
import type { Values } from '../../runtime/values.js';
import { findFeeds } from '../../validate/find-feeds.js';
import { inputsOf, type Runnable, runnable } from '../../validate/runnable.js';
import { type OpenedModel, withModel } from '../open.js';
import { wouldGo } from './optimizable.js';
import type { SpeedReport } from './report.js';

/** Runs before the ones that count, and the time that these may take. */
const WARM_UP = 3;
const MOST_RUNS = 50;
const BUDGET_MS = 1000;
/** Larger models are not run again for this. */
const LARGEST_BYTES = 256 << 20;
/** Slower by less than this is noise. */
const NOISE = 1.1;

interface SpeedOptions {
  readonly inputs?: string;
  readonly device: ActualDevice;
  /** Who started it closes it. */
  readonly runtime?: Runtime;
}

/**
 * How long source and result take, and what the runtime made of the result's operators. Undefined: cannot be run. The
 * source of several results is timed once.
 */
export async function explainSpeed(
  source: OpenedModel,
  output: string,
  options: SpeedOptions,
  context: WorkContext,
): Promise<SpeedReport | undefined> {
  const runtime = options.runtime ?? startRuntime(context.signal ? { signal: context.signal } : {});
  const { folder, remove } = scratchFolder('mlser-speed-');
  try {
    return await withModel(output, context, async (result) => {
      const [a, b] = [runnable(source.model, source.files), runnable(result.model, result.files)];
      if (!a || !b || sizeOf(a) > LARGEST_BYTES) return undefined;
      const optimizedTo = joinPath(folder, 'optimized.onnx');
      const timeSource = (): Promise<number | undefined> => timed(a, runtime, options, context);
      const before = await (context.shared?.once('time of the source', timeSource) ?? timeSource());
      const after = await timed(b, runtime, options, context, optimizedTo);
      if (!before || !after) return undefined;
      const { kernels, ...seen } = await kernelsOf(optimizedTo);
      const slower = after > before * NOISE;
      const apart = slower && kernels.integerKernels > 0 ? await wouldGo(source, seen.takers, runtime) : [];
      const notes = notesOf(kernels, { ...seen, slower, apart });
      return { ...kernels, beforeMs: before, afterMs: after, notes };
    });
  } catch (error) {
    if (isMlserError(error) && error.code === 'E_RUNTIME') return undefined; // the gate has told
    throw error;
  } finally {
    if (!options.runtime) await runtime.close();
    remove();
  }
}

const sizeOf = ({ model }: Runnable): number =>
  model.tensors.reduce((sum, { byteLength }) => sum + byteLength, 0);

/** Median milliseconds of a run on one sample. */
function timed(
  target: Runnable,
  runtime: Runtime,
  { inputs, device }: SpeedOptions,
  context: WorkContext,
  optimizedTo?: string,
): Promise<number | undefined> {
  return withArrays(inputs, async (file) => {
    const { path } = await target.files.open(target.files.main);
    if (path === undefined) return undefined;
    // As callers have it: threads that sleep between operators make small models several times slower.
    const settings = { providers: providersOf(device), threads: context.threads, lean: false, spin: true };
    const session = await runtime.create(
      { path },
      optimizedTo === undefined ? settings : { ...settings, optimizedTo },
      target.files.label,
    );
    try {
      const wanted = inputsOf(session, target.graph);
      const source = file && feedsFromFile(file, wanted);
      if (source) return await median(session, await source.load(source.slices?.[0]));
      const found = await findFeeds(session, wanted, vocabularyOf(target.model));
      return 'code' in found ? undefined : await median(session, found.feeds);
    } finally {
      await session.release();
    }
  });
}

async function median(session: Session, feeds: Values): Promise<number> {
  const times: number[] = [];
  const started = performance.now();
  for (let i = 0; i < WARM_UP + MOST_RUNS; i++) {
    const { milliseconds } = await session.run(feeds);
    if (i >= WARM_UP) times.push(milliseconds);
    if (performance.now() - started > BUDGET_MS && times.length > 2) break;
  }
  times.sort((x, y) => x - y);
  return times[Math.floor(times.length / 2)] ?? 0;
}

type Kernels = Pick<
  SpeedReport,
  'integerKernels' | 'dequantize' | 'quantize' | 'layoutCopies' | 'floatKernels' | 'floatNodes'
>;

/** Names that the report holds. */
const MOST_NAMES = 50;
/** Names that a note shows. */
const SHOWN = 5;

const INTEGER =
  /^(QLinear|QGemm|QAttention|MatMulInteger|ConvInteger|DynamicQuantize(MatMul|LSTM)|MatMulNBits|QMoE)/;
const HEAVY = /^(Conv|FusedConv|MatMul|FusedMatMul|Gemm|FusedGemm|MatMulBnb4|Attention|LSTM|GRU)$/;

interface Seen {
  /** It finds ranges of activations in every run. */
  readonly dynamic: boolean;
  /** Operators that take activations which were turned back into floats for them. */
  readonly takers: ReadonlySet<string>;
}

/** Counts what the runtime's optimised graph computes with. */
async function kernelsOf(optimized: string): Promise<Seen & { readonly kernels: Kernels }> {
  const source = openDisk(optimized);
  try {
    // Its weights may lie in files of the model it came from: only the nodes are looked at.
    const { message } = await decodeMessage('ModelProto', source);
    const counts = { integerKernels: 0, dequantize: 0, quantize: 0, layoutCopies: 0, floatKernels: 0 };
    const floatNodes: string[] = [];
    const floats = new Set<string>();
    let dynamic = false;
    const nodes = [...graphsOf(message)].flatMap(({ graph }) => graph.node);
    for (const { opType = '', name, output } of [...nodes, ...message.functions.flatMap((f) => f.node)]) {
      dynamic ||= opType.startsWith('DynamicQuantize');
      if (INTEGER.test(opType)) counts.integerKernels++;
      else if (opType === 'DequantizeLinear') {
        counts.dequantize++;
        for (const one of output) floats.add(one);
      } else if (opType === 'QuantizeLinear' || opType === 'DynamicQuantizeLinear') counts.quantize++;
      else if (/^Reorder(Input|Output)$/.test(opType)) counts.layoutCopies++;
      else if (HEAVY.test(opType)) {
        counts.floatKernels++;
        if (floatNodes.length < MOST_NAMES) floatNodes.push(`${opType} ${name || output[0] || ''}`.trim());
      }
    }
    const takers = nodes.filter(({ input }) => input.some((one) => floats.has(one)));
    return {
      kernels: { ...counts, floatNodes },
      dynamic,
      takers: new Set(takers.map(({ opType = '' }) => opType)),
    };
  } finally {
    source.close();
  }
}

interface Verdict extends Seen {
  readonly slower: boolean;
  /** Nodes of the source that `optimize` takes out. */
  readonly apart: readonly string[];
}

function notesOf(kernels: Kernels, { dynamic, slower, apart }: Verdict): string[] {
  const { integerKernels, dequantize, floatKernels, floatNodes } = kernels;
  const notes: string[] = [];
  if (integerKernels === 0 && dequantize > 0)
    notes.push(
      'weights are turned back into floats in every run: smaller, but not faster. int8-dynamic or int8-static compute with integers',
    );
  else if (floatKernels > 0 && integerKernels > 0)
    notes.push(
      `${floatKernels} of ${floatKernels + integerKernels} heavy operators still compute in float: ${floatNodes.slice(0, SHOWN).join(', ')}${floatKernels > SHOWN ? ', …' : ''}`,
    );
  if (slower)
    notes.push(
      apart.length > 0
        ? `slower than the source: ${apart.join(', ')} stand between integer operators, which turn activations into floats for them. mlser optimize takes them out: quantize what it writes`
        : integerKernels > 0
          ? `slower than the source: in a small model quantizing activations costs more than integer products save; ${dynamic ? 'int8-static has the ranges ready, ' : ''}int8-weights leaves activations alone`
          : 'slower than the source: unpacking weights costs more than reading fewer bytes saves',
    );
  return notes;
}
