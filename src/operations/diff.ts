import type { WorkContext } from '../core/format.js';
import type { OnnxGraph, OnnxValueInfo } from '../core/graph.js';
import { type Model, tensorMap } from '../core/model.js';
import type { TensorSource } from '../core/tensor.js';
import { MlserError } from '../errors.js';
import { compareTensors, type TensorDifference } from '../kernels/compare.js';
import type { ValidationReport } from '../validate/report.js';
import { bytesOf } from './inspect.js';
import { type OpenedModel, withModels } from './open.js';
import type { DiffReport, NameChanges, TensorChange } from './reports.js';
import { metadataToJson, record } from './to-json.js';

export interface DiffOptions {
  /** Values within |a − b| ≤ t + t·|b| count as the same. */
  readonly tolerance?: number;
  /** Values within |a − b| ≤ m count as the same. */
  readonly maxAbs?: number;
  /** Also run both graphs on the same feeds. */
  readonly run?: boolean;
  readonly inputs?: string;
  readonly device?: string;
  /** Tensors to leave out, by name. */
  readonly ignore?: readonly RegExp[];
  /** Metadata differences count too. */
  readonly strict?: boolean;
}

/**
 * What differs between two models of any two formats. `same` is about tensors, graph and (with `run`) behaviour;
 * metadata differences are listed and count with `strict`. Equal values in different number types are a change
 * of dtype, not of values.
 */
export const diffModels = (
  a: string,
  b: string,
  options: DiffOptions,
  context: WorkContext,
): Promise<DiffReport> =>
  withModels([a, b], context, async ([left, right]) => {
    if (!left || !right) throw new Error('two models are needed');
    if (options.run) for (const opened of [left, right]) needGraph(opened);
    const tensors = await diffTensors(left.model, right.model, options, context);
    const metadata = diffNames(jsonTexts(left.model), jsonTexts(right.model));
    const graph =
      left.model.graph && right.model.graph ? diffGraphs(left.model.graph, right.model.graph) : undefined;
    const run = options.run ? await runBoth(left, right, options, context) : undefined;
    await left.files.assertUnchanged();
    await right.files.assertUnchanged();
    const same =
      tensors.added.length + tensors.removed.length === 0 &&
      tensors.changed.length === 0 &&
      (graph?.same ?? true) &&
      (run?.passed ?? true) &&
      (!options.strict || metadata.added.length + metadata.removed.length + metadata.changed.length === 0);
    return {
      command: 'diff',
      a,
      b,
      same,
      tensors,
      metadata,
      ...(graph ? { graph } : {}),
      ...(run?.run ? { run: run.run } : {}),
      findings: [...left.model.findings, ...right.model.findings],
    };
  });

function needGraph({ input, model }: OpenedModel): void {
  if (model.graph) return;
  throw new MlserError('E_USAGE', `${input} has no graph that could be run`, {
    details: { input, format: model.format },
    hint: 'leave out --run to compare structure and values',
  });
}

async function diffTensors(
  a: Model,
  b: Model,
  options: DiffOptions,
  context: WorkContext,
): Promise<DiffReport['tensors']> {
  const ignored = (name: string): boolean => (options.ignore ?? []).some((re) => re.test(name));
  const left = tensorMap(a);
  const right = tensorMap(b);
  const names = [...left.keys()].filter((name) => !ignored(name));
  const shared = names.flatMap((name) => {
    const [x, y] = [left.get(name), right.get(name)];
    return x && y ? [{ a: x, b: y }] : [];
  });
  const comparable = shared.filter((pair) => sameShape(pair.a, pair.b));
  context.progress.stage('compare', bytesOf(comparable.map((pair) => pair.a)));
  const differences = await compareTensors(comparable, context);
  const byName = new Map(comparable.map((pair, i) => [pair.a.info.name, differences[i]]));
  const found = shared.flatMap((pair) => change(pair.a, pair.b, byName.get(pair.a.info.name), options) ?? []);
  const changed = found.filter((one) => one.reasons.length > 0);
  return {
    removed: names.filter((name) => !right.has(name)),
    added: [...right.keys()].filter((name) => !left.has(name) && !ignored(name)),
    changed,
    ...(changed.length < found.length ? { tolerated: found.filter((one) => one.reasons.length === 0) } : {}),
    unchanged: shared.length - changed.length,
  };
}

const sameShape = (a: TensorSource, b: TensorSource): boolean =>
  a.info.shape.length === b.info.shape.length && a.info.shape.every((dim, i) => dim === b.info.shape[i]);

/** How a tensor changed: without a reason where its values moved within the tolerance; undefined where they did not. */
function change(
  a: TensorSource,
  b: TensorSource,
  difference: TensorDifference | undefined,
  options: DiffOptions,
): TensorChange | undefined {
  const reasons: TensorChange['reasons'][number][] = [];
  if (a.info.dtype !== b.info.dtype) reasons.push('dtype');
  if (!sameShape(a, b)) reasons.push('shape');
  const valuesDiffer = difference !== undefined && !difference.equal && difference.changed > 0;
  const tolerated = valuesDiffer && withinTolerance(difference, options);
  if (valuesDiffer && !tolerated) reasons.push('values');
  if (reasons.length === 0 && !tolerated) return undefined;
  return {
    name: a.info.name,
    reasons,
    ...(a.info.dtype === b.info.dtype ? {} : { dtype: [a.info.dtype, b.info.dtype] }),
    ...(sameShape(a, b) ? {} : { shape: [a.info.shape, b.info.shape] }),
    ...(difference
      ? {
          maxAbs: difference.maxAbs,
          maxRel: difference.maxRel,
          rmse: difference.rmse,
          cosine: difference.cosine,
          changedFraction: difference.changedFraction,
        }
      : {}),
    ...(tolerated ? { withinTolerance: true } : {}),
  };
}

const withinTolerance = (difference: TensorDifference, { tolerance, maxAbs }: DiffOptions): boolean =>
  (maxAbs !== undefined && difference.maxAbs <= maxAbs) ||
  (tolerance !== undefined && difference.neededTolerance <= tolerance);

const jsonTexts = (model: Model): Map<string, string> =>
  new Map([...model.metadata].map(([key, value]) => [key, JSON.stringify(metadataToJson(value))]));

function diffNames(a: ReadonlyMap<string, unknown>, b: ReadonlyMap<string, unknown>): NameChanges {
  return {
    added: [...b.keys()].filter((key) => !a.has(key)),
    removed: [...a.keys()].filter((key) => !b.has(key)),
    changed: [...a.keys()].filter((key) => b.has(key) && a.get(key) !== b.get(key)),
  };
}

function diffGraphs(a: OnnxGraph, b: OnnxGraph): NonNullable<DiffReport['graph']> {
  const surplus = (x: ReadonlyMap<string, number>, y: ReadonlyMap<string, number>): Record<string, number> =>
    record([...x].map(([op, n]) => [op, n - (y.get(op) ?? 0)] as const).filter(([, n]) => n > 0));
  const values = (list: readonly OnnxValueInfo[]): Map<string, string> =>
    new Map(list.map((value) => [value.name, JSON.stringify([value.dtype, value.shape ?? null])]));
  const ops = { added: surplus(b.ops, a.ops), removed: surplus(a.ops, b.ops) };
  const inputs = diffNames(values(a.inputs), values(b.inputs));
  const outputs = diffNames(values(a.outputs), values(b.outputs));
  const opsets = diffNames(a.opsets, b.opsets);
  const quiet = (names: NameChanges): boolean =>
    names.added.length + names.removed.length + names.changed.length === 0;
  const same =
    Object.keys(ops.added).length + Object.keys(ops.removed).length === 0 &&
    [inputs, outputs, opsets].every(quiet) &&
    a.nodes === b.nodes;
  return { same, nodes: [a.nodes, b.nodes], ops, inputs, outputs, opsets };
}

/** Runs b against a on the same feeds. */
async function runBoth(
  a: OpenedModel,
  b: OpenedModel,
  options: DiffOptions,
  context: WorkContext,
): Promise<ValidationReport> {
  const { validateModel } = await import('../validate/gate.js');
  const { report } = await validateModel({
    model: b.model,
    files: b.files,
    level: 'run',
    device: options.device ?? 'cpu',
    reference: { model: a.model, files: a.files },
    ...(options.inputs === undefined ? {} : { inputs: options.inputs }),
    ...(options.tolerance === undefined ? {} : { tolerance: options.tolerance }),
    context,
  });
  return report;
}
