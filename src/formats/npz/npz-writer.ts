import type { ModelWriter, WriteContext } from '../../core/format.js';
import type { Model } from '../../core/model.js';
import type { TensorSource } from '../../core/tensor.js';
import { crc32, crc32Combine } from '../../io/crc32.js';
import type { ByteSink } from '../../io/sink.js';
import { finishZip, planZip, ZipAppender } from '../../io/zip/writer.js';
import { transfer } from '../../kernels/transfer.js';
import { checkModel, checkNames } from './check.js';
import { SUFFIX } from './npz-reader.js';
import { encodeHeader } from './write-header.js';

/** Stored members whose data is 64-byte aligned, or deflated ones one after another; the same bytes every time. */
export const writer: ModelWriter = {
  check: (model) => [...checkModel(model, 'npz'), ...checkNames(model)],

  async write(model, files, context) {
    const sink = await files.create(files.main);
    await (context.options.compress ? writeDeflated : writeStored)(model, sink, context);
  },
};

async function writeStored(model: Model, sink: ByteSink, context: WriteContext): Promise<void> {
  const arrays = model.tensors.map((tensor) => ({ tensor, header: encodeHeader(tensor.info) }));
  const plan = planZip(
    arrays.map(({ tensor, header }) => ({
      name: tensor.info.name + SUFFIX,
      size: header.byteLength + tensor.byteLength,
    })),
  );
  const placed = arrays.map((array, index) => {
    const entry = plan.entries[index];
    if (!entry) throw new Error('the plan lacks an entry');
    return { ...array, at: entry.dataOffset };
  });
  for (const { header, at } of placed) await sink.writeAt(at, header);
  const sums = await transfer(
    placed.map(({ tensor, header, at }) => ({ tensor, sink, offset: at + header.byteLength, crc32: true })),
    context,
  );
  const crcs = placed.map(({ tensor, header }, index) =>
    crc32Combine(crc32(header), sums[index]?.crc32 ?? 0, tensor.byteLength),
  );
  await finishZip(sink, plan, crcs);
}

async function writeDeflated(model: Model, sink: ByteSink, context: WriteContext): Promise<void> {
  const zip = new ZipAppender(sink);
  for (const tensor of model.tensors) {
    const header = encodeHeader(tensor.info);
    const size = header.byteLength + tensor.byteLength;
    await zip.deflate(tensor.info.name + SUFFIX, size, arrayBytes(header, tensor, context));
  }
  await zip.finish();
}

async function* arrayBytes(
  header: Uint8Array,
  tensor: TensorSource,
  context: WriteContext,
): AsyncGenerator<Uint8Array> {
  yield header;
  for await (const chunk of tensor.stream()) {
    yield chunk;
    context.progress.advance(chunk.byteLength);
  }
}
