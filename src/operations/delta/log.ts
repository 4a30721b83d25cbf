import type { WorkContext } from '../../core/format.js';
import { tensorBytesOf } from '../inspect.js';
import { type OpenContext, type OpenedModel, withModel } from '../open.js';
import type { DeltaLogEntry, DeltaLogReport } from './report.js';
import { isRunFolder, readRun } from './run-index.js';

/** The steps of a run folder, or the chain of deltas below a file, the oldest first. */
export async function logDelta(input: string, context: WorkContext & OpenContext): Promise<DeltaLogReport> {
  if (await isRunFolder(input)) {
    const { steps } = await readRun(input);
    return logOf(
      input,
      steps.map((step) => ({ ...step, ratio: ratioOf(step.tensorBytes, step.bytes) })),
      [],
    );
  }
  return withModel(input, context, async (opened) => {
    const chain = [opened, ...[...opened.bases].reverse()];
    return logOf(input, chain.map(entryOf).reverse(), opened.model.findings);
  });
}

const ratioOf = (before: number, after: number): number => (after === 0 ? 0 : before / after);

function entryOf({ model, files }: OpenedModel): DeltaLogEntry {
  const bytes = files.opened().reduce((sum, { size }) => sum + size, 0);
  const tensorBytes = tensorBytesOf(model);
  return {
    name: files.main,
    step: model.training?.step ?? null,
    file: files.main,
    content: model.recordedContent ?? null,
    base: model.delta?.base ?? null,
    depth: model.delta?.depth ?? 0,
    bytes,
    tensorBytes,
    ratio: ratioOf(tensorBytes, bytes),
  };
}

function logOf(
  path: string,
  entries: readonly DeltaLogEntry[],
  findings: DeltaLogReport['findings'],
): DeltaLogReport {
  const bytes = entries.reduce((sum, entry) => sum + entry.bytes, 0);
  const tensorBytes = entries.reduce((sum, entry) => sum + entry.tensorBytes, 0);
  return {
    command: 'delta log',
    path,
    entries,
    bytes,
    tensorBytes,
    ratio: ratioOf(tensorBytes, bytes),
    findings,
  };
}
