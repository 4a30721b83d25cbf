import { CODED_FIELDS, type Coded } from '../../core/recipe.js';
import type { Codec, Codecs } from './codec.js';
import { LOSSY_CODECS } from './lossy.js';
import { packedPlanes, xorPlanes } from './packed-planes.js';
import { palette } from './palette.js';
import { residual } from './residual.js';
import { sparse, sparseResidual } from './sparse.js';
import { loadZstd, type Zstd, zstdCodec } from './zstd.js';
import { zstdPlanes } from './zstd-planes.js';

export type { Codec, Codecs } from './codec.js';
export { BASED, CODEC_NAMES, RAW } from './numbers.js';

/** The registry: a line per codec. Numbers are written into files and never change their meaning. */
const CODECS: readonly Codec[] = [
  packedPlanes, // 3
  sparse, // 4
  palette, // 5
  residual, // 16
  sparseResidual, // 17
  xorPlanes, // 18
  ...LOSSY_CODECS, // 24, 25
];
/** Those of zstd, a WebAssembly module of its own that takes as long to load as ten chunks to decode. */
const OF_ZSTD: readonly (readonly [id: number, make: (zstd: Zstd) => Codec])[] = [
  [1, zstdCodec],
  [2, zstdPlanes],
];

let loaded: Promise<Codecs> | undefined;
let ready: Codecs | undefined;

/** Loads all: once a thread. */
export function loadCodecs(): Promise<Codecs> {
  loaded ??= loadZstd().then((zstd) => {
    ready = byNumber([...OF_ZSTD.map(([, make]) => make(zstd)), ...CODECS]);
    return ready;
  });
  return loaded;
}

/** Loads what the chunks of these tensors are decoded with. */
export async function loadCodecsFor(tensors: readonly Coded[]): Promise<void> {
  if (tensors.some(needsZstd)) await loadCodecs();
  else ready ??= byNumber(CODECS);
}

const byNumber = (codecs: readonly Codec[]): Codecs => new Map(codecs.map((codec) => [codec.id, codec]));

const needsZstd = ({ levels }: Coded): boolean =>
  levels.some(({ table }) => {
    for (let at = 2; at < table.length; at += CODED_FIELDS)
      if (OF_ZSTD.some(([id]) => id === table[at])) return true;
    return false;
  });

/** The codecs, where somebody has waited for them before. */
export function codecsNow(): Codecs {
  if (!ready) throw new Error('codecs were not loaded');
  return ready;
}
