import type { ModelReader } from '../../core/format.js';
import { LIMITS } from '../../core/limits.js';
import type { MetadataValue, Model } from '../../core/model.js';
import { rangeTensor, type TensorSource } from '../../core/tensor.js';
import { type Finding, finding, MlserError } from '../../errors.js';
import type { InputFiles } from '../../io/files.js';
import { checkShard, checkTotalSize, readShardIndex, requireShard, type ShardIndex } from '../shard-index.js';
import { isIndexName } from '../sharding.js';
import { type Header, readHeader } from './header.js';

export const EXTENSION = '.safetensors';

/** Reads one file, or a folder of shards when the main file is an index. Two small reads a file. */
export const reader: ModelReader = {
  async read(files) {
    return isIndexName(files.main) ? readShards(files) : readSingle(files);
  },
};

const model = (
  tensors: readonly TensorSource[],
  metadata: ReadonlyMap<string, MetadataValue>,
  findings: readonly Finding[],
): Model => ({ format: 'safetensors', tensors, aliases: new Map(), metadata, findings });

async function readFile(
  files: InputFiles,
  name: string,
): Promise<{ header: Header; tensors: readonly TensorSource[] }> {
  const source = await files.open(name);
  const header = await readHeader(source);
  const tensors = header.entries.map(({ name: tensor, dtype, shape, begin, end }) =>
    rangeTensor({ name: tensor, dtype, shape }, source, header.dataOffset + begin, {
      byteLength: end - begin,
    }),
  );
  return { header, tensors };
}

async function readSingle(files: InputFiles): Promise<Model> {
  const { header, tensors } = await readFile(files, files.main);
  return model(tensors, header.metadata, header.findings);
}

/** Shards are opened a few at a time: over http each costs a round trip. */
const AT_ONCE = 4;

async function readShards(files: InputFiles): Promise<Model> {
  const index = await readShardIndex(files, EXTENSION);
  const names = [...index.shards.keys()];
  for (const shard of names) await requireShard(files, index, shard);

  const tensors: TensorSource[] = [];
  const metadata = new Map<string, MetadataValue>();
  const findings: Finding[] = [];
  for (let at = 0; at < names.length; at += AT_ONCE) {
    const group = names.slice(at, at + AT_ONCE);
    const read = await Promise.all(group.map((name) => readFile(files, name)));
    read.forEach((part, i) => {
      const shard = group[i] ?? '';
      const held = new Map(part.tensors.map((tensor) => [tensor.info.name, tensor]));
      checkShard(index, shard, new Set(held.keys()));
      // In the order of the index, which is that of the model; a shard is sorted by type.
      for (const name of index.shards.get(shard) ?? []) {
        const tensor = held.get(name);
        if (tensor) tensors.push(tensor);
      }
      findings.push(...part.header.findings, ...mergeMetadata(metadata, part.header.metadata, shard));
    });
    if (tensors.length > LIMITS.TENSORS)
      throw new MlserError('E_LIMIT', `${index.name}: more than ${LIMITS.TENSORS} tensors (limit TENSORS)`, {
        details: { file: index.name, limit: 'TENSORS' },
      });
  }
  findings.push(
    ...checkTotalSize(
      index,
      tensors.reduce((sum, tensor) => sum + tensor.byteLength, 0),
    ),
  );
  return model(tensors, withIndex(metadata, index), findings);
}

/** What shards say is kept; where they contradict each other the first one counts, with a warning. */
function mergeMetadata(
  into: Map<string, MetadataValue>,
  from: ReadonlyMap<string, string>,
  shard: string,
): Finding[] {
  const differing: string[] = [];
  for (const [key, value] of from)
    if (!into.has(key)) into.set(key, value);
    else if (into.get(key) !== value) differing.push(key);
  const [first] = differing;
  if (first === undefined) return [];
  const message = `metadata of ${shard} differs from that of earlier shards (${differing.length} key(s), first ${JSON.stringify(first)}); the first value was kept`;
  return [finding('warning', 'METADATA_CONFLICT', first, message)];
}

/** The index speaks for the whole model, so its values win. */
const withIndex = (
  metadata: Map<string, MetadataValue>,
  index: ShardIndex,
): ReadonlyMap<string, MetadataValue> => new Map([...metadata, ...index.metadata]);
