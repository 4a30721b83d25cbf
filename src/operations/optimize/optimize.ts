import type { WorkContext, WriteOptions } from '../../core/format.js';
import type { OnnxGraph } from '../../core/graph.js';
import type { Model } from '../../core/model.js';
import { type Finding, finding, MlserError } from '../../errors.js';
import type { Level } from '../../graph/optimize/pass.js';
import { runPasses } from '../../graph/optimize/run-passes.js';
import { type Runtime, startRuntime } from '../../runtime/process.js';
import { ignoredOptions } from '../ignored-options.js';
import { type OpenContext, type OpenedModel, withModel } from '../open.js';
import { outputFormat } from '../output.js';
import type { WriteReport } from '../reports.js';
import { withWholeTime } from '../whole-time.js';
import { type OutputOptions, writeModel } from '../write.js';
import { choosePasses, type PassChoice } from './choose-passes.js';
import { isRuntimeLevel, type RuntimeLevel } from './levels.js';
import type { OptimizeReport } from './report.js';
import { runtimeNote, withRuntimeOptimized } from './runtime-level.js';
import { runtimeServices } from './runtime-services.js';
import { after, before, type StepChoice, withPart } from './steps.js';

/** Constants that folding makes may have so many bytes each. */
export const FOLD_LIMIT = 16 << 20;

export interface OptimizeOptions extends OutputOptions, Omit<PassChoice, 'level'>, StepChoice {
  /** `runtime`, `runtime-all`: by the runtime's own optimiser instead of passes. */
  readonly level?: Level | RuntimeLevel;
  readonly foldLimit?: number;
  readonly externalData?: boolean;
}

/**
 * A graph that computes the same with fewer and better nodes. The outcome is run next to its source; the report says
 * what each pass did and how long a run takes before and after.
 *
 * @throws E_USAGE for a model without a graph or a pass that is not known; what `openModel` and `writeModel` throw.
 */
export const optimizeModel = (
  input: string,
  output: string,
  options: OptimizeOptions,
  context: WorkContext & OpenContext,
): Promise<OptimizeReport> =>
  withWholeTime(() =>
    withModel(input, context, (opened) => optimizeOpened(opened, output, options, context)),
  );

/** `optimizeModel`, of a model that is open already. */
export async function optimizeOpened(
  opened: OpenedModel,
  output: string,
  options: OptimizeOptions,
  context: WorkContext,
): Promise<OptimizeReport> {
  if (!opened.model.graph) throw noGraph(opened, '');
  return withPart(opened, options, context, (part) => optimizePart(opened, part, output, options, context));
}

async function optimizePart(
  whole: OpenedModel,
  part: OpenedModel,
  output: string,
  options: OptimizeOptions,
  context: WorkContext,
): Promise<OptimizeReport> {
  const target = (await outputFormat(output, options.to)).descriptor;
  const { graph } = part.model;
  if (!graph || !target.keeps.graph) throw noGraph(part, target.title);
  const prepared = await before(part.model, options);
  const opened = { ...part, model: prepared.reference };
  const runtime = startRuntime(context.signal ? { signal: context.signal } : {});
  const services = runtimeServices(opened, runtime);
  const write = async (made: Made): Promise<OptimizeReport> => {
    const finished = await after(made.model, options, services);
    const report = await writeModel(
      {
        command: 'optimize',
        opened: [opened, ...(whole === part ? [] : [whole]), ...(made.opened ?? [])],
        reference: opened.model,
        intended: finished.model,
        rewritten: true,
        output,
        options,
        writeOptions: writeOptions(options),
        findings: [
          ...ignoredOptions(writeOptions(options), target),
          ...prepared.findings,
          ...made.findings,
          ...finished.findings,
        ],
      },
      context,
    );
    const speed = await speedOf(opened, report, { ...options, runtime }, context);
    return {
      ...report,
      command: 'optimize',
      optimize: {
        level: options.level ?? 'extended',
        ...(options.passes ? { named: options.passes } : {}),
        passes: [...made.rewrites].map(([name, count]) => ({ name, rewrites: count })),
        rounds: made.rounds,
        ...changes(graph, finished.model),
      },
      ...(speed ? { speed } : {}),
    };
  };
  try {
    const { level } = options;
    if (isRuntimeLevel(level))
      return await withRuntimeOptimized(
        { ...opened, model: part.model },
        prepared.model,
        level,
        runtime,
        context,
        (made) =>
          write({
            model: made.model,
            opened: [made],
            findings: [runtimeNote(level)],
            rewrites: new Map(),
            rounds: 0,
          }),
      );
    const passes = choosePasses({ ...options, level });
    context.progress.stage('optimize', passes.length);
    const { model, rewrites, rounds } = await runPasses(
      prepared.model,
      passes,
      { services, foldLimit: options.foldLimit ?? FOLD_LIMIT },
      () => context.progress.advance(1),
    );
    const nothing = finding('info', 'NOTHING_FOUND', 'graph', 'no pass found anything to rewrite');
    return await write({ model, findings: rewrites.size === 0 ? [nothing] : [], rewrites, rounds });
  } finally {
    services.close();
    await runtime.close();
  }
}

/** What passes, or the runtime, made of the graph. */
interface Made {
  readonly model: Model;
  /** The files that its weights are read from, if they are not the input's. */
  readonly opened?: readonly OpenedModel[];
  readonly findings: readonly Finding[];
  readonly rewrites: ReadonlyMap<string, number>;
  readonly rounds: number;
}

const writeOptions = ({ externalData }: OptimizeOptions): WriteOptions =>
  externalData === undefined ? {} : { externalData };

function noGraph({ input, model }: OpenedModel, target: string): MlserError {
  const what = model.graph ? `${target} holds no graph` : `${input} has no graph`;
  return new MlserError('E_USAGE', `nothing to optimize: ${what}`, {
    details: { input, format: model.format },
    hint: 'optimize takes an .onnx file and writes one',
  });
}

function changes(
  before: OnnxGraph,
  { graph: after }: Model,
): Pick<OptimizeReport['optimize'], 'nodesBefore' | 'nodesAfter' | 'ops'> {
  const sum = (ops: ReadonlyMap<string, number>): number => [...ops.values()].reduce((all, n) => all + n, 0);
  const now = after?.ops ?? new Map<string, number>();
  const names = [...new Set([...before.ops.keys(), ...now.keys()])].sort();
  const pairs = names.map((name) => [name, [before.ops.get(name) ?? 0, now.get(name) ?? 0]] as const);
  return {
    nodesBefore: sum(before.ops),
    nodesAfter: sum(now),
    ops: Object.fromEntries(pairs.filter(([, [was, is]]) => was !== is)),
  };
}

async function speedOf(
  opened: OpenedModel,
  { output, validation }: WriteReport,
  { dryRun, validate, inputs, partOf, runtime }: OptimizeOptions & { readonly runtime: Runtime },
  context: WorkContext,
): Promise<OptimizeReport['speed']> {
  if (dryRun || partOf || validate !== 'run' || !validation.passed) return undefined;
  const { explainSpeed } = await import('../quantize/speed.js');
  const speed = await explainSpeed(
    opened,
    output,
    { device: 'cpu', runtime, ...(inputs === undefined ? {} : { inputs }) },
    context,
  );
  return speed && { beforeMs: speed.beforeMs, afterMs: speed.afterMs };
}
