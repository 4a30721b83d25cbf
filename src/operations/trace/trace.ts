import type { WorkContext } from '../../core/format.js';
import type { Model } from '../../core/model.js';
import { MlserError } from '../../errors.js';
import { type MadeValue, madeValues } from '../../graph/made-values.js';
import { type ArrayFile, withArrays } from '../../runtime/arrays.js';
import { type ActualDevice, chooseDevice, parseDevice } from '../../runtime/devices.js';
import { type Runtime, startRuntime } from '../../runtime/process.js';
import { acceptanceOf } from '../../validate/acceptance.js';
import type { Acceptance } from '../../validate/run.js';
import { type OpenContext, type OpenedModel, withModels } from '../open.js';
import type { Measured } from '../quantize/calibration/measure.js';
import { windowsOf } from '../quantize/calibration/observe.js';
import { blameFor } from './blame.js';
import { compareWindow, type Seen } from './compare-values.js';
import { firstFailing, isRefusal } from './first-failing.js';
import { otherSide, type Sides } from './other-side.js';
import type { FirstDifference, TracedValue, TraceReport } from './report.js';
import { countsOf, remarks, rowOf } from './rows.js';
import { masked, spoiling } from './spoiling.js';
import { Taps } from './taps.js';

/** Bytes of all values of a window, in one run. */
const WINDOW_BYTES = 64 << 20;

export interface TraceOptions {
  /** The model that is right. */
  readonly reference?: string;
  readonly device: string;
  /** Where the reference (or, without one, the model itself) runs. Default: cpu. */
  readonly referenceDevice?: string;
  /** npz of feeds. */
  readonly inputs?: string;
  /** |a − b| ≤ t + t·|b| everywhere. Default: what the gate asks of such a pair of models. */
  readonly tolerance?: number;
  /** Names of values (and inputs) of the model → those of the reference. */
  readonly map?: ReadonlyMap<string, string>;
  /** Default 64 MiB. */
  readonly windowBytes?: number;
}

/**
 * Runs a graph and its reference on the same feeds, looks at what every node of the main graph makes, a window of
 * values at a time, and finds the first that differs, with the errors of what its node takes. Without a reference:
 * the first value that is not finite. The runtime's optimizations are off, for they would leave values out.
 *
 * @throws E_USAGE (no graph, feeds that do not fit), E_NOT_FOUND (a name of `map`), E_DEVICE, E_RUNTIME (it cannot be run).
 * @example
 * await traceModel('int8.onnx', { reference: 'model.onnx', device: 'cpu', inputs: 'test.npz' }, context)
 */
export async function traceModel(
  input: string,
  options: TraceOptions,
  context: WorkContext & OpenContext,
): Promise<TraceReport> {
  const started = performance.now();
  const names = options.reference === undefined ? [input] : [input, options.reference];
  return withModels(names, context, async ([own, reference]) => {
    if (!own) throw new Error('no input was opened');
    const runtime = startRuntime(context.signal ? { signal: context.signal } : {});
    try {
      return await withArrays(options.inputs, async (file) => ({
        ...(await traceOpened(own, reference, { options, runtime, file, context })),
        seconds: (performance.now() - started) / 1000,
      }));
    } finally {
      await runtime.close();
    }
  });
}

interface Work {
  readonly options: TraceOptions;
  readonly runtime: Runtime;
  readonly file: ArrayFile | undefined;
  readonly context: WorkContext;
}

async function traceOpened(
  own: OpenedModel,
  reference: OpenedModel | undefined,
  work: Work,
): Promise<Omit<TraceReport, 'seconds'>> {
  const { options, runtime, file, context } = work;
  const limit = options.windowBytes ?? WINDOW_BYTES;
  const { device, referenceDevice } = await devicesOf(options, runtime);
  const taps = new Taps(own, device, runtime, context);
  const values = madeValues(own.model);
  const ready = await prepared(taps, values, limit, work);
  if ('kind' in ready) return failing(own, device, file, ready);
  const { feeds, sizes, traced } = ready;
  const base =
    referenceDevice === undefined ? undefined : new Taps(reference ?? own, referenceDevice, runtime, context);
  const acceptance = acceptanceOf({
    tolerance: options.tolerance,
    written: own.model,
    source: reference?.model,
    device: base && device !== base.device ? (device === 'cpu' ? base.device : device) : 'cpu',
    rewritten: true,
  });
  const sides: Sides = { taps, feeds, sizes, traced, limit };
  const other =
    base &&
    (await otherSide(sides, base, acceptance.tolerance, options.map ?? new Map()).catch(referenceFails));
  const windows = windowsOf(
    traced.map(({ name }) => name),
    sizes,
    limit,
  );
  context.progress.stage('trace', windows.length * (feeds.slices?.length ?? 1));
  const seen = new Map<string, Seen>();
  for (const window of windows)
    for (const [name, value] of await compareWindow(taps, feeds, window, other, context))
      seen.set(name, value);
  const rows = traced.flatMap((value) => rowOf(value, seen.get(value.name), other?.matches, acceptance));
  const first = await firstOf(own.model, base?.model, values, rows, context);
  const findings = [
    ...remarks(own, rows, values.length - traced.length, base !== undefined),
    ...(base || first ? [] : masked(rows)),
  ];
  const samples = feeds.slices?.reduce((sum, { count }) => sum + count, 0);
  return {
    command: 'trace',
    path: own.input,
    reference: reference?.input ?? (base ? own.input : null),
    device,
    ...(referenceDevice === undefined ? {} : { referenceDevice }),
    feeds: file?.name ?? 'generated',
    ...(samples === undefined ? {} : { samples }),
    ...(base ? allowed(acceptance) : {}),
    matched: countsOf(rows),
    values: rows,
    first,
    same: first === null && !findings.some(({ severity }) => severity === 'error'),
    findings,
  };
}

/** What can be looked at, with feeds; or the node at which the graph does not run. */
async function prepared(
  taps: Taps,
  values: readonly MadeValue[],
  limit: number,
  { file, runtime, context }: Work,
): Promise<(Measured & { readonly traced: readonly MadeValue[] }) | FirstDifference> {
  try {
    const types = await taps.fetchable(values.map(({ name }) => name));
    const traced = values.filter(({ name }) => types.has(name));
    const names = traced.map(({ name }) => name);
    return { ...(await taps.measured(file, names, limit)), traced };
  } catch (error) {
    const first = isRefusal(error) ? await firstFailing(taps, file, runtime, context) : undefined;
    if (!first) throw error;
    return first;
  }
}

/** The reference has to run: what is wrong with it is not to be said of the model. */
function referenceFails(error: unknown): never {
  if (!isRefusal(error)) throw error;
  throw new MlserError('E_RUNTIME', `the reference does not run: ${error.message}`, {
    details: error.details,
    hint: 'mlser trace of the reference alone names the node',
  });
}

/** Nothing was compared: the graph does not run. */
const failing = (
  { input }: OpenedModel,
  device: string,
  file: ArrayFile | undefined,
  first: FirstDifference,
): Omit<TraceReport, 'seconds'> => ({
  ...{ command: 'trace', path: input, reference: null, device, feeds: file?.name ?? 'generated' },
  ...{ matched: countsOf([]), values: [], first, same: false, findings: [] },
});

const allowed = ({ tolerance, cosine }: Acceptance) => ({
  tolerance,
  ...(cosine === undefined ? {} : { passingCosine: cosine }),
});

/** The device of the model, and that of the reference where there is something to compare with. */
async function devicesOf(
  { device, referenceDevice, reference }: TraceOptions,
  runtime: Runtime,
): Promise<{ readonly device: ActualDevice; readonly referenceDevice?: ActualDevice }> {
  const own = await chooseDevice(runtime, parseDevice(device));
  if (reference === undefined && referenceDevice === undefined && own === 'cpu') return { device: own };
  return { device: own, referenceDevice: await chooseDevice(runtime, parseDevice(referenceDevice ?? 'cpu')) };
}

function firstOf(
  model: Model,
  reference: Model | undefined,
  values: readonly MadeValue[],
  rows: readonly TracedValue[],
  context: WorkContext,
): Promise<FirstDifference | null> {
  const spoiled = reference ? new Set<string>() : spoiling(model, values, rows);
  const first = rows.find(({ name, counterpart }) =>
    reference ? counterpart?.same === false : spoiled.has(name),
  );
  return first ? blameFor(model, reference, values, rows, first, context) : Promise.resolve(null);
}
