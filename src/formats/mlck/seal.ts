import { createHmac, hkdfSync } from 'node:crypto';
import type { Seal } from '../../core/recipe.js';
import { MlserError } from '../../errors.js';
import { NONCE_BYTES, sealChunk, TAG_BYTES, unseal } from '../../kernels/codecs/seal.js';

export const KEY_BYTES = 32;

/** The key of a file parted in two: one to encrypt with, one to derive nonces. */
export interface SealKeys {
  readonly cipher: Uint8Array;
  readonly nonces: Uint8Array;
  /** Whose chunks these are. */
  readonly context: string;
}

const derive = (key: Uint8Array, what: string): Uint8Array =>
  new Uint8Array(hkdfSync('sha256', key, new Uint8Array(), `mlck 1 ${what}`, KEY_BYTES));

export const sealKeys = (key: Uint8Array, context: string): SealKeys => ({
  cipher: derive(key, 'cipher'),
  nonces: derive(key, 'nonces'),
  context,
});

/**
 * Encrypts with a nonce that is a keyed hash of the place and the bytes: the same bytes at the same place give the same
 * file, and no nonce ever serves two texts (but for a collision of 96 bits).
 */
export function sealWith(
  { cipher, nonces, context }: SealKeys,
  index: number,
  plain: Uint8Array,
): { readonly bytes: Uint8Array<ArrayBuffer>; readonly nonce: Uint8Array; readonly tag: Uint8Array } {
  const place = `${context}#${index}`;
  // Its length goes first: names may hold anything, and where the place ends must not depend on the bytes.
  const said = `${Buffer.byteLength(place)} ${place}`;
  const hash = createHmac('sha256', nonces).update(said).update(plain).digest();
  const nonce = new Uint8Array(hash.subarray(0, NONCE_BYTES));
  return { ...sealChunk(cipher, nonce, context, index, plain), nonce };
}

/** What opens the chunks of one tensor. */
export const sealOf = (key: Uint8Array, context: string, nonces: Uint8Array, tags: Uint8Array): Seal => ({
  key: derive(key, 'cipher'),
  nonces,
  tags,
  context,
});

const MANIFEST = 'manifest';
/** Of a tensor's chunks: never that of the manifest, whatever its name. */
export const tensorContext = (name: string): string => `tensor ${name}`;

/** The manifest as it is stored: nonce, tag, ciphertext. */
export function sealManifest(key: Uint8Array, manifest: Uint8Array): Uint8Array {
  const { bytes, nonce, tag } = sealWith(sealKeys(key, MANIFEST), 0, manifest);
  return Buffer.concat([nonce, tag, bytes]);
}

/** The inverse. @throws E_USAGE without a key, E_INTEGRITY with a wrong one or a changed manifest. */
export function openManifest(key: Uint8Array | undefined, stored: Uint8Array, file: string): Uint8Array {
  if (!key)
    throw new MlserError('E_USAGE', `${file} is encrypted`, {
      details: { file },
      hint: 'give its key: --key-file <file>, or the environment variable MLSER_KEY',
    });
  const head = NONCE_BYTES + TAG_BYTES;
  const nonces = stored.subarray(0, NONCE_BYTES);
  const plain = stored.slice(head);
  const seal = sealOf(key, MANIFEST, nonces, stored.subarray(NONCE_BYTES, head));
  if (stored.byteLength < head || !unseal(seal, 0, plain))
    throw new MlserError('E_INTEGRITY', `${file}: the manifest does not open with this key`, {
      details: { file, part: 'manifest' },
      hint: 'give the key that the file was written with; if it is the right one, the file was changed',
    });
  return plain;
}
