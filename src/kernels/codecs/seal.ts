import { createCipheriv, createDecipheriv } from 'node:crypto';
import type { Seal } from '../../core/recipe.js';

export const NONCE_BYTES = 12;
export const TAG_BYTES = 16;

/** What is authenticated with a chunk: whose it is and which one, so that none can be put in another's place. */
const associated = (context: string, index: number): Buffer => Buffer.from(`${context}#${index}`);

/** Decrypts a chunk in place (AES-256-GCM); false if key, nonce, tag, place or bytes are not those it was sealed with. */
export function unseal(seal: Seal, index: number, stored: Uint8Array): boolean {
  const nonce = seal.nonces.subarray(index * NONCE_BYTES, (index + 1) * NONCE_BYTES);
  const tag = seal.tags.subarray(index * TAG_BYTES, (index + 1) * TAG_BYTES);
  const cipher = createDecipheriv('aes-256-gcm', seal.key, nonce, { authTagLength: TAG_BYTES });
  cipher.setAAD(associated(seal.context, index));
  cipher.setAuthTag(tag);
  try {
    const plain = cipher.update(stored);
    cipher.final();
    stored.set(plain);
    return true;
  } catch {
    return false;
  }
}

/** Encrypts a chunk. */
export function sealChunk(
  key: Uint8Array,
  nonce: Uint8Array,
  context: string,
  index: number,
  plain: Uint8Array,
): { readonly bytes: Uint8Array<ArrayBuffer>; readonly tag: Uint8Array<ArrayBuffer> } {
  const cipher = createCipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG_BYTES });
  cipher.setAAD(associated(context, index));
  const bytes = Buffer.concat([cipher.update(plain), cipher.final()]);
  return { bytes: new Uint8Array(bytes), tag: new Uint8Array(cipher.getAuthTag()) };
}
