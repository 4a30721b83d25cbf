import type { WorkContext } from '../../core/format.js';
import type { Model } from '../../core/model.js';
import { MlserError } from '../../errors.js';
import { baseMismatch } from '../base.js';
import { hashModel } from '../hashes.js';
import { bytesOf } from '../inspect.js';
import { type OpenContext, type OpenedModel, withModel, withModels } from '../open.js';
import type { WriteReport } from '../reports.js';
import { type OutputOptions, writeModel } from '../write.js';

/** Bases up to this size are hashed before anything is written. */
const SMALL_BYTES = 64 << 20;

/**
 * Rebuilds the model that the last of `deltas` was made from, and writes it in any format. The first delta builds on
 * `base`, every further one on the one before.
 *
 * @throws E_BASE_MISMATCH naming both contents, E_INTEGRITY naming the damaged tensor.
 */
export const applyDeltas = (
  base: string,
  deltas: readonly string[],
  output: string,
  options: OutputOptions,
  context: WorkContext & OpenContext,
): Promise<WriteReport> => {
  const last = deltas.at(-1);
  if (last === undefined) throw new MlserError('E_USAGE', 'a delta is missing');
  const bases = [...deltas.slice(0, -1), base];
  return withModels([last], { ...context, bases }, async ([opened]) => {
    if (!opened) throw new Error('a model is missing');
    if (!opened.model.delta) return applyForeign(base, deltas, opened, output, options, context);
    await checkBase(opened, context);
    await refuseUnused(opened, base, deltas, context);
    return rebuilt(opened, [opened], opened.model, output, options, context);
  });
};

/**
 * What was named and is not needed was named by mistake: something else would come out than was meant.
 *
 * @throws E_BASE_MISMATCH for the base, E_USAGE for a delta.
 */
export async function refuseUnused(
  opened: OpenedModel,
  base: string,
  deltas: readonly string[],
  context: OpenContext,
): Promise<void> {
  const used = new Set(opened.bases.map(({ input }) => input));
  const extra = deltas.slice(0, -1).find((path) => !used.has(path));
  if (extra !== undefined)
    throw new MlserError('E_USAGE', `${opened.input} does not build on ${extra}`, {
      details: { input: opened.input, delta: extra },
      hint: 'name the deltas in their order, the oldest first',
    });
  const needed = [...opened.bases, opened].find(({ model }) => model.delta)?.model.delta?.base;
  if (used.has(base) || needed === undefined || used.size === 0) return;
  const found = await withModel(base, context, async ({ model }) => model.recordedContent);
  if (found !== undefined) throw baseMismatch(opened.input, needed, found);
}

const rebuilt = (
  { input }: OpenedModel,
  opened: readonly [OpenedModel, ...OpenedModel[]],
  model: Model,
  output: string,
  options: OutputOptions,
  context: WorkContext,
): Promise<WriteReport> =>
  writeModel(
    {
      command: 'delta apply',
      opened,
      reference: model,
      intended: model,
      output,
      options,
      writeOptions: {},
    },
    context,
  ).then((report) => ({ ...report, input }));

/** Deltas in the layouts of other programs: each is recognised by what is in it. */
async function applyForeign(
  base: string,
  deltas: readonly string[],
  last: OpenedModel,
  output: string,
  options: OutputOptions,
  context: WorkContext & OpenContext,
): Promise<WriteReport> {
  const { dialectOf } = await import('./dialects/index.js');
  if (!(await dialectOf(last))) throw noDelta(last, output);
  return withModels([base, ...deltas], context, async ([from, ...opened]) => {
    if (!from) throw new Error('a model is missing');
    let model = from.model;
    for (const delta of opened) {
      const dialect = await dialectOf(delta);
      if (!dialect) throw noDelta(delta, output);
      model = await dialect.apply(model, delta, context);
      await dialect.verify?.(model, delta, context);
    }
    return rebuilt(last, [last, ...opened, from], model, output, options, context);
  });
}

const noDelta = ({ input }: OpenedModel, output: string): MlserError =>
  new MlserError('E_USAGE', `${input} is no delta: it is whole by itself`, {
    details: { input },
    hint: `to write it in another format: mlser convert ${input} ${output}`,
  });

/** Refuses another base at once where that is cheap, or where no byte that is read would tell. */
async function checkBase(opened: OpenedModel, context: WorkContext): Promise<void> {
  const needed = opened.model.delta?.base;
  const base = opened.bases.at(-1);
  if (needed === undefined) return;
  if (!base)
    throw new MlserError('E_NOT_FOUND', `the base of ${opened.input} (content ${needed}) was not found`, {
      details: { input: opened.input, base: needed },
      hint: 'name the base that the delta was made from',
    });
  const usesBase = opened.model.tensors.some(({ recipe }) => recipe?.coded?.base ?? recipe?.crc32);
  if (base.model.recordedContent === needed) return;
  if (bytesOf(base.model.tensors) > SMALL_BYTES && usesBase) return; // sums of what comes out tell
  const { content } = await hashModel(base.model, context);
  if (content !== needed) throw baseMismatch(opened.input, needed, content);
}
