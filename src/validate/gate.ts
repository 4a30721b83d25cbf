import type { WorkContext } from '../core/format.js';
import type { Model } from '../core/model.js';
import { alone } from '../core/shared-work.js';
import { type Finding, finding, MlserError } from '../errors.js';
import type { InputFiles } from '../io/files.js';
import { type ActualDevice, chooseDevice, parseDevice } from '../runtime/devices.js';
import { type Runtime, startRuntime } from '../runtime/process.js';
import { acceptanceOf } from './acceptance.js';
import { checkAgainst } from './against.js';
import { refusal } from './prepare.js';
import { type KnownFigures, type Proof, proveWeights } from './proof.js';
import { checkReadable } from './readable.js';
import type { GateResult, ValidationLevel, ValidationReport } from './report.js';
import { type Acceptance, runGraph } from './run.js';
import { notRunnable, type Runnable, runnable, uncallable } from './runnable.js';
import type { SourceRun } from './source-run.js';
import { checkStructure, reopen } from './structure.js';
import { Verdict } from './verdict.js';
import { checkWeights, type WeightsRequest, type WeightsResult } from './weights.js';

export interface GateRequest {
  readonly level: ValidationLevel;
  readonly device: string;
  /** What the outcome is compared with. */
  readonly source: Model;
  /** What was meant to be written. */
  readonly intended: Model;
  /** What was written. */
  readonly staged: InputFiles;
  /** The files of the source: its graph is run from there. */
  readonly sourceFiles: InputFiles;
  /** Tensors whose values a step changed on purpose without changing their type. */
  readonly changed?: ReadonlySet<string>;
  /** The graph computes the same with other operators. */
  readonly rewritten?: boolean;
  /** The types that weights are rounded to, under other names. */
  readonly quantized?: readonly string[];
  /** The accuracy may sink by so much. */
  readonly maxAccuracyDrop?: number;
  /** Path of an npz with feeds, and the name of the labels in it. */
  readonly inputs?: string;
  readonly labels?: string;
  readonly tolerance?: number;
  /** Started before, by `startWarm`; who started it closes it. */
  readonly runtime?: Runtime;
  /** The run of the source, where several outputs are compared with it. */
  readonly sourceRun?: SourceRun;
  readonly context: WorkContext;
}

/** A runtime that starts while the output is being written. */
export function startWarm(context: WorkContext): Runtime {
  const runtime = startRuntime(context.signal ? { signal: context.signal } : {});
  runtime.warm();
  return runtime;
}

/**
 * The gate: what was staged is opened again (structure), read back and compared (weights), and executed (run).
 * A no is a report with `passed: false` and findings of severity error. Throws for what is not an answer:
 * E_DEVICE, E_USAGE, E_INTERRUPTED, and errors of the source.
 */
export async function runGate(request: GateRequest): Promise<GateResult> {
  const { level, context, intended, source, staged, sourceFiles } = request;
  if (level === 'none') return new Verdict(level, request.device).result();
  return withRuntime(request, async (runtime, device) => {
    const verdict = new Verdict(level, device);
    const { reopened, findings } = await reopen(staged, context);
    verdict.add(findings);
    if (reopened) verdict.add(checkStructure(reopened, intended));
    verdict.report.structure = verdict.passed;
    if (!reopened || !verdict.passed || level === 'structure') return verdict.result();

    const written = reopened.model;
    const target = runnable(written, staged);
    const whole = { ...request, written, intended, source };
    if (level === 'run' && !target) {
      refuseFeeds({ ...request, files: staged });
      await compareAndProve(verdict, whole, staged, runtime);
      if (verdict.passed) verdict.add(notRunnable(source, sourceFiles));
      return verdict.result();
    }
    addWeights(verdict, await checkWeights(whole, context));
    if (!verdict.passed || level === 'weights') return verdict.result();

    const reference = runnable(source, sourceFiles);
    verdict.add(notRunnable(source, sourceFiles));
    const execution = {
      ...optional({ inputs: request.inputs, labels: request.labels, sourceRun: request.sourceRun }),
      model: written,
      files: staged,
      ...(target ? { target } : {}),
      ...(reference ? { reference } : {}),
      device,
      acceptance: acceptanceOf({ ...request, written, device }),
      anyFloat: request.quantized !== undefined,
      context,
    };
    await alone(context.shared, async () => {
      await execute(verdict, runtime, execution);
      // The next model finds the memory of this one given back.
      if (request.sourceRun) await runtime.trim();
    });
    verdict.add(accuracyLost(verdict.report.accuracy, request.maxAccuracyDrop));
    return verdict.result();
  });
}

/** Hundred-thousandths: accuracies are shares of samples. */
const ACCURACY_STEP = 1e-5;

/** Says that more was lost than is allowed. */
export function accuracyLost(
  accuracy: Pick<NonNullable<ValidationReport['accuracy']>, 'before' | 'after'> | undefined,
  allowed: number | undefined,
): readonly Finding[] {
  if (!accuracy || allowed === undefined || accuracy.before === undefined) return [];
  const drop = accuracy.before - accuracy.after;
  if (drop <= allowed + ACCURACY_STEP) return [];
  const message = `the accuracy sinks by ${drop.toFixed(4)}; ${allowed} was allowed`;
  return [finding('error', 'ACCURACY_LOST', 'accuracy', message)];
}

export interface ValidateRequest {
  readonly model: Model;
  readonly files: InputFiles;
  readonly level: ValidationLevel;
  readonly device: string;
  /** Another model that must behave the same. */
  readonly reference?: { readonly model: Model; readonly files: InputFiles };
  /** What was done to the reference on purpose, as in `GateRequest`. */
  readonly changed?: ReadonlySet<string>;
  readonly rewritten?: boolean;
  readonly quantized?: readonly string[];
  readonly inputs?: string;
  /** Path of an npz with the outputs that must come out. */
  readonly expected?: string;
  readonly labels?: string;
  readonly tolerance?: number;
  readonly context: WorkContext;
}

/**
 * The gate alone, on a model that exists: every tensor can be read, and it runs, next to a reference and to expected
 * outputs where there are some. Without either, its outputs must be finite.
 */
export async function validateModel(request: ValidateRequest): Promise<GateResult> {
  const { level, context, model, files, reference } = request;
  return withRuntime(request, async (runtime, device) => {
    const verdict = new Verdict(level, device);
    if (level === 'none') return verdict.result();
    verdict.report.structure = true; // it was opened: readers check what their formats demand
    if (level === 'structure') return verdict.result();
    const weights = await checkReadable(model, context);
    verdict.add(weights.findings);
    verdict.report.weights = weights.report;
    // Two graphs are run side by side; weights alone are compared.
    if (reference && verdict.passed && !(model.graph && reference.model.graph)) {
      const against = await checkAgainst(model, reference.model, request.tolerance, context);
      verdict.add(against.findings);
      verdict.report.weights = against.report;
      if (!verdict.passed) return verdict.result();
    }
    if (level === 'weights') return verdict.result();
    const target = runnable(model, files);
    // Another device answers to the cpu.
    const self = device === 'cpu' ? undefined : target;
    const other = reference ? runnable(reference.model, reference.files) : self;
    if (reference) verdict.add(notRunnable(reference.model, reference.files));
    await execute(verdict, runtime, {
      ...optional({ inputs: request.inputs, expected: request.expected, labels: request.labels }),
      model,
      files,
      ...(target ? { target } : {}),
      ...(other ? { reference: other } : {}),
      figures: weights.figures,
      device,
      acceptance: acceptanceOf({ ...request, written: model, source: reference?.model, device }),
      anyFloat: request.quantized !== undefined,
      context,
    });
    return verdict.result();
  });
}

function addWeights(verdict: Verdict, weights: WeightsResult): void {
  verdict.add(weights.findings);
  verdict.report.weights = weights.report;
  verdict.tensorErrors = weights.tensorErrors;
}

/**
 * Weights without a graph: while our workers compare what was written with what was meant, the runtime reads it. Its
 * figures are held against those that the comparison takes from the same bytes. What it says counts only if the
 * comparison passed.
 */
async function compareAndProve(
  verdict: Verdict,
  request: WeightsRequest & { readonly context: WorkContext },
  staged: InputFiles,
  runtime: Runtime,
): Promise<void> {
  const { context, written } = request;
  const { progress } = context;
  const bytes = written.tensors.reduce((sum, tensor) => sum + tensor.byteLength, 0);
  const passOn = { advance: (n: number): void => progress.advance(n) };
  const stop = new AbortController();
  const onAbort = (): void => stop.abort();
  context.signal?.addEventListener('abort', onAbort);
  const compared = checkWeights(
    { ...request, figures: true },
    { ...context, progress: { ...passOn, stage: (title, n) => progress.stage(title, n + bytes) } },
  );
  const proved = proveWeights(
    written,
    staged,
    runtime,
    {
      ...context,
      progress: { ...passOn, stage() {} },
      signal: stop.signal,
    },
    compared.then(({ findings, figures }) => {
      if (findings.some(({ severity }) => severity === 'error')) throw new Error('what was written is wrong');
      return figures;
    }),
  );
  proved.catch(() => {}); // looked at below
  try {
    addWeights(verdict, await compared);
    if (verdict.passed) await addProof(verdict, proved, staged);
  } finally {
    context.signal?.removeEventListener('abort', onAbort);
    stop.abort();
    await proved.catch(() => {});
  }
}

async function addProof(verdict: Verdict, proving: Promise<Proof>, files: InputFiles): Promise<void> {
  try {
    const proof = await proving;
    verdict.add(proof.findings);
    verdict.report.run = { outputs: [], tensorsRead: proof.read, tensorsFed: proof.fed };
  } catch (error) {
    verdict.add([refusal(files.label, error)]);
  }
}

interface Execution {
  readonly model: Model;
  readonly files: InputFiles;
  readonly target?: Runnable;
  readonly reference?: Runnable;
  readonly inputs?: string;
  readonly expected?: string;
  readonly labels?: string;
  readonly device: ActualDevice;
  readonly acceptance: Acceptance;
  readonly anyFloat?: boolean;
  readonly sourceRun?: SourceRun;
  /** Our own figures of its tensors, where they are known. */
  readonly figures?: KnownFigures;
  readonly context: WorkContext;
}

/**
 * A graph is run. Weights without a graph, and graphs that the runtime cannot run (types at the edge, operators
 * that it lacks also in the source), are read by the runtime through generated graphs.
 */
async function execute(verdict: Verdict, runtime: Runtime, execution: Execution): Promise<void> {
  const { model, files, target, reference, context, expected } = execution;
  const edge = target && uncallable(target);
  // A model on its own that cannot be run has not shown that it runs.
  if (edge) verdict.add([reference && expected === undefined ? edge : { ...edge, severity: 'error' }]);
  if (!target) refuseFeeds(execution);
  if (target && !edge) {
    const { run, accuracy, findings } = await runGraph({ ...execution, target, runtime });
    verdict.add(findings);
    if (run) verdict.report.run = run;
    if (accuracy) verdict.report.accuracy = accuracy;
    if (run || !verdict.passed) return;
  }
  if (!verdict.passed) return;
  const known = Promise.resolve(execution.figures ?? new Map());
  await addProof(verdict, proveWeights(model, files, runtime, context, known), files);
}

/** Feeds for a model without a graph are a mistake worth telling. */
function refuseFeeds({
  files,
  inputs,
  expected,
  labels,
}: Pick<Execution, 'files' | 'inputs' | 'expected' | 'labels'>): void {
  const given = inputs ?? expected ?? labels;
  if (given === undefined) return;
  throw new MlserError('E_USAGE', `${files.label} has no graph that could be run on ${given}`, {
    details: { input: files.label, feeds: given },
    hint: 'leave out --inputs, --expected and --labels, or name an .onnx file',
  });
}

/** Runs `work` with a runtime that is started only at the level that needs it, and ended whatever happens. */
async function withRuntime<T>(
  {
    level,
    context,
    ...request
  }: {
    readonly level: ValidationLevel;
    readonly device: string;
    readonly runtime?: Runtime;
    readonly context: WorkContext;
  },
  work: (runtime: Runtime, device: ActualDevice) => Promise<T>,
): Promise<T> {
  const device = parseDevice(request.device);
  const runtime = request.runtime ?? startRuntime(context.signal ? { signal: context.signal } : {});
  try {
    if (level === 'run') runtime.warm();
    // An absent device is told before any byte is read.
    return await work(runtime, level === 'run' ? await chooseDevice(runtime, device) : 'cpu');
  } finally {
    if (!request.runtime) await runtime.close();
  }
}

/** Only what is there: absent options stay absent. */
function optional<T extends object>(values: T): { [K in keyof T]?: NonNullable<T[K]> } {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: NonNullable<T[K]>;
  };
}
