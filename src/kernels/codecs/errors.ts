import { MlserError, malformed } from '../../errors.js';
import { crcHex } from '../../io/crc32.js';
import { BASED, CODEC_NAMES } from './numbers.js';

/** Which chunk something is wrong with. */
export interface ChunkPlace {
  readonly file: string;
  readonly tensor: string;
  readonly chunk: number;
}

const subject = ({ file, tensor, chunk }: ChunkPlace): string =>
  `${file}: chunk ${chunk} of tensor ${JSON.stringify(tensor)}`;

export const damagedChunk = (place: ChunkPlace, found: number, expected: number): MlserError =>
  new MlserError(
    'E_INTEGRITY',
    `${subject(place)} is damaged (CRC-32 ${crcHex(found)}, recorded ${crcHex(expected)})`,
    { details: { ...place }, hint: 'the file was damaged after it was written: download or copy it again' },
  );

export const sealedChunk = (place: ChunkPlace): MlserError =>
  new MlserError('E_INTEGRITY', `${subject(place)} does not open with this key`, {
    details: { ...place },
    hint: 'give the key that the file was written with; if it is the right one, the file was changed',
  });

export const notOfCodec = (place: ChunkPlace, codec: number, length: number): MlserError =>
  malformed(`${subject(place)} is no ${CODEC_NAMES.get(codec) ?? `codec ${codec}`} of ${length} bytes`, {
    ...place,
    // Differences may fail to unfold where the base is another one.
    ...(BASED.has(codec) ? { base: true } : {}),
  });

/** What came out is not what was meant: the base is another one (or its file was changed). */
export const wrongResult = (place: ChunkPlace): MlserError =>
  new MlserError('E_INTEGRITY', `${subject(place)} does not become what it was made from: the base differs`, {
    details: { ...place, base: true },
    hint: 'give the base that the delta was made from',
  });

export const missingCodec = (file: string, tensor: string, id: number): MlserError =>
  new MlserError(
    'E_UNSUPPORTED',
    `${file}: tensor ${JSON.stringify(tensor)} is stored with codec ${id}, which this mlser lacks`,
    { details: { file, tensor, codec: id }, hint: 'use a newer mlser' },
  );
