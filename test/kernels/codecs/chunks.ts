import { expect } from 'vitest';
import type { DType } from '../../../src/core/dtype.js';
import type { CodecChoice } from '../../../src/core/format.js';
import { type Encoded, encodeChunk } from '../../../src/kernels/codecs/choose.js';
import { decodeChunk } from '../../../src/kernels/codecs/decode.js';
import { CODEC_NAMES, loadCodecs } from '../../../src/kernels/codecs/index.js';
import { bench } from './harness.js';

/** Whole chunks through the registry of codecs. */
export const codecs = await loadCodecs();

/** What was in the bench before must not matter. */
function soil(): void {
  for (const { bytes } of [bench.raw, bench.base, bench.stored, bench.a, bench.b, bench.c])
    bytes.fill(0xc3, 0, 1 << 16);
}

function load(area: { readonly bytes: Uint8Array }, bytes: Uint8Array): void {
  area.bytes.set(bytes);
  area.bytes.fill(0x3c, bytes.length, bytes.length + 256);
}

export function encode(dtype: DType, raw: Uint8Array, base?: Uint8Array, choice?: CodecChoice): Encoded {
  soil();
  load(bench.raw, raw);
  if (base) load(bench.base, base);
  const encoded = encodeChunk(bench, dtype, raw.length, base !== undefined, codecs, choice);
  return { ...encoded, bytes: encoded.bytes.slice() };
}

export function decode(
  dtype: DType,
  { codec, bytes }: { readonly codec: number; readonly bytes: Uint8Array },
  length: number,
  base?: Uint8Array,
): Uint8Array | undefined {
  soil();
  load(bench.stored, bytes);
  if (base) load(bench.base, base);
  const fine = decodeChunk(bench, codecs, { codec, stored: bytes.length, length, dtype });
  return fine ? bench.raw.bytes.slice(0, length) : undefined;
}

/** Encodes and decodes; gives the codec's name and the share of bytes that is left. */
export function roundTrip(
  dtype: DType,
  raw: Uint8Array,
  base?: Uint8Array,
  choice?: CodecChoice,
): { readonly name: string; readonly bytes: Uint8Array; readonly share: number; readonly changed: number } {
  const encoded = encode(dtype, raw, base, choice);
  const { codec, bytes, changed } = encoded;
  const name = CODEC_NAMES.get(codec) ?? 'none';
  expect(bytes.length, name).toBeLessThanOrEqual(raw.length);
  const back = decode(dtype, encoded, raw.length, base);
  if (!back || Buffer.compare(back, raw) !== 0) expect.fail(`${dtype} as ${name} does not come back`);
  return { name, bytes, share: bytes.length / raw.length, changed };
}
