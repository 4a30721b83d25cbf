import { isFloat } from '../../core/dtype.js';
import { type MetadataValue, type Model, tensorMap } from '../../core/model.js';
import { readTensor, type TensorSource } from '../../core/tensor.js';
import { DATA, type DataSpan, rawBytes, rawContent } from './data-span.js';
import { onnxTypeOf } from './dtypes.js';
import { externalFields } from './external-fields.js';
import { initializersOf } from './graphs.js';
import { contentOf, isUntouched } from './origins.js';
import { rewriteTensors } from './rewrite.js';
import { create, type ModelProto, type SparseTensorProto, type TensorProto } from './schema.js';
import { sparseParts } from './sparse-parts.js';
import { protoOf } from './summary.js';

/** Tensors smaller than this stay in the graph: shapes and scalars, which runtimes want at hand. */
export const INLINE_BYTES = 1024;

/** A range of a file beside the model. */
export interface FileRange {
  readonly file: string;
  readonly offset: number;
}

/** True for tensors that may lie outside: ONNX has no external strings, onnxruntime aborts on empty ranges. */
export const canBeExternal = ({ info, byteLength }: TensorSource): boolean =>
  info.dtype !== 'str' && byteLength > 0;

/** True for what gains nothing from lying outside. */
export const staysInline = (tensor: TensorSource): boolean =>
  !canBeExternal(tensor) || tensor.byteLength < INLINE_BYTES;

/** Small constants that steer the graph; small weights may be pointed at. */
export const steersGraph = (tensor: TensorSource): boolean =>
  staysInline(tensor) && (!canBeExternal(tensor) || !isFloat(tensor.info.dtype));

/**
 * The model's structure with its tensors put in: initializers take their values from `model.tensors` (by the names of
 * initializersOf). `place` says where the bytes of one lie; undefined keeps them in the message, small ones in
 * memory and others to be streamed. Those of `sparsely` become sparse ones, with so many values. Tensors that the model lacks keep the message they have.
 */
export async function placeTensors(
  model: Model,
  place: (tensor: TensorSource) => FileRange | undefined,
  sparsely: ReadonlyMap<string, number> = new Map(),
): Promise<ModelProto> {
  if (!model.graph) throw new Error('placeTensors needs a graph');
  const proto = protoOf(model.graph);
  const tensors = tensorMap(model);
  const dense = new Map<TensorProto, TensorProto>();
  const sparse = new Map<SparseTensorProto, { readonly dense: TensorProto } | SparseTensorProto>();
  const parts = new Map<TensorProto, SparseTensorProto>();
  for (const initializer of initializersOf(proto)) {
    const tensor = tensors.get(initializer.name);
    if (!tensor) continue;
    if ('sparse' in initializer) {
      if (isUntouched(tensor, initializer.sparse)) continue;
      const { values } = initializer.sparse;
      const count = sparsely.get(initializer.name);
      const empty = create('TensorProto', { name: values?.name, dataType: values?.dataType });
      sparse.set(
        initializer.sparse,
        count === undefined
          ? { dense: await placed(empty, tensor, place(tensor)) }
          : await sparseParts(values?.name, tensor, count),
      );
    } else if (sparsely.has(initializer.name))
      parts.set(
        initializer.tensor,
        await sparseParts(initializer.tensor.name, tensor, sparsely.get(initializer.name) ?? 0),
      );
    else dense.set(initializer.tensor, await placed(initializer.tensor, tensor, place(tensor)));
  }
  return rewriteTensors(
    { ...proto, metadataProps: metadataProps(proto, model) },
    {
      initializer: (tensor) => {
        const made = parts.get(tensor);
        return made ? { sparse: made } : (dense.get(tensor) ?? internal(tensor));
      },
      sparseInitializer: (one) => sparse.get(one) ?? one,
      other: internal,
    },
  );
}

/** A tensor in an attribute: what lay outside comes in, since not every runtime looks for it there. */
function internal(tensor: TensorProto): TensorProto {
  const content = tensor.dataLocation === 1 ? contentOf(tensor) : undefined;
  if (!content) return tensor;
  return { ...tensor, dataLocation: undefined, externalData: [], data: [rawContent(content)] };
}

async function placed(
  message: TensorProto,
  tensor: TensorSource,
  range: FileRange | undefined,
): Promise<TensorProto> {
  const { info, byteLength } = tensor;
  const unchanged = isUntouched(tensor, message);
  if (!range && unchanged && message.dataLocation !== 1) return message;
  const base: TensorProto = {
    ...message,
    dims: info.shape.map(BigInt),
    dataType: onnxTypeOf(info.dtype)?.id ?? message.dataType,
    dataLocation: undefined,
    externalData: [],
    data: [],
  };
  if (range)
    return {
      ...base,
      ...externalFields({ location: range.file, offset: range.offset, length: byteLength }),
    };
  if (info.dtype === 'str') return { ...base, data: await stringSpans(tensor) };
  if (byteLength >= INLINE_BYTES) return { ...base, data: [rawContent(tensor)] };
  return { ...base, data: [rawBytes(await readTensor(tensor))] };
}

/** string_data from the canonical form: records of a tag, a length and the bytes. */
async function stringSpans(tensor: TensorSource): Promise<DataSpan[]> {
  const canonical = await readTensor(tensor);
  const view = new DataView(canonical.buffer, canonical.byteOffset, canonical.byteLength);
  const spans: DataSpan[] = [];
  for (let at = 0; at < canonical.byteLength; ) {
    const length = view.getUint32(at, true);
    const bytes = canonical.subarray(at + 4, at + 4 + length);
    spans.push({ field: DATA.string, form: 'payload', records: 1, length, bytes });
    at += 4 + length;
  }
  return spans;
}

const text = (value: MetadataValue): string =>
  typeof value === 'string'
    ? value
    : JSON.stringify(value, (_, inner: unknown) => {
        if (inner instanceof Map) return Object.fromEntries(inner);
        return typeof inner === 'bigint' ? inner.toString() : inner;
      });

function metadataProps(proto: ModelProto, { metadata }: Model): ModelProto['metadataProps'] {
  const known = new Map(proto.metadataProps.map(({ key = '', value = '' }) => [key, value]));
  const same =
    known.size === metadata.size && [...metadata].every(([key, value]) => known.get(key) === value);
  if (same) return proto.metadataProps;
  return [...metadata].map(([key, value]) => create('StringStringEntryProto', { key, value: text(value) }));
}
