import type { WorkContext, WriteOptions } from '../core/format.js';
import type { MetadataValue } from '../core/model.js';
import { MlserError } from '../errors.js';
import type { OutputFiles } from '../io/files.js';
import { metadata } from '../transforms/metadata.js';
import { type OpenedModel, withModel } from './open.js';
import type { MetaReport, WriteReport } from './reports.js';
import { metadataRecord } from './to-json.js';
import { type OutputOptions, writeModel } from './write.js';

export interface MetaEdit {
  readonly set?: ReadonlyMap<string, MetadataValue>;
  readonly unset?: readonly string[];
  /** Where the edited model goes; default: it replaces the input, in one rename. */
  readonly output?: string;
}

/** The metadata of a model, or the given keys of it. E_NOT_FOUND for a key that is not there. */
export const metaGet = (input: string, keys: readonly string[], context: WorkContext): Promise<MetaReport> =>
  withModel(input, context, async ({ model }) => {
    requireKeys(model.metadata, keys, input);
    const wanted =
      keys.length === 0 ? model.metadata : new Map([...model.metadata].filter(([key]) => keys.includes(key)));
    return { command: 'meta', path: input, metadata: metadataRecord(wanted), findings: model.findings };
  });

/**
 * Sets and removes metadata. The file is written again beside the old one, proved, and renamed over it (the weights of
 * a graph that lie in other files are left where they are):
 * an interrupted edit leaves the old file as it was.
 */
export const metaEdit = (
  input: string,
  edit: MetaEdit,
  options: OutputOptions,
  context: WorkContext,
): Promise<WriteReport> =>
  withModel(input, context, async (opened) => {
    if (!opened.descriptor.keeps.metadata)
      throw new MlserError('E_UNSUPPORTED', `${opened.descriptor.title} holds no metadata`, {
        details: { format: opened.descriptor.id },
        hint: 'convert to a format that does: safetensors, ONNX or mlck',
      });
    requireKeys(opened.model.metadata, edit.unset ?? [], input);
    const output = edit.output ?? inPlace(opened);
    const intended = metadata({
      ...(edit.set ? { set: edit.set } : {}),
      unset: new Set(edit.unset ?? []),
    }).apply(opened.model);
    return writeModel(
      {
        command: 'meta',
        opened: [opened],
        reference: opened.model,
        intended,
        output,
        options: { ...options, to: opened.descriptor.id, force: options.force || edit.output === undefined },
        writeOptions: externalAsBefore(opened),
        ...(edit.output === undefined ? { before: (files) => keepData(opened, files) } : {}),
      },
      context,
    );
  });

function requireKeys(all: ReadonlyMap<string, unknown>, keys: readonly string[], input: string): void {
  for (const key of keys)
    if (!all.has(key))
      throw new MlserError('E_NOT_FOUND', `${input} has no metadata key ${JSON.stringify(key)}`, {
        details: { key },
        hint:
          all.size === 0
            ? 'it has no metadata at all'
            : `its keys: ${[...all.keys()].slice(0, 20).join(', ')}`,
      });
}

function inPlace({ input, files }: OpenedModel): string {
  if (files.folder === undefined)
    throw new MlserError('E_USAGE', `${input} cannot be edited in place`, {
      hint: 'name a local output with --output',
    });
  if (files.opened().length > 1 && files.main.endsWith('.index.json'))
    throw new MlserError('E_UNSUPPORTED', `${input} is sharded: its metadata cannot be edited in place`, {
      hint: 'write an edited copy with --output',
    });
  return `${files.folder}/${files.main}`;
}

/** Data files beside a graph stay as they are: only the graph is written again. */
async function keepData({ model, files }: OpenedModel, output: OutputFiles): Promise<WriteOptions> {
  const outside = model.tensors.flatMap(({ info, location }) =>
    location && location.file !== files.main ? [[info.name, location] as const] : [],
  );
  const names = new Set(outside.map(([, { file }]) => file));
  if (!model.graph || names.size === 0) return {};
  const kept = [...names].filter((name) => output.borrow?.(name) ?? false);
  return { pointAt: new Map(outside.filter(([, { file }]) => kept.includes(file))) };
}

/** A graph with its weights in another file keeps them there. */
const externalAsBefore = ({ model, files }: OpenedModel): { externalData?: boolean } =>
  model.graph && files.opened().length > 1 ? { externalData: true } : {};
