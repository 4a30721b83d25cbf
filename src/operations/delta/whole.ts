import type { StoredTensor, WorkContext, WriteOptions } from '../../core/format.js';
import { tensorBytesOf } from '../inspect.js';
import type { OpenedModel } from '../open.js';
import { writeModel } from '../write.js';
import { actionsOf, changesOf, codecsOf, contentOf, type DeltaOptions } from './create.js';
import type { DeltaCreateReport } from './report.js';

/** As that of a delta, without a base. */
export type WholeReport = Omit<DeltaCreateReport, 'base'> & { readonly base: null };

/** Writes a checkpoint that is whole by itself, packed. */
export async function writeWhole(
  {
    command,
    next,
    output,
  }: { readonly command: string; readonly next: OpenedModel; readonly output: string },
  options: DeltaOptions,
  context: WorkContext,
): Promise<WholeReport> {
  const { key } = context;
  const { graph: _, ...model } = next.model;
  let stored: readonly StoredTensor[] = [];
  const writeOptions: WriteOptions = {
    compress: true,
    ...(options.codecs ? { codecs: options.codecs } : {}),
    ...(key ? { key } : {}),
  };
  const report = await writeModel(
    {
      command,
      opened: [next],
      reference: model,
      intended: model,
      output,
      options: { ...options, to: 'mlck' },
      writeOptions,
      stored: (tensors) => {
        stored = tensors;
      },
    },
    context,
  );
  const tensorBytes = tensorBytesOf(model);
  return {
    ...report,
    ...(stored.length > 0 ? { tensors: actionsOf(report.tensors, stored) } : {}),
    base: null,
    target: { content: await contentOf(output, report.validation.passed && !options.dryRun, context) },
    ...changesOf(stored),
    codecs: codecsOf(stored),
    depth: 0,
    tensorBytes,
    ratio: report.bytesOut === 0 ? 0 : tensorBytes / report.bytesOut,
  };
}
