import type { WorkContext } from '../../../core/format.js';
import type { Model } from '../../../core/model.js';
import { MlserError } from '../../../errors.js';
import { protoOf } from '../../../formats/onnx/summary.js';
import { vocabularyOf } from '../../../graph/vocabulary.js';
import { type ArrayFile, withArrays } from '../../../runtime/arrays.js';
import { feedsFromFile } from '../../../runtime/feed-source.js';
import { type Session, startRuntime } from '../../../runtime/process.js';
import { toNumbers, type Values } from '../../../runtime/values.js';
import { findFeeds } from '../../../validate/find-feeds.js';
import { inputsOf } from '../../../validate/runnable.js';
import { measuring, shapeName } from '../../observed-model.js';
import type { OpenedModel } from '../../open.js';
import { onlyInputs, openChanged } from '../../open-changed.js';

/**
 * How large the values of the main graph are in one run, on one sample of `data` or on made-up inputs. A run knows what
 * inference does not: sizes that are computed.
 */
export async function valueShapes(
  { model, files }: Pick<OpenedModel, 'model' | 'files'>,
  data: string | undefined,
  context: WorkContext,
): Promise<ReadonlyMap<string, readonly number[]>> {
  if (!model.graph) throw new Error('only graphs have values');
  const names = valuesOf(model);
  const runtime = startRuntime(context.signal ? { signal: context.signal } : {});
  try {
    return await withArrays(data, async (file) => {
      const session = await openChanged({ model, files }, runtime, measuring(model, names), context.threads);
      try {
        const outputs = await outputsOf(session, model, file, files.label);
        return new Map(
          names.flatMap((name) => {
            const shape = outputs.get(shapeName(name));
            return shape ? [[name, Array.from(toNumbers(shape))] as const] : [];
          }),
        );
      } finally {
        await session.release();
      }
    });
  } finally {
    await runtime.close();
  }
}

/** What is fed and what nodes make. */
function valuesOf(model: Model): readonly string[] {
  const graph = model.graph && protoOf(model.graph).graph;
  const made =
    graph?.node.flatMap(({ opType, output }) => (opType?.includes('Sequence') ? [] : output)) ?? [];
  const fed = model.graph?.inputs.flatMap(({ name, dtype }) => (dtype.includes('(') ? [] : [name])) ?? [];
  return [...new Set([...fed, ...made])].filter((name) => name !== '');
}

async function outputsOf(
  session: Session,
  model: Model,
  file: ArrayFile | undefined,
  label: string,
): Promise<Values> {
  if (!model.graph) throw new Error('only graphs are run');
  const inputs = inputsOf(session, model.graph);
  if (file) {
    const feeds = feedsFromFile(file, inputs, 1);
    return (await session.run(onlyInputs(session, await feeds.load(feeds.slices?.[0])))).outputs;
  }
  const found = await findFeeds(session, inputs, vocabularyOf(model));
  if (!('code' in found)) return found.outputs;
  throw new MlserError('E_RUNTIME', found.message, {
    details: { input: label },
    hint: 'give samples of the inputs with --inputs data.npz',
  });
}
