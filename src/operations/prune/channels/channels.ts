import type { WorkContext } from '../../../core/format.js';
import type { Model } from '../../../core/model.js';
import { type Finding, finding, MlserError } from '../../../errors.js';
import { shiftBiases } from '../../../graph/channels/biases.js';
import { type Cut, cutChannels } from '../../../graph/channels/cut.js';
import { ChannelGraph } from '../../../graph/channels/graph.js';
import { type ChannelGroup, channelGroups } from '../../../graph/channels/groups.js';
import { GraphEdit } from '../../../graph/edit.js';
import { ScratchTensors } from '../../../kernels/quantize/scratch-tensors.js';
import type { OpenedModel } from '../../open.js';
import { outputFormat } from '../../output.js';
import { selects } from '../../selection.js';
import { writeModel } from '../../write.js';
import { misplaced, sparsityOf } from '../methods.js';
import type { Importance, PruneScope } from '../names.js';
import { provedWith } from '../proved-with.js';
import type { PruneModelOptions } from '../prune.js';
import type { PrunedTensorEntry, PruneReport } from '../report.js';
import { boldest } from './boldest.js';
import { chosenUnits } from './choose-units.js';
import { compensatedBiases, compensatedWeights } from './compensate.js';
import { channelsLeft, channelsOf } from './counts.js';
import { Grams } from './grams.js';
import { weighed } from './importance.js';
import { affordsManyRuns } from './many-runs.js';
import { shiftsByNorms } from './norm-shifts.js';
import { withNewStatistics } from './norm-statistics.js';
import { PrunedFeeds, wholeFeeds } from './pruned-feeds.js';
import { ranked } from './ranked.js';
import { valueShapes } from './value-shapes.js';

const SPARSITY = 0.3;

/** What is to become of a graph. */
interface Plan {
  readonly intended: Model;
  readonly cuts: readonly Cut[];
  readonly groups: readonly ChannelGroup[];
  readonly findings: readonly Finding[];
  readonly by: Importance;
  readonly scope: PruneScope;
}

/**
 * Takes whole channels out of a graph: filters, neurons, heads. What is left makes up for them as far as samples tell.
 * The outcome is proved as `pruneModel` does.
 */
export async function pruneChannels(
  opened: OpenedModel,
  output: string,
  options: PruneModelOptions,
  context: WorkContext,
  mostBytes?: number,
): Promise<PruneReport> {
  const { model } = opened;
  const target = (await outputFormat(output, options.to)).descriptor;
  if (!model.graph || !target.keeps.graph)
    throw new MlserError('E_UNSUPPORTED', 'channels are taken out of a graph: both files have to be ONNX', {
      details: { input: opened.input, format: target.id },
      hint: 'take another --method for weights without a graph',
    });
  const scratch = new ScratchTensors();
  try {
    const plan = await planned(opened, options, scratch, context);
    const { intended } = plan;
    const before = new Map(model.tensors.map(({ info }) => [info.name, info.shape.join()]));
    const cut = new Set(plan.cuts.flatMap(({ group }) => group.weights.map(({ value }) => value)));
    const touched = intended.tensors.filter(
      (tensor) => !model.tensors.includes(tensor) && before.has(tensor.info.name),
    );
    const report = await writeModel(
      {
        command: 'prune',
        opened: [opened],
        reference: model,
        intended,
        rewritten: true,
        changed: new Set(touched.map(({ info }) => info.name)),
        actions: new Map(
          touched.map(({ info }) => [
            info.name,
            cut.has(info.name) && before.get(info.name) !== info.shape.join() ? 'prune' : 'adjust',
          ]),
        ),
        ...(mostBytes === undefined ? {} : { mostBytes }),
        ...(options.maxAccuracyDrop === undefined ? {} : { maxAccuracyDrop: options.maxAccuracyDrop }),
        output,
        options: provedWith(options),
        writeOptions: options.externalData === undefined ? {} : { externalData: options.externalData },
        findings: [...misplaced(options), ...plan.findings],
      },
      context,
    );
    return told(report, plan, model, options);
  } finally {
    scratch.release();
  }
}

async function planned(
  opened: OpenedModel,
  options: PruneModelOptions,
  scratch: ScratchTensors,
  context: WorkContext,
): Promise<Plan> {
  const { model } = opened;
  const { calibration } = options;
  const findings: Finding[] = [];
  const sparsity = sparsityOf({ sparsity: SPARSITY, ...options });
  const by = options.importance ?? (calibration === undefined ? 'l1' : 'activation');
  if (by === 'activation' && calibration === undefined) throw needsSamples('--importance activation');
  const how = options.compensate ?? (calibration === undefined ? 'bias' : 'weights');
  if (how === 'weights' && calibration === undefined) throw needsSamples('--compensate weights');
  const multiple = multipleOf(options);
  const edit = await GraphEdit.open(model);
  const shapes = await valueShapes(opened, calibration ?? options.inputs, context);
  const graph = await ChannelGraph.open(edit, shapes);
  const all = channelGroups(graph).map((group) => left(group, options));
  const free = all.filter(({ reason }) => reason === undefined);
  if (free.length === 0)
    findings.push(finding('warning', 'NOTHING_PRUNED', 'model', 'no channels can be taken out'));
  const grams = calibration === undefined ? undefined : new Grams(model, opened.files, calibration, context);
  const scope = options.scope ?? 'global';
  const units = (await weighed(graph, free, by, grams)).map(ranked);
  const often = affordsManyRuns(model);
  const forSpeed =
    grams &&
    calibration !== undefined &&
    often &&
    how === 'weights' &&
    scope === 'global' &&
    options.speed !== false;
  const chosen = forSpeed
    ? await boldest(
        units,
        { sparsity, ...(multiple === undefined ? {} : { multipleOf: multiple }) },
        { opened, graph, shapes, data: calibration, grams, scratch, context },
      )
    : undefined;
  const cuts = chosen?.cuts ?? chosenUnits(units, { sparsity, scope, multipleOf: multiple });
  let made = chosen?.made;
  if (!made && grams && calibration !== undefined && how !== 'none')
    made =
      how === 'weights'
        ? await compensatedWeights(
            graph,
            cuts,
            often
              ? new PrunedFeeds({ opened, shapes, data: calibration, grams, context })
              : wholeFeeds(grams),
            scratch,
          )
        : await compensatedBiases(graph, cuts, grams);
  if (made) await shiftBiases(graph, made.shifts);
  for (const name of made?.left ?? [])
    findings.push(
      finding(
        'info',
        'NOT_COMPENSATED',
        name,
        'the samples do not tell how it could make up for its channels',
      ),
    );
  if (!grams && how === 'bias') await shiftBiases(graph, await shiftsByNorms(graph, cuts));
  const cut = cutChannels(graph, cuts, made?.weights);
  const intended =
    calibration === undefined || how !== 'bias'
      ? cut
      : await withNewStatistics({
          ...{ model: cut, files: opened.files, shapes, data: calibration, context },
          changed: new Set(
            cut.tensors.flatMap((one) => (model.tensors.includes(one) ? [] : [one.info.name])),
          ),
        });
  return { intended, cuts, groups: all, findings, by, scope };
}

function multipleOf({ multipleOf: wanted }: PruneModelOptions): number | undefined {
  if (wanted === undefined || (Number.isSafeInteger(wanted) && wanted >= 1)) return wanted;
  throw new MlserError('E_USAGE', `channels cannot be a multiple of ${wanted}`, {
    details: { multipleOf: wanted },
    hint: 'give a number from 1 on: --multiple-of 8',
  });
}

const needsSamples = (what: string): MlserError =>
  new MlserError('E_USAGE', `${what} needs samples of the inputs`, {
    details: { option: what },
    hint: 'give them with --calibration data.npz',
  });

/** A group that stays as it is, because it was told so or because it would not compute the same without it. */
function left(group: ChannelGroup, options: PruneModelOptions): ChannelGroup {
  const { name, reason, inexact } = group;
  if (reason !== undefined) return group;
  const chosen =
    selects(options, name) &&
    !(options.keep ?? []).some((re) => re.test(name)) &&
    (options.only?.(name) ?? true);
  if (!chosen) return { ...group, reason: 'it was to stay as it is' };
  const asked = (options.include?.length ?? 0) > 0;
  return inexact === undefined || asked
    ? group
    : { ...group, reason: `${inexact} (--include takes it all the same)` };
}

function told(
  report: PruneReport | Awaited<ReturnType<typeof writeModel>>,
  plan: Plan,
  model: Model,
  options: PruneModelOptions,
): PruneReport {
  const entries = plan.groups.map((group) => entryOf(group, plan, model));
  const after = new Map(plan.intended.tensors.map((tensor) => [tensor.info.name, tensor.byteLength]));
  const touched = model.tensors.filter(({ info }) =>
    plan.cuts.some(
      ({ group, kept }) => kept.size < group.units && group.weights.some(({ value }) => value === info.name),
    ),
  );
  const { accuracy } = report.validation;
  return {
    ...report,
    prune: {
      ...{
        method: options.method,
        scope: plan.scope,
        importance: plan.by,
        asked: options.sparsity ?? SPARSITY,
      },
      ...{ sparsity: 0, zeros: 0 },
      elements: entries.reduce((sum, one) => sum + one.elements, 0),
      denseBytes: touched.reduce((sum, one) => sum + one.byteLength, 0),
      storedBytes: touched.reduce((sum, { info }) => sum + (after.get(info.name) ?? 0), 0),
      channels: {
        before: entries.reduce((sum, one) => sum + (one.channels?.before ?? 0), 0),
        after: entries.reduce((sum, one) => sum + (one.channels?.after ?? 0), 0),
      },
      tensors: entries,
    },
    ...(accuracy?.before === undefined ? {} : { accuracyDrop: accuracy.before - accuracy.after }),
  };
}

function entryOf(group: ChannelGroup, { cuts, intended }: Plan, model: Model): PrunedTensorEntry {
  const cut = cuts.find((one) => one.group === group);
  const channels = channelsOf(group);
  const tensor = model.tensors.find(({ info }) => info.name === group.name);
  const kept = cut ? channelsLeft(cut) : channels;
  const members = [...new Set(group.weights.map(({ value }) => value))];
  return {
    ...{ name: group.name, sparsity: 0, zeros: 0 },
    elements: tensor ? tensor.info.shape.reduce((all, size) => all * size, 1) : 0,
    denseBytes: tensor?.byteLength ?? 0,
    storedBytes: intended.tensors.find(({ info }) => info.name === group.name)?.byteLength ?? 0,
    channels: { before: channels, after: kept },
    units: group.units,
    members,
    ...(group.reason === undefined ? {} : { reason: group.reason }),
  };
}
