import type { Codec, Codecs } from './codec.js';
import { LOSSY_CODECS } from './lossy.js';
import { packedPlanes, xorPlanes } from './packed-planes.js';
import { palette } from './palette.js';
import { residual } from './residual.js';
import { sparse, sparseResidual } from './sparse.js';
import { loadZstd, zstdCodec } from './zstd.js';
import { zstdPlanes } from './zstd-planes.js';

export type { Codec, Codecs } from './codec.js';
export { BASED, CODEC_NAMES, RAW } from './numbers.js';

/** The registry: a line per codec. Numbers are written into files and never change their meaning. */
const CODECS: readonly (() => Codec | Promise<Codec>)[] = [
  async () => zstdCodec(await loadZstd()), // 1
  async () => zstdPlanes(await loadZstd()), // 2
  () => packedPlanes, // 3
  () => sparse, // 4
  () => palette, // 5
  () => residual, // 16
  () => sparseResidual, // 17
  () => xorPlanes, // 18
  ...LOSSY_CODECS.map((codec) => () => codec), // 24, 25
];

let loaded: Promise<Codecs> | undefined;
let ready: Codecs | undefined;

/** Loads them (zstd is a WebAssembly module of its own): once a thread. */
export function loadCodecs(): Promise<Codecs> {
  loaded ??= Promise.all(CODECS.map((load) => load())).then((codecs) => {
    ready = new Map(codecs.map((codec) => [codec.id, codec]));
    return ready;
  });
  return loaded;
}

/** The codecs, where somebody has waited for `loadCodecs` before. */
export function codecsNow(): Codecs {
  if (!ready) throw new Error('codecs were not loaded');
  return ready;
}
