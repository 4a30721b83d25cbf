import type { WorkContext } from '../../../core/format.js';
import type { Model } from '../../../core/model.js';
import type { Cut } from '../../../graph/channels/cut.js';
import type { ChannelGraph } from '../../../graph/channels/graph.js';
import { RuntimeWork } from '../../../graph/channels/runtime-work.js';
import type { ScratchTensors } from '../../../kernels/quantize/scratch-tensors.js';
import type { OpenedModel } from '../../open.js';
import { chosenByWork } from './choose-by-work.js';
import { type Compensated, compensatedWeights } from './compensate.js';
import type { Grams } from './grams.js';
import { lossesOf } from './losses.js';
import { OutputErrors } from './output-errors.js';
import { PrunedFeeds, wholeFeeds } from './pruned-feeds.js';
import type { Ranked } from './ranked.js';
import { cutSoFar } from './so-far.js';

/** What a share of the work may cost, as a share of the variance of the outputs: the boldest first. */
const PRICES = [0.75, 0.5, 0];
/** Where the outputs cannot be measured. */
const UNMEASURED = 0.5;
/** An error of the outputs (of their variance) that is worth the speed; else so many times the least that can be had. */
const TOLERATED = 0.02;
const NEAR = 1.25;
/** A group alone is looked at with as few units as cost its next layers at least so much. */
const TRIED_LOSS = 0.05;
/** With more groups running each would take hours. */
const MOST_GROUPS = 256;

export interface Chosen {
  readonly cuts: readonly Cut[];
  readonly made: Compensated;
}

export interface BoldestFrom {
  readonly opened: OpenedModel;
  readonly graph: ChannelGraph;
  readonly shapes: ReadonlyMap<string, readonly number[]>;
  readonly data: string;
  readonly grams: Grams;
  readonly scratch: ScratchTensors;
  readonly context: WorkContext;
}

/**
 * The units that stay, chosen for speed as boldly as the outputs bear: what a choice costs is estimated layer by layer, so
 * several are made, from one that pays dearly for work to one that pays nothing, and the samples show what each does to
 * the outputs once the layers have made up for it. What the runtime would save is computed, not timed: the same model and
 * samples give the same bytes everywhere.
 */
export async function boldest(
  groups: readonly Ranked[],
  wanted: { readonly sparsity: number; readonly multipleOf?: number },
  from: BoldestFrom,
): Promise<Chosen> {
  const { opened, graph, shapes, grams, scratch } = from;
  const errors = groups.length > 0 ? await OutputErrors.open(from) : undefined;
  const work = new RuntimeWork(
    graph,
    groups.map(({ group }) => group),
  );
  const losses = await outputLosses(groups, await lossesOf(graph, groups, grams), errors, from);
  const feeds = new PrunedFeeds(from);
  const tried: (Chosen & { readonly error: number; readonly counts: string })[] = [];
  for (const price of errors ? PRICES : [UNMEASURED]) {
    const cuts = chosenByWork(groups, { ...wanted, work, losses, price });
    const counts = cuts.map(({ kept }) => kept.size).join();
    if (tried.some((one) => one.counts === counts)) continue;
    const made = await compensatedWeights(graph, cuts, feeds, scratch);
    const error = await errors?.of(await cutSoFar(opened.model, shapes, { ...made, cuts }));
    if (error === undefined || error <= TOLERATED) return { cuts, made };
    tried.push({ cuts, made, error, counts });
  }
  const least = Math.min(...tried.map(({ error }) => error));
  const found = tried.find(({ error }) => error <= NEAR * least);
  if (!found) throw new Error('no choice was tried');
  return found;
}

/**
 * Losses as shares of what the model puts out, instead of what the next layers do: a branch that is added to a larger one
 * matters less than the layer in front of the outputs. Each group is cut alone and its next layers make up for it; other
 * numbers of its units are taken to cost in proportion.
 */
async function outputLosses(
  groups: readonly Ranked[],
  losses: readonly Float64Array[],
  errors: OutputErrors | undefined,
  from: BoldestFrom,
): Promise<readonly Float64Array[]> {
  if (!errors || groups.length > MOST_GROUPS) return losses;
  const found: Float64Array[] = [];
  for (const [at, ranked] of groups.entries()) {
    const own = losses[at] ?? new Float64Array();
    const units = triedUnits(ranked, own);
    const error = await errors.of(await cutAlone(ranked, units, from));
    if (error === undefined) return losses;
    const scale = error / (own[units] ?? 0);
    found.push(Number.isFinite(scale) ? own.map((loss) => loss * scale) : own);
  }
  return found;
}

function triedUnits({ needed }: Ranked, losses: Float64Array): number {
  let units = losses.length - 2;
  while (units > needed && (losses[units] ?? 0) < TRIED_LOSS) units--;
  return Math.max(units, needed);
}

/** The model with one group cut, and nothing else. */
async function cutAlone(
  { group, order }: Ranked,
  units: number,
  { opened, graph, shapes, grams, scratch }: BoldestFrom,
): Promise<Model> {
  const cuts = [{ group, kept: new Set(order.slice(0, units)) }];
  const made = await compensatedWeights(graph, cuts, wholeFeeds(grams), scratch);
  return cutSoFar(opened.model, shapes, { ...made, cuts });
}
