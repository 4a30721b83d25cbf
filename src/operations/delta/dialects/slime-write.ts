import type { WorkContext } from '../../../core/format.js';
import type { Model } from '../../../core/model.js';
import { memoryTensor, type TensorSource } from '../../../core/tensor.js';
import { type Finding, MlserError } from '../../../errors.js';
import { layOut } from '../../../formats/safetensors/layout.js';
import type { OutputFiles } from '../../../io/files.js';
import { formatJson } from '../../../io/json.js';
import { checksumNamed, DEFAULT_CHECKSUM } from './checksums/checksum.js';
import type { DialectOptions } from './dialect.js';
import { changedOf, eachChanged, versionsOf } from './numbers.js';
import { notCarried, type Pair, pairModels, piecesOf } from './pairs.js';
import { SLIME_INDEX, type SlimeEncoding } from './slime.js';
import { POSITION_BYTES, xorInto } from './slime-streams.js';
import { pack, packedBound, refuseLarge } from './zstd.js';

/** One file: slime numbers them from 0, one for each process that has something to say. */
const SHARD = 'model-00000-of-00001.safetensors';

interface Changed {
  readonly pair: Pair;
  /** Bytes of the difference before it is packed. */
  readonly length: number;
}

/** Compares the models, then packs one changed tensor after another. */
export async function writeSlime(
  base: Model,
  next: Model,
  files: OutputFiles,
  context: WorkContext & DialectOptions,
  encoding: SlimeEncoding,
): Promise<Finding[]> {
  const title = `a slime delta (${encoding})`;
  if (files.main !== SLIME_INDEX)
    throw new MlserError('E_USAGE', `${title} is a folder whose index is ${SLIME_INDEX}, not ${files.main}`, {
      details: { file: files.main, needed: SLIME_INDEX },
      hint: 'name a folder as the output',
    });
  const algorithm = context.checksum ?? DEFAULT_CHECKSUM;
  checksumNamed(algorithm);
  const { version, baseVersion } = versionsOf(context);
  const changed: Changed[] = [];
  for (const pair of pairModels(base, next, title)) {
    const bytes = await changedOf(pair, 1, context, encoding === 'xor' ? 1 : undefined);
    const length = encoding === 'xor' ? pair.next.byteLength : POSITION_BYTES + (POSITION_BYTES + 1) * bytes;
    if (bytes === 0) continue;
    checkLength(pair, length, encoding);
    changed.push({ pair, length });
  }
  if (changed.length > 0) await writeShard(files, changed, encoding, algorithm, context);
  const index = new Map([
    [
      'metadata',
      new Map([
        ['version', version],
        ['base_version', baseVersion],
        ['delta_encoding', encoding],
        ['compression_format', 'zstd'],
        ['checksum_format', algorithm],
      ]),
    ],
    ['weight_map', new Map(changed.map(({ pair }) => [pair.next.info.name, SHARD]))],
  ]);
  await (await files.create(SLIME_INDEX)).append(Buffer.from(formatJson(index)));
  return notCarried(base, next);
}

/** Before anything is written. @throws E_LIMIT, E_UNSUPPORTED */
function checkLength({ next }: Pair, length: number, encoding: SlimeEncoding): void {
  const { name } = next.info;
  if (encoding === 'overwrite' && next.byteLength > 2 ** 32)
    throw new MlserError(
      'E_UNSUPPORTED',
      `tensor ${JSON.stringify(name)} has ${next.byteLength} bytes: positions in a slime delta have 32 bits`,
      { details: { tensor: name, length: next.byteLength }, hint: 'use --dialect native' },
    );
  refuseLarge(name, length);
}

/**
 * The header comes first in the file, but how long the packed tensors are is known last: room is kept for the
 * longest header that there can be, and what is left of it is filled with spaces.
 */
async function writeShard(
  files: OutputFiles,
  changed: readonly Changed[],
  encoding: SlimeEncoding,
  algorithm: string,
  context: WorkContext,
): Promise<void> {
  const { digits } = checksumNamed(algorithm);
  const names = changed.map(({ pair }) => pair.next.info.name);
  const widest = layOut(
    changed.map(({ pair, length }) => sized(pair.next.info.name, packedBound(length))),
    new Map(names.map((name) => [name, '0'.repeat(digits)])),
  );
  const sink = await files.create(SHARD);
  const digests = new Map<string, string>();
  const placed: TensorSource[] = [];
  let at = widest.header.byteLength;
  for (const { pair, length } of changed) {
    const { name } = pair.next.info;
    const sum = checksumNamed(algorithm).start();
    const difference = new Uint8Array(length);
    if (encoding === 'xor') await fillXor(difference, pair, sum, context);
    else await fillOverwrite(difference, pair, sum, context);
    const packed = await pack(difference);
    await sink.writeAt(at, packed);
    at += packed.byteLength;
    digests.set(name, sum.hex());
    placed.push(sized(name, packed.byteLength));
  }
  const { header } = layOut(placed, digests);
  const padded = Buffer.alloc(widest.header.byteLength, 0x20);
  padded.set(header);
  padded.writeBigUInt64LE(BigInt(padded.byteLength - 8), 0);
  await sink.writeAt(0, padded);
}

/** A packed tensor, of which only the form is asked. */
const sized = (name: string, length: number): TensorSource => ({
  ...memoryTensor({ name, dtype: 'u8', shape: [length] }, new Uint8Array()),
  byteLength: length,
});

type Sum = { update(bytes: Uint8Array): void };

async function fillXor(into: Uint8Array, pair: Pair, sum: Sum, context: WorkContext): Promise<void> {
  for await (const piece of piecesOf(pair, context)) {
    sum.update(piece.new);
    const part = into.subarray(piece.at, piece.at + piece.new.length);
    part.set(piece.old);
    xorInto(part, piece.new);
    context.progress.advance(piece.new.length);
  }
}

async function fillOverwrite(into: Uint8Array, pair: Pair, sum: Sum, context: WorkContext): Promise<void> {
  const count = (into.byteLength - POSITION_BYTES) / (POSITION_BYTES + 1);
  const view = new DataView(into.buffer);
  view.setUint32(0, count, true);
  let position = POSITION_BYTES;
  let value = POSITION_BYTES * (count + 1);
  for await (const piece of piecesOf(pair, context)) {
    sum.update(piece.new);
    eachChanged(piece, 1, (i) => {
      view.setUint32(position, piece.at + i, true);
      into[value++] = piece.new[i] ?? 0;
      position += POSITION_BYTES;
    });
    context.progress.advance(piece.new.length);
  }
}
