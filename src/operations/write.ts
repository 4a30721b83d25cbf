import type { StoredTensor, WorkContext, WriteOptions } from '../core/format.js';
import type { Model } from '../core/model.js';
import type { Rides } from '../core/shared-work.js';
import { type Finding, MlserError } from '../errors.js';
import { outputPath } from '../formats/open.js';
import { makeFolder } from '../io/disk.js';
import type { InputFiles, OutputFiles } from '../io/files.js';
import { stageOutput } from '../io/staged.js';
import type { Runtime } from '../runtime/process.js';
import type { GateResult, ValidationLevel } from '../validate/report.js';
import type { SourceRun } from '../validate/source-run.js';
import { bytesOf } from './inspect.js';
import type { OpenedModel } from './open.js';
import { type OutputFormat, outputFormat } from './output.js';
import type { FileEntry, TensorAction, WriteReport } from './reports.js';

/** What every verb that writes a model understands. */
export interface OutputOptions {
  /** Format id or extension; default: by the extension of the output. */
  readonly to?: string;
  readonly force?: boolean;
  /** Plan only: nothing is written. */
  readonly dryRun?: boolean;
  /** Wait until the output is on the disk (default). False: as `cp`, a power cut may lose it; a killed process cannot. */
  readonly sync?: boolean;
  readonly validate: ValidationLevel;
  readonly device: string;
  /** npz of feeds for the run. */
  readonly inputs?: string;
  /** Name of the array of class numbers in `inputs`. */
  readonly labels?: string;
  readonly tolerance?: number;
  /** Set by a pipeline, of which this is a step. */
  readonly partOf?: StepOfPipeline;
  /** Set where several outputs are made of one model, side by side. */
  readonly beside?: Beside;
}

/** What outputs of one model share. Who made it closes it. */
export interface Beside {
  readonly runtime: Runtime;
  readonly sourceRun: SourceRun;
}

/** What a pipeline and the writing of one of its steps have to tell each other. */
export interface StepOfPipeline {
  /** Steps before this one that were not written by themselves: the gate compares with what these were made of. */
  readonly since?: { readonly reference: Model; readonly changes: Changes };
  /** For what can be found out where the input is read anyway. */
  readonly rides?: Rides;
  /** Told what is to be written and how, before it is; also by a dry run. Of trials the last one counts. */
  readonly planned: (request: WriteRequest) => void;
}

/** What steps did to a model on purpose: how close its outputs can be follows from it. */
export type Changes = Pick<WriteRequest, 'changed' | 'rewritten' | 'quantized'>;

export const mergedChanges = (a: Changes, b: Changes): Changes => ({
  ...(a.changed || b.changed ? { changed: new Set([...(a.changed ?? []), ...(b.changed ?? [])]) } : {}),
  ...(a.rewritten || b.rewritten ? { rewritten: true } : {}),
  ...(a.quantized || b.quantized
    ? { quantized: [...new Set([...(a.quantized ?? []), ...(b.quantized ?? [])])] }
    : {}),
});

export interface WriteRequest {
  readonly command: string;
  /** The models read, the main one first: their files must not change meanwhile. */
  readonly opened: readonly [OpenedModel, ...OpenedModel[]];
  /** What the outcome is compared with: the main model after renaming and selection, before lossy steps. */
  readonly reference: Model;
  /** What is to be written. */
  readonly intended: Model;
  readonly output: string;
  readonly options: OutputOptions;
  readonly writeOptions: WriteOptions;
  /** Tensors whose values a step changed on purpose without changing their type. */
  readonly changed?: ReadonlySet<string>;
  /** The graph computes the same with other operators: outputs may be rounded otherwise. */
  readonly rewritten?: boolean;
  /** The types that weights are rounded to, under other names: what outputs may differ by follows from them. */
  readonly quantized?: readonly string[];
  /** The accuracy may sink by so much. */
  readonly maxAccuracyDrop?: number;
  /** A larger output does not get its name. */
  readonly mostBytes?: number;
  /** What a tensor's line in the report says, where it is not `copy` or `cast`. */
  readonly actions?: ReadonlyMap<string, string>;
  readonly findings?: readonly Finding[];
  /** Told how the writer stored the tensors. */
  readonly stored?: (tensors: readonly StoredTensor[]) => void;
  /** Writes companion files of the family before the model itself (ONNX over safetensors). */
  readonly before?: (files: OutputFiles, context: WorkContext) => Promise<WriteOptions>;
}

/** The one way to an output: check, stage, write, gate, rename. A failed gate leaves nothing behind. */
export async function writeModel(asked: WriteRequest, context: WorkContext): Promise<WriteReport> {
  const started = performance.now();
  const request = withStepsBefore(asked);
  request.options.partOf?.planned(request);
  const { options, intended } = request;
  const format = await outputFormat(request.output, options.to);
  const output = outputPath(request.output, format.descriptor);
  const planned = format.writer.check(intended, request.writeOptions);
  const noticed: Finding[] = [];
  const findings = [...intended.findings, ...(request.findings ?? []), ...planned];
  refuseErrors(findings, format);

  const report = (written: readonly FileEntry[], gate: GateResult): WriteReport => {
    const bytesIn = request.opened[0].files.opened().reduce((sum, file) => sum + file.size, 0);
    const bytesOut = written.reduce((sum, file) => sum + file.bytes, 0);
    return {
      command: request.command,
      input: request.opened[0].input,
      output,
      format: format.descriptor.id,
      bytesIn,
      bytesOut,
      ratio: bytesOut === 0 ? 0 : bytesIn / bytesOut,
      ...(options.dryRun ? { dryRun: true } : {}),
      files: written,
      tensors: tensorActions(request, gate),
      findings: [...findings, ...noticed, ...gate.findings],
      validation: gate.report,
      seconds: (performance.now() - started) / 1000,
    };
  };
  if (options.dryRun)
    return report([{ name: output, bytes: bytesOf(intended.tensors) }], notProved(options.device));

  // `out/` names a folder for the model: it is made, and does not stay if the model does not.
  const unmake = /[\\/]$/.test(request.output) ? makeFolder(request.output) : undefined;
  const files = stageOutput(output, {
    force: options.force ?? false,
    sync: options.sync ?? true,
    inputs: request.opened
      .flatMap(withBases)
      .flatMap(({ files }) => files.opened().flatMap((file) => file.path ?? [])),
  });
  // Its process starts while the output is written.
  const own =
    options.validate === 'run' && !options.beside
      ? (await import('../validate/gate.js')).startWarm(context)
      : undefined;
  const runtime = options.beside?.runtime ?? own;
  await context.shared?.stage('write');
  try {
    context.progress.stage('write', bytesOf(intended.tensors));
    const extra = (await request.before?.(files, context)) ?? {};
    await format.writer.write(intended, files, {
      ...context,
      options: { ...request.writeOptions, ...extra },
      notice: (finding) => noticed.push(finding),
      ...(request.stored ? { stored: request.stored } : {}),
    });
    const staged = await files.stage();
    try {
      await context.shared?.stage('check');
      const gate = await prove(request, staged, runtime, context);
      const written = await filesOf(staged);
      const bytes = written.reduce((sum, file) => sum + file.bytes, 0);
      if (!gate.report.passed || bytes > (request.mostBytes ?? Number.POSITIVE_INFINITY)) {
        await files.abort();
        return report(written, gate);
      }
      for (const read of request.opened.flatMap(withBases)) await read.files.assertUnchanged();
      await files.commit();
      return report(written, gate);
    } finally {
      await staged.close();
    }
  } catch (error) {
    await files.abort();
    throw error;
  } finally {
    await own?.close();
    unmake?.();
  }
}

function withStepsBefore(request: WriteRequest): WriteRequest {
  const { since } = request.options.partOf ?? {};
  if (!since) return request;
  return { ...request, ...mergedChanges(since.changes, request), reference: since.reference };
}

/** The models that a delta builds on are read too. */
const withBases = (opened: OpenedModel): OpenedModel[] => [opened, ...opened.bases.flatMap(withBases)];

async function prove(
  { opened, reference, intended, options, changed, rewritten, quantized, maxAccuracyDrop }: WriteRequest,
  staged: InputFiles,
  runtime: Runtime | undefined,
  context: WorkContext,
): Promise<GateResult> {
  if (options.validate === 'none') return notProved(options.device);
  const { runGate } = await import('../validate/gate.js');
  return runGate({
    level: options.validate,
    device: options.device,
    source: reference,
    intended,
    staged,
    sourceFiles: opened[0].files,
    ...(changed === undefined ? {} : { changed }),
    ...(rewritten === undefined ? {} : { rewritten }),
    ...(quantized === undefined ? {} : { quantized }),
    ...(maxAccuracyDrop === undefined ? {} : { maxAccuracyDrop }),
    ...(options.inputs === undefined ? {} : { inputs: options.inputs }),
    ...(options.labels === undefined ? {} : { labels: options.labels }),
    ...(options.tolerance === undefined ? {} : { tolerance: options.tolerance }),
    ...(runtime ? { runtime } : {}),
    ...(options.beside ? { sourceRun: options.beside.sourceRun } : {}),
    context,
  });
}

const notProved = (device: string): GateResult => ({
  report: { level: 'none', device, passed: true },
  findings: [],
  tensorErrors: new Map(),
});

/** The staged files and their sizes. */
export async function filesOf(staged: InputFiles): Promise<FileEntry[]> {
  const names = await staged.list();
  return Promise.all(names.map(async (name) => ({ name, bytes: (await staged.open(name)).size })));
}

function refuseErrors(findings: readonly Finding[], format: OutputFormat): void {
  const errors = findings.filter((finding) => finding.severity === 'error');
  const [first] = errors;
  if (!first) return;
  const more = errors.length > 1 ? ` (and ${errors.length - 1} more)` : '';
  throw new MlserError(
    'E_UNSUPPORTED',
    `cannot be written as ${format.descriptor.title}: ${first.message}${more}`,
    {
      details: {
        format: format.descriptor.id,
        reasons: [...new Set(errors.map((finding) => finding.code))],
        subjects: errors.slice(0, 20).map((finding) => finding.subject),
      },
      hint: 'choose another format, or change the tensors it cannot hold (--dtype, --exclude)',
    },
  );
}

function tensorActions(request: WriteRequest, gate: GateResult): TensorAction[] {
  const before = new Map(request.reference.tensors.map((tensor) => [tensor.info.name, tensor]));
  return request.intended.tensors.map((tensor) => {
    const { name, dtype, shape } = tensor.info;
    const from = before.get(name);
    const error = gate.tensorErrors.get(name);
    return {
      name,
      action: request.actions?.get(name) ?? (from && from.info.dtype !== dtype ? 'cast' : 'copy'),
      dtypeIn: from?.info.dtype ?? dtype,
      dtypeOut: dtype,
      shape,
      bytesIn: from?.byteLength ?? tensor.byteLength,
      bytesOut: tensor.byteLength,
      ...(error === undefined ? {} : { error }),
    };
  });
}
