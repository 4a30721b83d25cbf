import * as path from 'node:path';
import type { WorkContext } from '../../core/format.js';
import { type OpenContext, withModel } from '../open.js';
import type { WriteReport } from '../reports.js';
import { writeModel } from '../write.js';
import type { PresetOptions } from './preset.js';
import { writeOptionsOf } from './quantize.js';
import type { VariantEntry } from './report.js';
import { CHUNK_BYTES, chunksOf, type NamedVariant } from './transformers-js.js';

/**
 * A variant that holds what another holds: the proved file is copied, with data files under names of its own, and every
 * byte compared. What was found out about the one is true of the other, and what kept the one from being written too.
 */
export async function twinEntry(
  twin: VariantEntry,
  home: string,
  { dtype, file }: NamedVariant,
  options: PresetOptions,
  context: WorkContext & OpenContext,
): Promise<VariantEntry> {
  const findings = twin.findings.map((one) => (one.subject === twin.file ? { ...one, subject: file } : one));
  const same = { ...twin, dtype, file, findings };
  if (twin.outcome !== 'written') return same;
  const {
    files,
    bytesOut: bytes,
    validation,
  } = await copied(path.join(home, twin.file), path.join(home, file));
  if (validation.passed) return { ...same, files, bytes };
  return { ...same, outcome: 'failed', files: [], bytes, validation };

  function copied(from: string, output: string): Promise<WriteReport> {
    const { shardSize = CHUNK_BYTES, inputs: _, labels: __, validate, ...rest } = options;
    const writeOptions = writeOptionsOf({ ...rest, dataFiles: chunksOf(file, shardSize) });
    return withModel(from, context, (opened) =>
      writeModel(
        {
          ...{
            command: 'quantize',
            opened: [opened],
            reference: opened.model,
            intended: opened.model,
            output,
          },
          ...{ options: { ...rest, validate: validate === 'run' ? 'weights' : validate }, writeOptions },
        },
        context,
      ),
    );
  }
}
