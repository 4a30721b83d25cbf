import type { WorkContext } from '../../core/format.js';
import type { Model } from '../../core/model.js';
import { joinPath, scratchFolder } from '../../io/disk.js';
import { type OpenedModel, withModel } from '../open.js';
import { writeModel } from '../write.js';

/**
 * Runs `work` on a model as a file of its own, for what reads files only: the runtime, and the gate's reference. It is
 * called what `opened` is called, and gone afterwards.
 */
export async function withStaged<T>(
  opened: OpenedModel,
  model: Model,
  context: WorkContext,
  work: (staged: OpenedModel) => Promise<T>,
): Promise<T> {
  const { folder, remove } = scratchFolder('mlser-part-');
  try {
    const output = joinPath(folder, 'model.onnx');
    const options = { validate: 'none', device: 'cpu', sync: false } as const;
    const request = { command: 'optimize', opened: [opened], reference: model, intended: model } as const;
    await writeModel({ ...request, output, options, writeOptions: {} }, context);
    return await withModel(output, context, (staged) => work({ ...staged, input: opened.input }));
  } finally {
    remove();
  }
}
