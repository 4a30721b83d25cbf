import type { DataFiles, ModelWriter, WriteContext } from '../../core/format.js';
import { LIMITS } from '../../core/limits.js';
import type { Model } from '../../core/model.js';
import type { TensorSource } from '../../core/tensor.js';
import { finding } from '../../errors.js';
import type { OutputFiles } from '../../io/files.js';
import type { ByteSink } from '../../io/sink.js';
import { type Placement, transfer } from '../../kernels/transfer.js';
import { checkOutput } from './check-output.js';
import { layOut } from './data-layout.js';
import { type Encoded, encodeMessage } from './encode.js';
import { type FileRange, placeTensors, staysInline, steersGraph } from './place-tensors.js';

/**
 * Writes the graph and its tensors: inside the file, beside it (`externalData`, or when the file would pass what
 * protobuf can hold), or pointing at bytes that lie in the output folder already (`pointAt`). All offsets are
 * known before a tensor is read; the bytes are then placed in parallel.
 */
export const writer: ModelWriter = {
  check: checkOutput,
  async write(model, files, context) {
    const { pointAt, externalData } = context.options;
    const pointed = (tensor: TensorSource): FileRange | undefined =>
      steersGraph(tensor) ? undefined : pointAt?.get(tensor.info.name);
    if (externalData !== true) {
      const encoded = encodeMessage('ModelProto', await placeTensors(model, pointed, context.options.sparse));
      if (encoded.size <= LIMITS.PROTOBUF_BYTES || externalData === false) {
        retireBehind(0, files, context.options.dataFiles);
        await transfer(await writeMain(encoded, files), context);
        return;
      }
    }
    await writeExternal(model, files, context, pointed);
  },
};

async function writeExternal(
  model: Model,
  files: OutputFiles,
  context: WriteContext,
  pointed: (tensor: TensorSource) => FileRange | undefined,
): Promise<void> {
  const { sparse, dataFiles } = context.options;
  const outside = model.tensors.filter(
    (tensor) => !staysInline(tensor) && !pointed(tensor) && !sparse?.has(tensor.info.name),
  );
  const layout = layOut(outside, model.aliases, dataFiles ?? oneFile(files, context));
  retireBehind(new Set([...layout.values()].map(({ file }) => file)).size, files, dataFiles);
  const encoded = encodeMessage(
    'ModelProto',
    await placeTensors(model, (tensor) => layout.get(tensor.info.name) ?? pointed(tensor), sparse),
  );
  const placements: Placement[] = [];
  const sinks = new Map<string, ByteSink>();
  for (const tensor of outside) {
    const place = layout.get(tensor.info.name);
    if (!place || model.aliases.has(tensor.info.name)) continue;
    const sink = sinks.get(place.file) ?? (await files.create(place.file));
    sinks.set(place.file, sink);
    placements.push({ tensor, sink, offset: place.offset });
  }
  placements.push(...(await writeMain(encoded, files)));
  await transfer(placements, context);
}

/** Data files that an older, larger model had: those from `count` on. */
function retireBehind(count: number, files: OutputFiles, dataFiles: DataFiles | undefined): void {
  if (!dataFiles) return;
  for (let index = count; index < dataFiles.most; index++) {
    const name = dataFiles.name(index);
    if (!files.taken(name)) return;
    files.retire?.(name);
  }
}

/** All data in one file. */
function oneFile(files: OutputFiles, context: WriteContext): DataFiles {
  const name = freshName(files, context);
  return { name: () => name, most: 1, bytes: Number.POSITIVE_INFINITY };
}

/** A data file never takes the place of another: an old model that names it would meet new bytes. */
function freshName(files: OutputFiles, context: WriteContext): string {
  const first = `${files.main}.data`;
  if (!files.taken(first)) return first;
  const stem = files.main.replace(/\.onnx$/i, '');
  const extension = files.main.slice(stem.length);
  let count = 1;
  while (files.taken(`${stem}.${count}${extension}.data`)) count++;
  const fresh = `${stem}.${count}${extension}.data`;
  context.notice?.(
    finding(
      'info',
      'DATA_FILE_LEFT',
      first,
      `${first} exists and may belong to another model: it stays, the weights are in ${fresh}`,
    ),
  );
  return fresh;
}

/** Writes the structure; gives the tensors that go between its parts. */
async function writeMain(encoded: Encoded, files: OutputFiles): Promise<Placement[]> {
  const sink: ByteSink = await files.create(files.main);
  const placements: Placement[] = [];
  for (const part of encoded.parts) {
    if ('bytes' in part) await sink.writeAt(part.at, part.bytes);
    else placements.push({ tensor: part.content, sink, offset: part.at });
  }
  return placements;
}
