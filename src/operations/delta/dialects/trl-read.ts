import { type DType, elementBytes, elementCount } from '../../../core/dtype.js';
import type { WorkContext } from '../../../core/format.js';
import { type Model, tensorMap } from '../../../core/model.js';
import type { TensorSource } from '../../../core/tensor.js';
import { type Finding, finding, MlserError, malformed } from '../../../errors.js';
import { compareUtf8 } from '../../../formats/safetensors/layout.js';
import { sha256Hasher } from '../../../io/hashing.js';
import { parseJson } from '../../../io/json.js';
import { interrupted } from '../../../kernels/messages.js';
import type { OpenedModel } from '../../open.js';
import { form } from './pairs.js';
import { type Patch, patchModel, withBytes, wrongBase } from './patch.js';
import { type IndexForm, type SparsePart, sparseStream } from './sparse.js';

/** What a delta without changes holds, because a file without tensors was not wanted. */
export const EMPTY = '__empty_delta__';

/** Ends of tensor names in the two published layouts. */
const LAYOUTS = [
  { indices: '.indices', values: '.values' },
  { indices: '.idx', values: '.val' },
] as const;

/** The base with the values of a sparse patch at their places. */
export async function applyTrl(base: Model, delta: OpenedModel): Promise<Model> {
  const parts = partsOf(delta);
  const olds = tensorMap(base);
  const patches = new Map<string, Patch>();
  for (const [name, part] of parts) {
    const old = olds.get(name);
    if (old) checkForm(old, part);
    patches.set(name, (tensor) => withBytes(tensor, (range) => sparseStream(tensor, part, range)));
  }
  return patchModel(base, patches);
}

function checkForm(old: TensorSource, { values }: SparsePart): void {
  const { name, dtype } = old.info;
  if (dtype !== values.info.dtype)
    throw wrongBase(name, `has ${values.info.dtype} values for ${form(old)}, the tensor`);
  if (elementBytes(dtype) === undefined)
    throw new MlserError(
      'E_UNSUPPORTED',
      `tensor ${JSON.stringify(name)}: elements of ${dtype} are no bytes`,
      {
        details: { tensor: name },
      },
    );
  const elements = elementCount(old.info.shape, name);
  const changed = values.info.shape[0] ?? 0;
  if (changed > elements) throw wrongBase(name, `changes ${changed} elements of ${form(old)}, the tensor`);
}

/** Name → what is stored for it; everything in the file belongs to one of them, and to what the metadata says. */
function partsOf({ model, files }: OpenedModel): Map<string, SparsePart> {
  const file = files.main;
  const open = tensorMap(model);
  if (isEmpty(model)) open.delete(EMPTY);
  const encoding = model.metadata.get('encoding') ?? 'raw';
  const parts = new Map<string, SparsePart>();
  for (const { info } of model.tensors) {
    const layout = LAYOUTS.find(({ values }) => info.name.endsWith(values));
    const values = layout && open.get(info.name);
    if (!layout || !values) continue;
    const name = info.name.slice(0, -layout.values.length);
    const indices = open.get(name + layout.indices);
    if (!indices) continue;
    open.delete(info.name);
    open.delete(indices.info.name);
    if (parts.has(name)) throw malformed(`${file}: tensor ${JSON.stringify(name)} is there twice`, { file });
    const stored =
      layout === LAYOUTS[0] ? formOf('raw', indices.info.dtype) : formOf(encoding, indices.info.dtype);
    if (stored === undefined)
      throw new MlserError(
        'E_UNSUPPORTED',
        `${file}: the indices of ${JSON.stringify(name)} are ${indices.info.dtype}, encoded as ${JSON.stringify(encoding)}`,
        { details: { file, tensor: name }, hint: 'known are raw (i32) and gap_delta (u16 or u32)' },
      );
    const [count, values1] = [indices.info.shape, values.info.shape];
    if (count.length !== 1 || values1.length !== 1 || count[0] !== values1[0])
      throw malformed(
        `${file}: ${JSON.stringify(name)} has indices [${count.join(', ')}] and values [${values1.join(', ')}]`,
        { file, tensor: name },
      );
    parts.set(name, { indices, form: stored, values });
  }
  const [odd] = open.keys();
  if (odd !== undefined)
    throw malformed(`${file}: tensor ${JSON.stringify(odd)} has no place in a sparse delta`, {
      file,
      tensor: odd,
    });
  checkMetadata(model, parts, file);
  return parts;
}

const isEmpty = ({ tensors }: Model): boolean => {
  const [only] = tensors;
  return tensors.length === 1 && only !== undefined && only.info.name === EMPTY && form(only) === 'i32 [1]';
};

function formOf(encoding: unknown, dtype: DType): IndexForm | undefined {
  if (encoding === 'raw' && dtype === 'i32') return 'i32';
  if (encoding === 'gap_delta' && dtype === 'u16') return 'gap16';
  if (encoding === 'gap_delta' && dtype === 'u32') return 'gap32';
  return undefined;
}

/** Two places that say the same thing must agree. */
function checkMetadata({ metadata }: Model, parts: ReadonlyMap<string, SparsePart>, file: string): void {
  const named = metadata.get('changed_params');
  if (typeof named === 'string') {
    const list = parseJson(Buffer.from(named), file, { what: 'changed_params' });
    if (!Array.isArray(list) || list.length !== parts.size || !list.every((name) => parts.has(String(name))))
      throw malformed(`${file}: changed_params does not name the tensors that the file changes`, { file });
  }
  const total = metadata.get('total_changed_elements');
  const found = [...parts.values()].reduce((sum, { values }) => sum + (values.info.shape[0] ?? 0), 0);
  if (total !== undefined && total !== String(found))
    throw malformed(`${file}: total_changed_elements is ${String(total)}, the file changes ${found}`, {
      file,
    });
}

/** SHA-256 of all tensors one after the other, in the order of their names. */
export async function verifyTrl(
  result: Model,
  { model, files }: OpenedModel,
  context: WorkContext,
): Promise<Finding[]> {
  const recorded = model.metadata.get('checksum_sha256');
  if (typeof recorded !== 'string' || recorded === '') return [];
  const elements = result.tensors.reduce((sum, { info }) => sum + elementCount(info.shape, info.name), 0);
  const told = model.metadata.get('total_elements');
  if (told !== undefined && told !== String(elements)) {
    const message = `the checksum of the delta is over ${String(told)} elements, the model has ${elements}: it was not compared`;
    return [finding('warning', 'CHECKSUM_NOT_COMPARED', files.main, message)];
  }
  const hash = sha256Hasher();
  for (const tensor of result.tensors.toSorted((a, b) => compareUtf8(a.info.name, b.info.name)))
    for await (const chunk of tensor.stream()) {
      if (context.signal?.aborted) throw interrupted();
      hash.update(chunk);
      context.progress.advance(chunk.byteLength);
    }
  const found = hash.digest('hex');
  if (found === recorded) return [];
  throw new MlserError(
    'E_BASE_MISMATCH',
    `${files.main}: the model does not have the SHA-256 that the delta records after it was applied`,
    {
      details: { file: files.main, recorded, found },
      hint: 'give the base that the delta was made from; or one of the two is damaged',
    },
  );
}
