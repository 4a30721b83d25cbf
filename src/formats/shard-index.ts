import { LIMITS } from '../core/limits.js';
import type { MetadataValue } from '../core/model.js';
import { type Finding, finding, MlserError, malformed } from '../errors.js';
import type { InputFiles } from '../io/files.js';
import { isJsonMap, parseJson } from '../io/json.js';
import type { JsonTree } from '../io/json-reader.js';
import { checkRelativeName } from '../io/safe-path.js';
import { isIndexName, withoutIndexSuffix } from './sharding.js';

/** A `*.index.json` of the Hub: which shard holds which tensor. */
export interface ShardIndex {
  /** Name of the index file. */
  readonly name: string;
  /** Shard file → names of the tensors it must hold, in the order of the file names. */
  readonly shards: ReadonlyMap<string, ReadonlySet<string>>;
  /** `metadata` without the sums `total_size` and `total_parameters`, which are about the file and not the model. */
  readonly metadata: ReadonlyMap<string, MetadataValue>;
  /** Bytes of all tensors, as `metadata.total_size` says; informative. */
  readonly totalSize: number | bigint | undefined;
}

/** Keys of `metadata` that say how large the files are, if they are numbers. */
const SUMS = ['total_size', 'total_parameters'];

/**
 * Reads the main file of `files` as an index whose shards end in `extension` (with the dot).
 *
 * @throws E_LIMIT past INDEX_JSON_BYTES; E_MALFORMED if it is not JSON, has no `weight_map` of strings, names a
 * tensor twice, or names a file of another kind; E_UNSAFE if a name leads out of the folder (POSIX or Windows).
 */
export async function readShardIndex(files: InputFiles, extension: string): Promise<ShardIndex> {
  const name = files.main;
  const source = await files.open(name);
  if (source.size > LIMITS.INDEX_JSON_BYTES)
    throw new MlserError(
      'E_LIMIT',
      `${name} has ${source.size} bytes; an index may have ${LIMITS.INDEX_JSON_BYTES} (limit INDEX_JSON_BYTES)`,
      { details: { file: name, size: source.size, limit: 'INDEX_JSON_BYTES' } },
    );
  const tree = parseJson(await source.read(0, source.size), name, { what: 'index' });
  const map = isJsonMap(tree) ? tree.get('weight_map') : undefined;
  if (!isJsonMap(tree) || !isJsonMap(map))
    throw malformed(
      `${name}: an index is a JSON object with an object "weight_map"`,
      { file: name },
      'is this the *.index.json of a sharded model?',
    );

  const shards = new Map<string, Set<string>>();
  for (const [tensor, shard] of map) {
    if (typeof shard !== 'string')
      throw malformed(`${name}: weight_map[${JSON.stringify(tensor)}] is not a file name`, {
        file: name,
        tensor,
      });
    let names = shards.get(shard);
    if (!names) {
      checkRelativeName(shard);
      if (!shard.endsWith(extension))
        throw malformed(
          `${name}: shard ${JSON.stringify(shard)} does not end in ${extension} as its index asks`,
          { file: name, tensor, shard },
          'files of different formats cannot be shards of one model',
        );
      names = new Set();
      shards.set(shard, names);
    }
    names.add(tensor);
  }

  const given = tree.get('metadata') ?? null;
  if (given !== null && !isJsonMap(given))
    throw malformed(`${name}: "metadata" is not an object`, { file: name });
  const totalSize = given?.get('total_size');
  return {
    name,
    shards: new Map([...shards].sort(([a], [b]) => (a < b ? -1 : 1))),
    metadata: new Map([...(given ?? [])].filter(([key, value]) => !isSum(key, value))),
    totalSize: typeof totalSize === 'number' || typeof totalSize === 'bigint' ? totalSize : undefined,
  };
}

const isSum = (key: string, value: JsonTree): boolean =>
  SUMS.includes(key) && (typeof value === 'number' || typeof value === 'bigint');

/**
 * Opens a shard, with an error that says what the model loses without it.
 * @throws E_NOT_FOUND, E_UNSAFE.
 */
export async function requireShard(files: InputFiles, index: ShardIndex, shard: string): Promise<void> {
  if (await files.has(shard)) return;
  const count = index.shards.get(shard)?.size ?? 0;
  try {
    await files.open(shard); // tells a link out of the folder and a folder of that name from a missing file
  } catch (error) {
    if (!(error instanceof MlserError) || error.code !== 'E_NOT_FOUND') throw error;
    throw new MlserError(
      'E_NOT_FOUND',
      `${index.name}: shard ${shard} is not there; it should hold ${count} tensors`,
      {
        details: { file: index.name, shard, tensors: count },
        hint: 'download the missing shard into the same folder',
        cause: error,
      },
    );
  }
}

/**
 * Compares what a shard holds with what the index says it holds: two places that say the same thing must agree.
 * @throws E_MALFORMED naming up to three tensors on each side.
 */
export function checkShard(index: ShardIndex, shard: string, held: ReadonlySet<string>): void {
  const claimed = index.shards.get(shard) ?? new Set<string>();
  const missing = [...claimed].filter((name) => !held.has(name));
  const unclaimed = [...held].filter((name) => !claimed.has(name));
  if (missing.length === 0 && unclaimed.length === 0) return;
  const parts = [
    ...(missing.length > 0 ? [`${list(missing)} not in ${shard} although the index says so`] : []),
    ...(unclaimed.length > 0 ? [`${list(unclaimed)} in ${shard} although the index does not say so`] : []),
  ];
  throw malformed(
    `${index.name}: ${parts.join('; ')}`,
    {
      file: index.name,
      shard,
      missing: missing.slice(0, 20),
      unclaimed: unclaimed.slice(0, 20),
      ...(missing[0] === undefined ? {} : { tensor: missing[0] }),
    },
    'the index and its shards are from different models or versions: download them together',
  );
}

const list = (names: readonly string[]): string => {
  const shown = names.slice(0, 3).map((name) => JSON.stringify(name));
  const more = names.length > 3 ? ` and ${names.length - 3} more` : '';
  return `tensor${names.length > 1 ? 's' : ''} ${shown.join(', ')}${more} ${names.length > 1 ? 'are' : 'is'}`;
};

/** `total_size` is informative: a wrong one is a warning. */
export function checkTotalSize(index: ShardIndex, bytes: number): Finding[] {
  if (index.totalSize === undefined || index.totalSize === bytes || index.totalSize === BigInt(bytes))
    return [];
  return [
    finding(
      'warning',
      'TOTAL_SIZE_WRONG',
      index.name,
      `metadata.total_size says ${index.totalSize} bytes, the shards hold ${bytes}`,
    ),
  ];
}

/**
 * The index of a sharded model as the Hub's library writes it: `total_size` before the other metadata, two spaces,
 * non-ASCII escaped, no newline at the end. Entries keep their order.
 */
export function formatShardIndex(
  metadata: ReadonlyMap<string, string>,
  totalSize: number,
  weightMap: ReadonlyMap<string, string>,
): Uint8Array {
  const line = (key: string, value: string): string => `    ${quoted(key)}: ${value}`;
  const about = [line('total_size', String(totalSize))];
  for (const [key, value] of metadata) if (key !== 'total_size') about.push(line(key, quoted(value)));
  const weights = [...weightMap].map(([name, shard]) => line(name, quoted(shard)));
  const map = weights.length === 0 ? '{}' : `{\n${weights.join(',\n')}\n  }`;
  return Buffer.from(`{\n  "metadata": {\n${about.join(',\n')}\n  },\n  "weight_map": ${map}\n}`);
}

const quoted = (text: string): string =>
  JSON.stringify(text).replace(
    /[\u007f-\uffff]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );

/**
 * The extension (with the dot) of the shards that an index file names, for `sniff`; undefined if the file is not
 * an index. The name decides where it says so (`model.safetensors.index.json`), so that a pickle cannot slip in
 * through a safetensors index; else the first entry of `weight_map` does.
 */
export function sniffShardIndex(head: Uint8Array, name: string): string | undefined {
  if (!isIndexName(name)) return undefined;
  const extension = /\.(safetensors|bin|pt|pth)$/.exec(withoutIndexSuffix(name))?.[0];
  if (extension !== undefined) return extension;
  const text = Buffer.from(head.buffer, head.byteOffset, head.byteLength).toString('latin1');
  const first = /"weight_map"\s*:\s*\{\s*"(?:[^"\\]|\\.)*"\s*:\s*"([^"\\]*)"/.exec(text)?.[1];
  return first === undefined ? undefined : /\.[^.]+$/.exec(first)?.[0];
}
