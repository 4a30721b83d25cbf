import type { WorkContext } from '../../../core/format.js';
import type { Model } from '../../../core/model.js';
import { type Finding, finding, MlserError } from '../../../errors.js';
import { blockParts } from '../../../graph/blocks/block-names.js';
import { dropBlocks } from '../../../graph/blocks/drop.js';
import { type Block, repeatedBlocks } from '../../../graph/blocks/find.js';
import { GraphEdit } from '../../../graph/edit.js';
import { graphDropped, withoutGraph } from '../../drop-graph.js';
import type { OpenedModel } from '../../open.js';
import { outputFormat } from '../../output.js';
import { writeModel } from '../../write.js';
import { valueShapes } from '../channels/value-shapes.js';
import { misplaced, sparsityOf } from '../methods.js';
import type { PruneModelOptions } from '../prune.js';
import type { PrunedTensorEntry, PruneReport } from '../report.js';
import { namedBlocks, withoutBlocks } from './drop-tensors.js';
import { blockInfluence } from './influence.js';
import { checkLayers } from './layer-list.js';

const SPARSITY = 0.1;

/** A block as the report has it. */
interface Told {
  readonly number: number;
  readonly gone: boolean;
  readonly weights: readonly string[];
  readonly influence?: number;
}

interface Plan {
  /** What the outcome is compared with, and what is written. */
  readonly reference: Model;
  readonly intended: Model;
  readonly blocks: readonly Told[];
  readonly findings: readonly Finding[];
}

/** Takes whole blocks out of a transformer, and proves the outcome as `pruneModel` does. */
export async function pruneLayers(
  opened: OpenedModel,
  output: string,
  options: PruneModelOptions,
  context: WorkContext,
  mostBytes?: number,
): Promise<PruneReport> {
  const target = (await outputFormat(output, options.to)).descriptor;
  const { model } = opened;
  const plan =
    model.graph && target.keeps.graph ? await ofGraph(opened, options, context) : ofWeights(opened, options);
  const dropped = model.graph && !target.keeps.graph ? [graphDropped(target)] : [];
  const report = await writeModel(
    {
      command: 'prune',
      opened: [opened],
      reference: plan.reference,
      intended: plan.intended,
      ...(model.graph && target.keeps.graph
        ? { rewritten: true, changed: new Set(plan.intended.tensors.map(({ info }) => info.name)) }
        : {}),
      ...(mostBytes === undefined ? {} : { mostBytes }),
      ...(options.maxAccuracyDrop === undefined ? {} : { maxAccuracyDrop: options.maxAccuracyDrop }),
      output,
      options,
      writeOptions: {
        ...(options.externalData === undefined ? {} : { externalData: options.externalData }),
        ...(options.compress === undefined ? {} : { compress: options.compress }),
      },
      findings: [...misplaced(options), ...dropped, ...plan.findings, ...(await configFollows(opened, plan))],
    },
    context,
  );
  const sizes = new Map(model.tensors.map(({ info, byteLength }) => [info.name, byteLength]));
  const entries = plan.blocks.map((block) => entryOf(block, sizes, model));
  const sum = (key: 'elements' | 'denseBytes' | 'storedBytes'): number =>
    entries.reduce((all, one) => all + (one[key] ?? 0), 0);
  const { accuracy } = report.validation;
  return {
    ...report,
    prune: {
      ...{ method: options.method, asked: options.layers ? null : (options.sparsity ?? SPARSITY) },
      ...{ sparsity: 0, zeros: 0, elements: sum('elements') },
      ...{ denseBytes: sum('denseBytes'), storedBytes: sum('storedBytes') },
      channels: { before: plan.blocks.length, after: plan.blocks.filter(({ gone }) => !gone).length },
      tensors: entries,
    },
    ...(accuracy?.before === undefined ? {} : { accuracyDrop: accuracy.before - accuracy.after }),
  };
}

/** Weights are read with the number of blocks that a config says, which does not change by itself. */
async function configFollows({ files, model }: OpenedModel, { blocks }: Plan): Promise<readonly Finding[]> {
  const left = blocks.filter(({ gone }) => !gone).length;
  if (left === blocks.length) return [];
  const beside = await files.has('config.json');
  if (model.graph && !beside) return [];
  const keys = `num_hidden_layers, n_layer or num_layers: ${left}`;
  const message = `${left} of ${blocks.length} blocks are left, numbered from 0: ${
    beside
      ? `the config.json beside the input is not copied; the one that goes with the output has to say so (${keys})`
      : `a config.json beside the weights has to say so (${keys})`
  }`;
  return [finding(beside ? 'warning' : 'info', 'CONFIG_FOLLOWS', 'model', message)];
}

async function ofGraph(opened: OpenedModel, options: PruneModelOptions, context: WorkContext): Promise<Plan> {
  const { model, input } = opened;
  const { calibration, layers } = options;
  if (layers === undefined && calibration === undefined) throw chooses(input);
  const { edit, blocks } = await blocksOf(opened, options, context);
  const influence =
    calibration === undefined ? undefined : await blockInfluence(opened, blocks, calibration, context);
  const wanted = layers ?? leastOf(blocks, influence ?? [], sparsityOf({ sparsity: SPARSITY, ...options }));
  checkLayers(
    wanted,
    blocks.map(({ number }) => number),
    input,
  );
  const gone = new Set(wanted.filter((number) => options.only?.(blockName(number)) ?? true));
  const intended = dropBlocks(
    edit,
    blocks.filter(({ number }) => gone.has(number)),
  );
  const left = new Set(intended.tensors.map(({ info }) => info.name));
  return {
    reference: model,
    intended,
    blocks: blocks.map(({ number, weights }, i) => ({
      ...{ number, gone: gone.has(number), weights },
      ...(influence?.[i] === undefined ? {} : { influence: influence[i] }),
    })),
    findings: blocks.flatMap(({ number, weights }) => {
      const shared = gone.has(number) ? weights.filter((name) => left.has(name)) : [];
      if (shared.length === 0) return [];
      const message = `${shared.length} of its weights stay, as other parts of the graph take what they make: ${shared[0]}`;
      return [finding('info', 'BLOCK_NEEDED', blockName(number), message)];
    }),
  };
}

/** @throws E_UNSUPPORTED where the graph has none. */
export async function blocksOf(
  opened: OpenedModel,
  { calibration, inputs }: Pick<PruneModelOptions, 'calibration' | 'inputs'>,
  context: WorkContext,
): Promise<{ readonly edit: GraphEdit; readonly blocks: readonly Block[] }> {
  const edit = await GraphEdit.open(opened.model);
  const shapes = await valueShapes(opened, calibration ?? inputs, context);
  const blocks = repeatedBlocks(edit, { shape: (value) => shapes.get(value) });
  if (blocks.length === 0) throw noBlocks(opened.input);
  return { edit, blocks };
}

/** Without a graph nothing runs: the user says which blocks go. */
function ofWeights({ model, input }: OpenedModel, options: PruneModelOptions): Plan {
  if (options.layers === undefined) throw chooses(input);
  const source = model.graph ? withoutGraph(model) : model;
  const named = namedBlocks(source);
  if (!named) throw noBlocks(input);
  const { prefix, numbers } = named;
  const intended = withoutBlocks(source, named, options.layers, input);
  return {
    reference: intended,
    intended,
    blocks: numbers.map((number) => ({
      number,
      gone: options.layers?.includes(number) ?? false,
      weights: source.tensors.flatMap(({ info }) => {
        const parts = blockParts(info.name);
        return parts?.prefix === prefix && parts.number === number ? [info.name] : [];
      }),
    })),
    findings: [],
  };
}

/** The blocks that change least what runs through them. */
function leastOf(
  blocks: readonly Block[],
  influence: readonly number[],
  sparsity: number,
): readonly number[] {
  const count = Math.min(
    blocks.length - 1,
    sparsity > 0 ? Math.max(1, Math.round(sparsity * blocks.length)) : 0,
  );
  const order = [...blocks.keys()].sort((a, b) => (influence[a] ?? 0) - (influence[b] ?? 0) || a - b);
  return order
    .slice(0, count)
    .map((i) => blocks[i]?.number ?? i)
    .sort((a, b) => a - b);
}

export const blockName = (number: number): string => `block ${number}`;

const chooses = (input: string): MlserError =>
  new MlserError('E_USAGE', 'which blocks go has to be said, or found from samples', {
    details: { input },
    hint: 'give --layers 20,21, or for an ONNX graph --calibration data.npz and --sparsity 0.1',
  });

const noBlocks = (input: string): MlserError =>
  new MlserError('E_UNSUPPORTED', 'no blocks that repeat each other were found', {
    details: { input },
    hint: 'layers are for transformers: take --method channels for other models',
  });

function entryOf(
  { number, gone, weights, influence }: Told,
  sizes: ReadonlyMap<string, number>,
  { tensors }: Model,
): PrunedTensorEntry {
  const own = new Set(weights);
  const bytes = weights.reduce((sum, name) => sum + (sizes.get(name) ?? 0), 0);
  return {
    ...{ name: blockName(number), sparsity: 0, zeros: 0 },
    elements: tensors.reduce(
      (sum, { info }) => sum + (own.has(info.name) ? info.shape.reduce((all, size) => all * size, 1) : 0),
      0,
    ),
    ...{ denseBytes: bytes, storedBytes: gone ? 0 : bytes, members: weights },
    channels: { before: 1, after: gone ? 0 : 1 },
    ...(influence === undefined ? {} : { influence }),
  };
}
