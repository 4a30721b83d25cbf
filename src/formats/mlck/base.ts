import type { DeltaInfo } from '../../core/model.js';
import type { ByteRange, TensorInfo, TensorSource } from '../../core/tensor.js';
import { MlserError } from '../../errors.js';
import { sha256Hasher } from '../../io/hashing.js';
import type { ByteSource } from '../../io/source.js';
import type { TensorRecord } from './manifest.js';

interface Place {
  readonly source: ByteSource;
  readonly delta: DeltaInfo | undefined;
}

/**
 * The tensor of the base that a record names. Without a base, one that says so when its bytes are pulled (names and
 * shapes can be told all the same).
 *
 * @throws E_BASE_MISMATCH where the base has no such tensor.
 */
export function baseTensor(
  { name, base: wanted = name, byteLength }: TensorRecord,
  info: TensorInfo,
  { source, delta }: Place,
  bases: ReadonlyMap<string, TensorSource> | undefined,
): TensorSource {
  const file = source.name;
  if (!bases) return missing(info, file, delta);
  const found = bases.get(wanted);
  if (found?.info.dtype === info.dtype && found.byteLength === byteLength) return found;
  throw new MlserError(
    'E_BASE_MISMATCH',
    `${file}: tensor ${JSON.stringify(name)} builds on ${JSON.stringify(wanted)} (${info.dtype}, ${byteLength} bytes), which the base ${found ? `has as ${found.info.dtype} of ${found.byteLength}` : 'lacks'}`,
    {
      details: { file, tensor: name, baseTensor: wanted, needed: delta?.base ?? '' },
      hint: 'give the base that the delta was made from',
    },
  );
}

function missing(info: TensorInfo, file: string, delta: DeltaInfo | undefined): TensorSource {
  return {
    info,
    byteLength: 0,
    // biome-ignore lint/correctness/useYield: it only refuses
    async *stream() {
      throw new MlserError(
        'E_NOT_FOUND',
        `${file} is a delta, and its base (content ${delta?.base ?? ''}${delta?.file === undefined ? '' : `, ${JSON.stringify(delta.file)}`}) is not beside it`,
        { details: { file, tensor: info.name, base: delta?.base ?? '' }, hint: 'name the base with --base' },
      );
    },
  };
}

/** A tensor whose bytes are those of the base: they are checked against what the delta says of them. */
export function fromBase(
  info: TensorInfo,
  { sha256, byteLength, rawCrcs }: TensorRecord,
  base: TensorSource,
  file: string,
): TensorSource {
  const [crc] = rawCrcs;
  const { recipe } = base;
  const checked = recipe && !recipe.coded && recipe.ops.length === 0 && crc !== undefined;
  const same = checked ? { ...recipe, crc32: { seed: 0, expect: crc } } : recipe?.coded && recipe;
  return {
    info,
    byteLength,
    recordedSha256: sha256,
    ...(same ? { recipe: same } : {}),
    stream: (range) => verified(info, base, sha256, byteLength, file, range),
  };
}

async function* verified(
  info: TensorInfo,
  base: TensorSource,
  recorded: string,
  byteLength: number,
  file: string,
  range: ByteRange = { start: 0, end: byteLength },
): AsyncGenerator<Uint8Array> {
  const whole = range.start === 0 && range.end === byteLength;
  const hash = whole ? sha256Hasher() : undefined;
  for await (const chunk of base.stream(range)) {
    hash?.update(chunk);
    yield chunk;
  }
  if (hash && hash.digest('hex') !== recorded)
    throw new MlserError(
      'E_INTEGRITY',
      `${file}: tensor ${JSON.stringify(info.name)} does not become what it was made from: the base differs`,
      {
        details: { file, tensor: info.name, base: true },
        hint: 'give the base that the delta was made from',
      },
    );
}
