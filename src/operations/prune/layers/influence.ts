import type { WorkContext } from '../../../core/format.js';
import type { Model } from '../../../core/model.js';
import type { Block } from '../../../graph/blocks/find.js';
import { type NodeDescription, nodeProto } from '../../../graph/build.js';
import { withArrays } from '../../../runtime/arrays.js';
import { feedsFromFile } from '../../../runtime/feed-source.js';
import { startRuntime } from '../../../runtime/process.js';
import { toNumbers, type Value } from '../../../runtime/values.js';
import { inputsOf } from '../../../validate/runnable.js';
import { withOutputs } from '../../observed-model.js';
import type { OpenedModel } from '../../open.js';
import { onlyInputs, openChanged } from '../../open-changed.js';

/** TensorProto.DataType of f32. */
const FLOAT = 1n;
/** Sums of a run may depend on how it is cut among threads. */
const THREADS = 1;

const sumName = (i: number): string => `mlser_cosines_${i}`;
const shapeName = (i: number): string => `mlser_stream_${i}`;

/**
 * How much each block changes what runs through it: 1 − the mean cosine of the vectors before and behind it, over all
 * places of all samples (block influence; Men et al., ShortGPT, 2024).
 */
export async function blockInfluence(
  { model, files }: Pick<OpenedModel, 'model' | 'files'>,
  blocks: readonly Block[],
  data: string,
  context: WorkContext,
): Promise<readonly number[]> {
  const { graph } = model;
  if (!graph) throw new Error('only graphs have blocks');
  const runtime = startRuntime(context.signal ? { signal: context.signal } : {});
  try {
    return await withArrays(data, async (file) => {
      const session = await openChanged({ model, files }, runtime, watching(model, blocks), THREADS);
      try {
        if (!file) throw new Error('samples are read from a file');
        const feeds = feedsFromFile(file, inputsOf(session, graph));
        const sums = blocks.map(() => ({ cosines: 0, vectors: 0 }));
        context.progress.stage('calibrate', feeds.slices?.length ?? 1);
        for (const slice of feeds.slices ?? [undefined]) {
          const { outputs } = await session.run(onlyInputs(session, await feeds.load(slice)));
          sums.forEach((sum, i) => {
            sum.cosines += numbers(outputs.get(sumName(i)))[0] ?? 0;
            sum.vectors += numbers(outputs.get(shapeName(i)))
              .slice(0, -1)
              .reduce((all, size) => all * size, 1);
          });
          context.progress.advance(1);
        }
        return sums.map(({ cosines, vectors }) => 1 - cosines / (vectors || 1));
      } finally {
        await session.release();
      }
    });
  } finally {
    await runtime.close();
  }
}

const numbers = (value: Value | undefined): readonly number[] => (value ? Array.from(toNumbers(value)) : []);

/** The model with the sum of the cosines of each block, and the shape of what is compared, as its outputs. */
function watching(model: Model, blocks: readonly Block[]): Model {
  const nodes = blocks.flatMap(({ before, behind }, i): readonly NodeDescription[] => {
    const name = (what: string): string => `mlser_block_${i}_${what}`;
    const unit = (value: string, what: string): readonly NodeDescription[] => [
      { op: 'Cast', inputs: [value], outputs: [name(`${what}_wide`)], attributes: { to: FLOAT } },
      {
        ...{ op: 'LpNormalization', inputs: [name(`${what}_wide`)], outputs: [name(what)] },
        attributes: { axis: -1n, p: 2n },
      },
    ];
    return [
      ...unit(before, 'before'),
      ...unit(behind, 'behind'),
      { op: 'Mul', inputs: [name('before'), name('behind')], outputs: [name('product')] },
      { op: 'ReduceSum', inputs: [name('product')], outputs: [sumName(i)], attributes: { keepdims: 0n } },
      { op: 'Shape', inputs: [behind], outputs: [shapeName(i)] },
    ];
  });
  return withOutputs(
    model,
    blocks.flatMap((_, i) => [sumName(i), shapeName(i)]),
    nodes.map((node, i) => nodeProto({ ...node, name: `mlser_influence_${i}` }, 0)),
  );
}
