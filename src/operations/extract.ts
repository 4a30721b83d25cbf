import type { WorkContext } from '../core/format.js';
import type { OnnxValueInfo } from '../core/graph.js';
import type { Model } from '../core/model.js';
import { isMlserError, MlserError } from '../errors.js';
import { type Cut, extract, untyped } from '../graph/extract.js';
import type { InputFiles } from '../io/files.js';
import { startRuntime } from '../runtime/process.js';
import { dtypeOf } from '../runtime/values.js';
import { openChanged } from './open-changed.js';

/**
 * The part of a graph between named values (`graph/extract.ts`), as a model that can be written: types that neither
 * declarations nor operators tell are asked of the runtime, which infers them when it loads the graph.
 */
export async function extractPart(
  model: Model,
  files: InputFiles,
  cut: Cut,
  context: WorkContext,
): Promise<Model> {
  const names = untyped(model, cut);
  // What is wrong with the cut is told before anything is loaded.
  if (names.length === 0) return extract(model, cut);
  extract(model, { outputs: cut.outputs });
  return extract(model, cut, await runtimeTypes(model, files, names, context));
}

/** Types and shapes as the runtime infers them. E_UNSUPPORTED where it gives none, naming the values. */
export async function runtimeTypes(
  model: Model,
  files: InputFiles,
  names: readonly string[],
  context: WorkContext,
): Promise<ReadonlyMap<string, OnnxValueInfo>> {
  const runtime = startRuntime(context.signal ? { signal: context.signal } : {});
  try {
    const session = await openChanged(
      { model, files },
      runtime,
      extract(model, { outputs: names }),
      context.threads,
    );
    const found = new Map<string, OnnxValueInfo>();
    // The runtime says [] of what it does not even know the number of dimensions of.
    for (const { name, type, shape = [] } of session.outputs)
      if (type !== undefined)
        found.set(name, { name, dtype: dtypeOf(type), shape: shape.length > 0 ? [...shape] : undefined });
    await session.release();
    const left = names.filter((name) => !found.has(name));
    if (left.length > 0) throw typesUnknown(left, 'the runtime says they are no tensors');
    return found;
  } catch (error) {
    if (!isMlserError(error) || error.code !== 'E_RUNTIME') throw error;
    throw typesUnknown(names, error.message);
  } finally {
    await runtime.close();
  }
}

const typesUnknown = (names: readonly string[], why: string): MlserError =>
  new MlserError(
    'E_UNSUPPORTED',
    `the types of ${names.map((name) => JSON.stringify(name)).join(', ')} are not known: ${why}`,
    { details: { values: names }, hint: 'name values nearby whose types the graph declares' },
  );
