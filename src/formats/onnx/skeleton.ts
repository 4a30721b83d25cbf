import type { Model } from '../../core/model.js';
import type { DataSpan } from './data-span.js';
import { spanBytes } from './data-span.js';
import { encodeToBytes } from './encode.js';
import { canBeExternal, placeTensors, staysInline } from './place-tensors.js';
import { rewriteTensors } from './rewrite.js';
import type { TensorProto } from './schema.js';

/**
 * The model as a small `.onnx` in memory whose large initializers are external data in files that exist already:
 * the very file it was read from, at the offset of its raw_data, or a staged safetensors file. A runtime is given
 * these bytes and the folder of the files (onnxruntime: session config entry
 * `session.model_external_initializers_file_folder_path`), so that a model of any size is run without a copy.
 *
 * `place` gives the range of a tensor: a file name inside that folder, the offset of its canonical bytes and their
 * length; undefined for a tensor whose bytes do not lie so, which is read into memory. It is asked only for tensors of
 * at least 1 KiB. Throws E_UNSUPPORTED never for size: the caller bounds what it leaves without a place.
 */
export async function skeletonBytes(
  model: Model,
  place: (
    tensorName: string,
  ) => { readonly location: string; readonly offset: number; readonly length: number } | undefined,
): Promise<Uint8Array> {
  const proto = await placeTensors(model, (tensor) => {
    if (staysInline(tensor) || !canBeExternal(tensor)) return undefined;
    const range = place(tensor.info.name);
    return range && range.length === tensor.byteLength
      ? { file: range.location, offset: range.offset }
      : undefined;
  });
  const inMemory = new Map<DataSpan, DataSpan>();
  const waiting: DataSpan[] = [];
  const collect = (tensor: TensorProto): TensorProto => {
    waiting.push(...tensor.data.filter((span) => !span.bytes && span.length > 0));
    return tensor;
  };
  const visit = { initializer: collect, sparseInitializer: <T>(sparse: T): T => sparse, other: collect };
  rewriteTensors(proto, visit);
  for (const span of waiting) inMemory.set(span, { ...span, bytes: await spanBytes(span) });
  const load = (tensor: TensorProto): TensorProto =>
    tensor.data.some((span) => inMemory.has(span))
      ? { ...tensor, data: tensor.data.map((span) => inMemory.get(span) ?? span) }
      : tensor;
  return encodeToBytes('ModelProto', rewriteTensors(proto, { ...visit, initializer: load, other: load }));
}
