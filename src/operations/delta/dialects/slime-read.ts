import { type Model, tensorMap } from '../../../core/model.js';
import type { TensorSource } from '../../../core/tensor.js';
import { MlserError, malformed } from '../../../errors.js';
import { readHeader } from '../../../formats/safetensors/header.js';
import { readShardIndex, type ShardIndex } from '../../../formats/shard-index.js';
import type { OpenedModel } from '../../open.js';
import { checksumNamed, isDigest } from './checksums/checksum.js';
import { checked, type Patch, patchModel, withBytes, wrongBase } from './patch.js';
import type { SlimeEncoding } from './slime.js';
import { fits, overwriteStream, xorStream } from './slime-streams.js';
import { unpackedLength } from './zstd.js';

/** The base with the changed tensors of a slime delta, each checked against the checksum that its shard records. */
export async function applySlime(base: Model, delta: OpenedModel, encoding: SlimeEncoding): Promise<Model> {
  const index = await readShardIndex(delta.files, '.safetensors');
  const algorithm = checkIndex(index, encoding);
  const blobs = tensorMap(delta.model);
  const olds = tensorMap(base);
  const patches = new Map<string, Patch>();
  for (const file of index.shards.keys()) {
    const header = await readHeader(await delta.files.open(file));
    for (const { name } of header.entries) {
      const blob = blobs.get(name);
      if (!blob) throw malformed(`${file}: tensor ${JSON.stringify(name)} is not in the index`, { file });
      if (blob.info.dtype !== 'u8' || blob.info.shape.length !== 1)
        throw malformed(
          `${file}: tensor ${JSON.stringify(name)} is ${blob.info.dtype} [${blob.info.shape.join(', ')}], where a delta has packed bytes`,
          { file, tensor: name },
        );
      const digest = header.metadata.get(name);
      if (digest === undefined || !isDigest(digest, checksumNamed(algorithm)))
        throw malformed(
          `${file}: tensor ${JSON.stringify(name)} has no ${algorithm} checksum in the metadata of its file`,
          { file, tensor: name },
        );
      const old = olds.get(name);
      const length = await unpackedLength(blob);
      if (old && !fits[encoding](length, old.byteLength))
        throw wrongBase(name, `unpacks to ${length} bytes, which do not fit the ${old.byteLength} bytes of`);
      patches.set(name, patchOf(blob, encoding, { algorithm, digest, file }));
    }
  }
  return patchModel(base, patches);
}

const stringOf = (index: ShardIndex, key: string): string => {
  const value = index.metadata.get(key);
  if (typeof value === 'string') return value;
  throw malformed(`${index.name}: the metadata of a delta has a text ${JSON.stringify(key)}`, {
    file: index.name,
    key,
  });
};

/** Everything that the layout asks for is there and known; the name of the checksum. */
function checkIndex(index: ShardIndex, encoding: SlimeEncoding): string {
  const file = index.name;
  if (stringOf(index, 'delta_encoding') !== encoding)
    throw malformed(`${file}: the delta is not encoded as ${encoding}`, { file });
  const versions = ['base_version', 'version'].map((key) => {
    const text = stringOf(index, key);
    if (!/^[0-9]{1,15}$/.test(text))
      throw malformed(`${file}: ${key} ${JSON.stringify(text.slice(0, 40))} is not a number`, { file, key });
    return Number(text);
  });
  const [before = 0, after = 0] = versions;
  if (after <= before)
    throw malformed(`${file}: the delta leads from version ${before} to version ${after}`, { file });
  const compression = stringOf(index, 'compression_format');
  if (compression !== 'zstd')
    throw new MlserError(
      'E_UNSUPPORTED',
      `${file}: the delta is compressed as ${JSON.stringify(compression.slice(0, 40))}; known is zstd`,
      { details: { file, compression: compression.slice(0, 40) } },
    );
  const algorithm = stringOf(index, 'checksum_format');
  checksumNamed(algorithm);
  return algorithm;
}

const patchOf =
  (
    blob: TensorSource,
    encoding: SlimeEncoding,
    recorded: { readonly algorithm: string; readonly digest: string; readonly file: string },
  ): Patch =>
  (base) => {
    const stream = encoding === 'xor' ? xorStream : overwriteStream;
    return checked(
      withBytes(base, (range) => stream(base, blob, range)),
      recorded,
    );
  };
