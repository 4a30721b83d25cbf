import type { WorkContext, WriteOptions } from '../../core/format.js';
import type { OnnxGraph } from '../../core/graph.js';
import type { Model } from '../../core/model.js';
import { type Finding, finding, MlserError } from '../../errors.js';
import { runPasses } from '../../graph/optimize/run-passes.js';
import { startRuntime } from '../../runtime/process.js';
import { ignoredOptions } from '../ignored-options.js';
import { type OpenContext, type OpenedModel, withModel } from '../open.js';
import { outputFormat } from '../output.js';
import type { WriteReport } from '../reports.js';
import { withWholeTime } from '../whole-time.js';
import { type OutputOptions, writeModel } from '../write.js';
import { choosePasses, type PassChoice } from './choose-passes.js';
import type { OptimizeReport } from './report.js';
import { runtimeServices } from './runtime-services.js';

/** Constants that folding makes may have so many bytes each. */
export const FOLD_LIMIT = 16 << 20;

export interface OptimizeOptions extends OutputOptions, PassChoice {
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
  const target = (await outputFormat(output, options.to)).descriptor;
  const { graph } = opened.model;
  if (!graph || !target.keeps.graph) throw noGraph(opened, target.title);
  const passes = choosePasses(options);
  const runtime = startRuntime(context.signal ? { signal: context.signal } : {});
  const services = runtimeServices(opened, runtime);
  try {
    context.progress.stage('optimize', passes.length);
    const { model, rewrites, rounds } = await runPasses(
      opened.model,
      passes,
      { services, foldLimit: options.foldLimit ?? FOLD_LIMIT },
      () => context.progress.advance(1),
    );
    const findings: Finding[] = [...ignoredOptions(writeOptions(options), target)];
    if (rewrites.size === 0)
      findings.push(finding('info', 'NOTHING_FOUND', 'graph', 'no pass found anything to rewrite'));
    const report = await writeModel(
      {
        command: 'optimize',
        opened: [opened],
        reference: opened.model,
        intended: model,
        rewritten: true,
        output,
        options,
        writeOptions: writeOptions(options),
        findings,
      },
      context,
    );
    const speed = await speedOf(opened, report, options, context);
    return {
      ...report,
      command: 'optimize',
      optimize: {
        level: options.level ?? 'extended',
        passes: [...rewrites].map(([name, count]) => ({ name, rewrites: count })),
        rounds,
        ...changes(graph, model),
      },
      ...(speed ? { speed } : {}),
    };
  } finally {
    services.close();
    await runtime.close();
  }
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
  { dryRun, validate, inputs, partOf }: OptimizeOptions,
  context: WorkContext,
): Promise<OptimizeReport['speed']> {
  if (dryRun || partOf || validate !== 'run' || !validation.passed) return undefined;
  const { explainSpeed } = await import('../quantize/speed.js');
  const speed = await explainSpeed(
    opened,
    output,
    { device: 'cpu', ...(inputs === undefined ? {} : { inputs }) },
    context,
  );
  return speed && { beforeMs: speed.beforeMs, afterMs: speed.afterMs };
}
