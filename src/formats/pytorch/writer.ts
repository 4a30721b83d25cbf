import type { ModelWriter, WriteOptions } from '../../core/format.js';
import type { MetadataValue, Model } from '../../core/model.js';
import type { TensorSource } from '../../core/tensor.js';
import { holdsValues } from '../../core/training.js';
import { type Finding, finding, MlserError } from '../../errors.js';
import { crc32 } from '../../io/crc32.js';
import type { OutputFiles } from '../../io/files.js';
import { sha256 } from '../../io/hashing.js';
import type { ByteSink } from '../../io/sink.js';
import { finishZip, planZip, type ZipPlan } from '../../io/zip/writer.js';
import { type Placed, type Placement, transfer } from '../../kernels/transfer.js';
import { formatShardIndex } from '../shard-index.js';
import {
  DEFAULT_SHARD_BYTES,
  indexName,
  isIndexName,
  planShards,
  shardName,
  withoutIndexSuffix,
} from '../sharding.js';
import { torchTypeOf } from './dtypes.js';
import { buildPayload, type Payload } from './payload.js';
import { quantizationFor, quantizationOf } from './quantized-writer.js';
import { SHARD_EXTENSIONS } from './sniff.js';

/** The top folder of archives: the same for every file name, so that equal models are equal bytes. */
const FOLDER = 'archive/';
const ALIGNMENT = 64;

export const writer: ModelWriter = {
  check(model, options) {
    const findings = [...model.tensors.flatMap(checkTensor), ...checkRest(model, options)];
    if (model.training && !findings.some(({ severity }) => severity === 'error'))
      findings.push(...checkState(model, options));
    return findings;
  },

  /** One archive, or shards and their index when a shard size is given and one shard does not suffice. */
  async write(model, files, context) {
    const groups = shardGroups(model, files.main, context.options);
    const archives =
      groups === undefined
        ? [await begin(files, files.main, model)]
        : await beginShards(model, groups, files);
    const placements = archives.flatMap((archive) => archive.placements);
    const placed = await transfer(placements, context);
    let at = 0;
    for (const archive of archives) {
      await finish(archive, placed.slice(at, at + archive.placements.length));
      at += archive.placements.length;
    }
  },
};

/** An archive whose layout is fixed and whose tensors are on their way. */
interface Archive {
  readonly sink: ByteSink;
  readonly plan: ZipPlan;
  readonly pickle: Uint8Array;
  readonly storages: readonly TensorSource[];
  /** One for each storage that has bytes. */
  readonly placements: readonly Placement[];
}

const text = (value: string): Uint8Array => new TextEncoder().encode(value);
const BEFORE: readonly (readonly [string, Uint8Array])[] = [
  ['.format_version', text('1')],
  ['.storage_alignment', text(String(ALIGNMENT))],
  ['byteorder', text('little')],
];
const AFTER: readonly (readonly [string, Uint8Array])[] = [['version', text('3\n')]];
const ID = '.data/serialization_id';
const ID_DIGITS = 40;

/** Records in the order in which torch.save writes them. */
async function begin(files: OutputFiles, name: string, model: Model): Promise<Archive> {
  const { pickle, storages }: Payload = buildPayload(model);
  const plan = planZip(
    [
      { name: 'data.pkl', size: pickle.byteLength },
      ...BEFORE.map(([record, bytes]) => ({ name: record, size: bytes.byteLength })),
      ...storages.map((tensor, key) => ({ name: `data/${key}`, size: tensor.byteLength })),
      ...AFTER.map(([record, bytes]) => ({ name: record, size: bytes.byteLength })),
      { name: ID, size: ID_DIGITS },
    ].map((entry) => ({ name: FOLDER + entry.name, size: entry.size, align: ALIGNMENT })),
  );
  const sink = await files.create(name);
  const first = 1 + BEFORE.length;
  const placements = storages.flatMap((tensor, key): Placement[] => {
    const offset = plan.entries[first + key]?.dataOffset;
    return tensor.byteLength === 0 || offset === undefined ? [] : [{ tensor, sink, offset, crc32: true }];
  });
  return { sink, plan, pickle, storages, placements };
}

/** The small records and the directory, once the sums of the storages are known. */
async function finish({ sink, plan, pickle, storages }: Archive, placed: readonly Placed[]): Promise<void> {
  const sums = placed.values();
  const crcs = storages.map(({ byteLength }) => (byteLength === 0 ? 0 : (sums.next().value?.crc32 ?? 0)));
  const identity = sha256(pickle, new Uint8Array(Uint32Array.from(crcs).buffer));
  const id = text(
    BigInt(`0x${Buffer.from(identity).toString('hex')}`)
      .toString()
      .slice(0, ID_DIGITS)
      .padStart(ID_DIGITS, '0'),
  );
  const records = new Map<string, Uint8Array>([['data.pkl', pickle], ...BEFORE, ...AFTER, [ID, id]]);
  const all: number[] = [];
  for (const { name, dataOffset } of plan.entries) {
    const record = records.get(name.slice(FOLDER.length));
    if (record) await sink.writeAt(dataOffset, record);
    all.push(record ? crc32(record) : (crcs[Number(name.slice(`${FOLDER}data/`.length))] ?? 0));
  }
  await finishZip(sink, plan, all);
}

/** A tensor and its aliases, which must stay in one file. */
interface Group {
  readonly byteLength: number;
  readonly tensors: readonly TensorSource[];
}

/** Undefined if everything goes into one file. */
function shardGroups(
  model: Model,
  main: string,
  { shardSize }: WriteOptions,
): readonly (readonly Group[])[] | undefined {
  const asIndex = isIndexName(main);
  if (shardSize === undefined && !asIndex) return undefined;
  const groups = new Map<string, TensorSource[]>();
  for (const tensor of model.tensors) {
    const owner = model.aliases.get(tensor.info.name) ?? tensor.info.name;
    groups.set(owner, [...(groups.get(owner) ?? []), tensor]);
  }
  const shards = planShards(
    [...groups.values()].map((tensors): Group => ({ byteLength: tensors[0]?.byteLength ?? 0, tensors })),
    shardSize ?? DEFAULT_SHARD_BYTES,
  );
  return shards.length === 1 && !asIndex ? undefined : shards;
}

async function beginShards(
  model: Model,
  shards: readonly (readonly Group[])[],
  files: OutputFiles,
): Promise<Archive[]> {
  const target = withoutIndexSuffix(files.main);
  const extension = SHARD_EXTENSIONS.find((ending) => target.endsWith(ending));
  if (extension === undefined)
    throw new MlserError('E_USAGE', `${target}: shards are named .bin, .pt or .pth`, {
      details: { file: target },
      hint: 'name the output pytorch_model.bin',
    });
  const archives: Archive[] = [];
  const weightMap = new Map<string, string>();
  let bytes = 0;
  const { training: _, ...flat } = model;
  for (const [i, groups] of shards.entries()) {
    const name = shardName(target, extension, i, shards.length);
    const tensors = groups.flatMap((group) => group.tensors);
    for (const tensor of tensors) weightMap.set(tensor.info.name, name);
    bytes += groups.reduce((sum, group) => sum + group.byteLength, 0);
    archives.push(await begin(files, name, { ...flat, tensors }));
  }
  const metadata = [...model.metadata].filter(
    (entry): entry is [string, string] => typeof entry[1] === 'string',
  );
  const index = indexName(target);
  files.setMain(index);
  await (await files.create(index)).append(formatShardIndex(new Map(metadata), bytes, weightMap));
  return archives;
}

const quoted = (name: string): string => JSON.stringify(name);

function checkTensor({ info }: TensorSource): Finding[] {
  const { name, dtype, shape } = info;
  const type = torchTypeOf(dtype);
  const error = (message: string): Finding[] => [finding('error', 'DTYPE_UNSUPPORTED', name, message)];
  if (!type)
    return error(
      `tensor ${quoted(name)} has dtype ${dtype}, which torch has not: convert it with --dtype, or leave it out with --exclude`,
    );
  if (type.packed && (shape.at(-1) ?? 1) % 2 !== 0)
    return error(
      `tensor ${quoted(name)}, ${dtype} [${shape.join(', ')}]: torch stores pairs along the last dimension`,
    );
  return [];
}

function checkRest(model: Model, options: WriteOptions): Finding[] {
  const findings: Finding[] = [];
  const sharded = shardGroups(model, '', options) !== undefined;
  const kept = (key: string, value: MetadataValue): boolean =>
    (key === 'quantization' && keepsQuantization(model)) ||
    (key === 'format' && value === 'pt') || // says what the file says by itself
    (sharded && typeof value === 'string'); // the index holds text
  const lost = [...model.metadata].filter(([key, value]) => !kept(key, value)).map(([key]) => key);
  const [first] = lost;
  if (first !== undefined)
    findings.push(
      finding(
        'warning',
        'METADATA_DROPPED',
        first,
        `a .pt file has no place for metadata: ${lost.length} key(s) are dropped (${lost.slice(0, 5).join(', ')}${lost.length > 5 ? ', …' : ''})`,
      ),
    );
  if (model.graph)
    findings.push(
      finding(
        'warning',
        'GRAPH_DROPPED',
        'graph',
        'the graph has no place in a .pt file; only weights are written',
      ),
    );
  if (model.training && sharded && holdsValues(model.training.tree))
    findings.push(
      finding(
        'warning',
        'TRAINING_DROPPED',
        'training',
        'the training state (optimizer, step, scheduler) has no place in shards; its tensors are kept under their names',
      ),
    );
  return findings;
}

/** Every quantized tensor can be written as one. */
const keepsQuantization = (model: Model): boolean => {
  const all = quantizationOf(model);
  const kept = model.tensors.filter(({ info }) => quantizationFor(info, all)).length;
  return all.size > 0 && kept === all.size;
};

/** State that torch.load(weights_only=True) has no form for. */
function checkState(model: Model, options: WriteOptions): Finding[] {
  if (shardGroups(model, '', options)) return [];
  const what = new Map<string, number>();
  buildPayload(model, (type) => what.set(type, (what.get(type) ?? 0) + 1));
  return [...what].map(([type, count]) =>
    finding(
      'warning',
      'STATE_SIMPLIFIED',
      type,
      `${count} value(s) of type ${quoted(type)} in the training state are written as plain lists or text`,
    ),
  );
}
