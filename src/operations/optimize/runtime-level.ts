import type { WorkContext } from '../../core/format.js';
import type { Model } from '../../core/model.js';
import { type Finding, finding, MlserError } from '../../errors.js';
import { joinPath, scratchFolder } from '../../io/disk.js';
import { providersOf } from '../../runtime/devices.js';
import type { Runtime } from '../../runtime/process.js';
import { bytesOf } from '../inspect.js';
import { type OpenedModel, withModel } from '../open.js';
import type { RuntimeLevel } from './levels.js';
import { withStaged } from './staged-model.js';

/** A message of protobuf holds 2 GiB: the weights of larger models go into a file beside the graph. */
const INLINE_BYTES = 1 << 30;

/** Runs `work` on what onnxruntime's own optimiser makes of a model. E_RUNTIME for models that it refuses. */
export async function withRuntimeOptimized<T>(
  opened: OpenedModel,
  model: Model,
  level: RuntimeLevel,
  runtime: Runtime,
  context: WorkContext,
  work: (optimized: OpenedModel) => Promise<T>,
): Promise<T> {
  if (model !== opened.model || model.format !== 'onnx')
    return withStaged(opened, model, context, (staged) =>
      withRuntimeOptimized(staged, staged.model, level, runtime, context, work),
    );
  const { path } = await opened.files.open(opened.files.main);
  if (path === undefined)
    throw new MlserError('E_UNSUPPORTED', `${opened.input}: the runtime optimises local files only`, {
      details: { input: opened.input },
      hint: 'copy the model to a local folder first',
    });
  const { folder, remove } = scratchFolder('mlser-runtime-');
  try {
    const optimizedTo = joinPath(folder, 'optimized.onnx');
    const session = await runtime.create(
      { path },
      {
        providers: providersOf('cpu'),
        threads: context.threads,
        lean: false,
        optimizedTo,
        optimization: level === 'runtime' ? 'extended' : 'all',
        ...(bytesOf(model.tensors) > INLINE_BYTES ? { optimizedWeights: 'optimized.bin' } : {}),
      },
      opened.files.label,
    );
    await session.release();
    return await withModel(optimizedTo, context, (optimized) => work({ ...optimized, input: opened.input }));
  } finally {
    remove();
  }
}

/** What has to be known of such a graph. */
export const runtimeNote = (level: RuntimeLevel): Finding =>
  finding(
    'warning',
    'RUNTIME_SPECIFIC',
    'graph',
    level === 'runtime'
      ? 'the runtime optimised this graph for its cpu provider: other versions of onnxruntime, other providers and other runtimes may refuse it'
      : 'the runtime optimised this graph for its cpu provider and for this processor: other machines, versions of onnxruntime, providers and runtimes may refuse it',
  );
