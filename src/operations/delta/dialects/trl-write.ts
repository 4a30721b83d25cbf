import { elementBytes, elementCount } from '../../../core/dtype.js';
import type { WorkContext } from '../../../core/format.js';
import type { Model } from '../../../core/model.js';
import { memoryTensor, type TensorInfo, type TensorSource } from '../../../core/tensor.js';
import { type Finding, finding, MlserError } from '../../../errors.js';
import { SAFETENSORS_DTYPES } from '../../../formats/safetensors/dtypes.js';
import { layOut } from '../../../formats/safetensors/layout.js';
import { isIndexName } from '../../../formats/sharding.js';
import type { OutputFiles } from '../../../io/files.js';
import { sha256Hasher } from '../../../io/hashing.js';
import type { ByteSink } from '../../../io/sink.js';
import type { DialectOptions } from './dialect.js';
import { eachChanged, versionsOf } from './numbers.js';
import { notCarried, type Pair, pairModels, piecesOf, sameBytes } from './pairs.js';
import { EMPTY } from './trl-read.js';

const TITLE = 'a TRL sparse delta';
const INDEX_BYTES = 4;
const MOST_ELEMENTS = 2 ** 31;

interface Changed {
  readonly pair: Pair;
  readonly count: number;
}

/** Two passes: what changed, and the checksum of it all; then indices and values to the places that this gives them. */
export async function writeTrl(
  base: Model,
  next: Model,
  files: OutputFiles,
  context: WorkContext & DialectOptions,
): Promise<Finding[]> {
  if (isIndexName(files.main))
    throw new MlserError('E_USAGE', `${TITLE} is one file, not ${files.main}`, {
      details: { file: files.main },
      hint: 'name a .safetensors file as the output',
    });
  const pairs = pairModels(base, next, TITLE);
  for (const { next: tensor } of pairs) checkTensor(tensor.info);
  const hash = sha256Hasher();
  const changed: Changed[] = [];
  for (const pair of pairs) {
    let count = 0;
    for await (const piece of piecesOf(pair, context)) {
      hash.update(piece.new);
      if (!sameBytes(piece.old, piece.new)) eachChanged(piece, widthOf(pair), () => count++);
      context.progress.advance(piece.new.length);
    }
    if (count > 0) changed.push({ pair, count });
  }
  const metadata = metadataOf(pairs, changed, hash.digest('hex'), context);
  await writeFile(files, changed, metadata, context);
  const others = [...new Set(pairs.map((pair) => pair.next.info.dtype))].filter((dtype) => dtype !== 'bf16');
  const message = `TRL itself ships bf16 only; values keep their types here (${others.join(', ')})`;
  return [
    ...notCarried(base, next),
    ...(others.length === 0 ? [] : [finding('info', 'DELTA_NOT_BF16', 'values', message)]),
  ];
}

const widthOf = ({ next }: Pair): number => elementBytes(next.info.dtype) ?? 1;

function checkTensor({ name, dtype, shape }: TensorInfo): void {
  const problem =
    elementBytes(dtype) === undefined || !SAFETENSORS_DTYPES.has(dtype)
      ? `has elements of ${dtype}, which have no place in it`
      : elementCount(shape, name) > MOST_ELEMENTS
        ? 'has more elements than 32 bits count'
        : undefined;
  if (problem === undefined) return;
  throw new MlserError('E_UNSUPPORTED', `tensor ${JSON.stringify(name)} ${problem}: ${TITLE}`, {
    details: { tensor: name },
    hint: 'use --dialect native or slime-xor',
  });
}

function metadataOf(
  pairs: readonly Pair[],
  changed: readonly Changed[],
  checksum: string,
  options: DialectOptions,
): Map<string, string> {
  const { version, baseVersion } = versionsOf(options);
  const all = pairs.reduce((sum, { next }) => sum + elementCount(next.info.shape, next.info.name), 0);
  const moved = changed.reduce((sum, { count }) => sum + count, 0);
  const sparsity = 1 - moved / Math.max(all, 1);
  return new Map([
    ['format', 'sparse_weight_patch'],
    ['version', '1'],
    ['sparse', 'True'],
    ['model_version', String(Number(version))],
    ['prev_model_version', String(Number(baseVersion))],
    ['base_model_id', options.baseModelId ?? ''],
    ['num_changed_params', String(changed.length)],
    ['total_changed_elements', String(moved)],
    ['total_elements', String(all)],
    ['sparsity', Number.isInteger(sparsity) ? sparsity.toFixed(1) : String(sparsity)],
    ['checksum_sha256', checksum],
    ['changed_params', JSON.stringify(changed.map(({ pair }) => pair.next.info.name))],
  ]);
}

async function writeFile(
  files: OutputFiles,
  changed: readonly Changed[],
  metadata: ReadonlyMap<string, string>,
  context: WorkContext,
): Promise<void> {
  const tensors = changed.flatMap(({ pair, count }) => [
    sized({ name: `${pair.next.info.name}.indices`, dtype: 'i32', shape: [count] }, count * INDEX_BYTES),
    sized(
      { name: `${pair.next.info.name}.values`, dtype: pair.next.info.dtype, shape: [count] },
      count * widthOf(pair),
    ),
  ]);
  const none = sized({ name: EMPTY, dtype: 'i32', shape: [1] }, INDEX_BYTES);
  const { header, placed, size } = layOut(tensors.length > 0 ? tensors : [none], metadata);
  const offsets = new Map(placed.map(({ tensor, offset }) => [tensor.info.name, offset]));
  const sink = await files.create(files.main);
  await sink.writeAt(0, header);
  if (tensors.length === 0) await sink.writeAt(size - INDEX_BYTES, new Uint8Array(INDEX_BYTES));
  for (const { pair } of changed) {
    const { name } = pair.next.info;
    const at = (end: string): number => offsets.get(name + end) ?? 0;
    await writeChanged(sink, pair, at('.indices'), at('.values'), context);
  }
}

async function writeChanged(
  sink: ByteSink,
  pair: Pair,
  indicesAt: number,
  valuesAt: number,
  context: WorkContext,
): Promise<void> {
  const width = widthOf(pair);
  for await (const piece of piecesOf(pair, context)) {
    if (sameBytes(piece.old, piece.new)) continue;
    const places: number[] = [];
    eachChanged(piece, width, (index) => places.push(index));
    const indices = new DataView(new ArrayBuffer(places.length * INDEX_BYTES));
    const values = new Uint8Array(places.length * width);
    for (const [i, place] of places.entries()) {
      indices.setInt32(i * INDEX_BYTES, piece.at / width + place, true);
      values.set(piece.new.subarray(place * width, (place + 1) * width), i * width);
    }
    await sink.writeAt(indicesAt, new Uint8Array(indices.buffer));
    await sink.writeAt(valuesAt, values);
    indicesAt += indices.byteLength;
    valuesAt += values.byteLength;
  }
}

/** A tensor to come, of which only the form is asked. */
const sized = (info: TensorInfo, byteLength: number): TensorSource => ({
  ...memoryTensor(info, new Uint8Array()),
  byteLength,
});
