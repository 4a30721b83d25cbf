import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { readTensor } from '../../src/core/tensor.js';
import { isMlserError } from '../../src/errors.js';
import { decodeMessage } from '../../src/formats/onnx/decode.js';
import { internalTensor } from '../../src/formats/onnx/tensor-data.js';
import { tensorFacts } from '../../src/formats/onnx/tensor-facts.js';
import type { Pass } from '../../src/graph/optimize/pass.js';
import { runPasses } from '../../src/graph/optimize/run-passes.js';
import { vocabularyOf } from '../../src/graph/vocabulary.js';
import { memorySource } from '../../src/io/memory.js';
import { bytesFor } from '../../src/operations/observed-model.js';
import { type OpenedModel, withModel } from '../../src/operations/open.js';
import { runtimeServices } from '../../src/operations/optimize/runtime-services.js';
import { compareOutput } from '../../src/runtime/metrics.js';
import type { Runtime, Session } from '../../src/runtime/process.js';
import { type Value, type Values, valueType, viewAs } from '../../src/runtime/values.js';
import { findFeeds } from '../../src/validate/find-feeds.js';
import { inputsOf } from '../../src/validate/runnable.js';

const SETTINGS = { providers: ['cpu'], threads: 1, lean: false };
const FOLD_LIMIT = 1 << 24;

export interface Differences {
  /** Rewrites by pass. */
  readonly rewrites: ReadonlyMap<string, number>;
  /** The smallest tolerance with which all outputs would pass; Infinity where they cannot be compared. */
  readonly needed: number;
  readonly nodes: number;
}

/** A model that the runtime loads and runs, with what it gives on its feeds. */
export interface Subject {
  readonly opened: OpenedModel;
  readonly feeds: Values;
  readonly outputs: Values;
  /** What a list of passes makes of it, run on the same feeds. */
  optimized(passes: readonly Pass[]): Promise<Differences>;
}

/** undefined: the runtime does not load or run the model as it is (`why` is told). */
export async function withSubject<T>(
  file: string,
  runtime: Runtime,
  work: (subject: Subject) => Promise<T>,
  skipped: (why: string) => void = () => {},
): Promise<T | undefined> {
  return withModel(file, {}, async (opened) => {
    const { model, files } = opened;
    const { graph } = model;
    const { path: at } = await files.open(files.main);
    if (!graph || at === undefined) return void skipped('no graph');
    let feeds: Values;
    let outputs: Values;
    try {
      const session = await runtime.create({ path: at }, SETTINGS, files.label);
      const found = await feedsOf(file, session, opened);
      if (!found) {
        await session.release();
        return void skipped('no feeds');
      }
      feeds = found;
      outputs = (await session.run(feeds)).outputs;
      await session.release();
    } catch (error) {
      if (!isMlserError(error)) throw error;
      return void skipped(error.message);
    }
    const services = runtimeServices(opened, runtime);
    try {
      return await work({
        opened,
        feeds,
        outputs,
        async optimized(passes) {
          const { model: made, rewrites } = await runPasses(model, passes, {
            services,
            foldLimit: FOLD_LIMIT,
          });
          const bytes = await bytesFor(made, true);
          const { folder } = files;
          const session = await runtime.create(
            folder === undefined ? { bytes } : { bytes, folder },
            SETTINGS,
            files.label,
          );
          const run = await session.run(feeds);
          await session.release();
          return { rewrites, needed: differenceOf(run.outputs, outputs), nodes: made.graph?.nodes ?? 0 };
        },
      });
    } finally {
      services.close();
    }
  });
}

function differenceOf(outputs: Values, expected: Values): number {
  let needed = 0;
  for (const [name, value] of expected) {
    const other = outputs.get(name);
    if (!other) return Number.POSITIVE_INFINITY;
    const comparison = compareOutput(name);
    comparison.add(other, value);
    needed = Math.max(needed, comparison.result().neededTolerance);
  }
  return needed;
}

/** `test_data_set_0/input_N.pb` beside the model, in the order of its inputs; else made up. */
async function feedsOf(file: string, session: Session, { model }: OpenedModel): Promise<Values | undefined> {
  const { graph } = model;
  const folder = path.join(path.dirname(file), 'test_data_set_0');
  if (!graph) return undefined;
  if (existsSync(folder)) {
    const files = readdirSync(folder).filter((name) => /^input_\d+\.pb$/.test(name));
    const pairs = new Map<string, Value>();
    for (const name of files) {
      const at = Number(/\d+/.exec(name)?.[0]);
      const input = graph.inputs[at]?.name;
      const value = await savedValue(path.join(folder, name));
      if (input === undefined || !value) return undefined;
      pairs.set(input, value);
    }
    if (pairs.size === graph.inputs.length) return pairs;
  }
  const found = await findFeeds(session, inputsOf(session, graph), vocabularyOf(model));
  return 'code' in found ? undefined : found.feeds;
}

async function savedValue(file: string): Promise<Value | undefined> {
  const { message } = await decodeMessage(
    'TensorProto',
    memorySource(readFileSync(file), path.basename(file)),
  );
  const facts = tensorFacts(message, 'x', '');
  const type = valueType(facts.info.dtype);
  if (type === undefined || type === 'string') return undefined;
  const bytes = await readTensor(await internalTensor(message, facts));
  return { type, dims: facts.info.shape, data: viewAs(type, bytes) };
}
