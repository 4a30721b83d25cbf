import { sha256 } from '../io/hashing.js';
import type { TensorInfo } from './tensor.js';

/**
 * Content id of a model: the Merkle Tree Hash of RFC 6962 §2.1 (SHA-256) over the leaf inputs
 * `["name","dtype",[d0,d1,…],"sha256hex"]` (UTF-8 JSON, no white space) in ascending order of the UTF-8 bytes
 * of the tensor name. Independent of the container. Aliases are leaves under their own name.
 */
export function contentId(tensors: readonly (TensorInfo & { readonly sha256: string })[]): string {
  const encoder = new TextEncoder();
  const leaves = tensors
    .map((t) => ({
      key: encoder.encode(t.name),
      hash: sha256(LEAF, encoder.encode(JSON.stringify([t.name, t.dtype, t.shape, t.sha256]))),
    }))
    .sort((a, b) => Buffer.compare(a.key, b.key))
    .map((leaf) => leaf.hash);
  return Buffer.from(merkleRoot(leaves)).toString('hex');
}

const LEAF = Uint8Array.of(0);
const NODE = Uint8Array.of(1);

function merkleRoot(leaves: readonly Uint8Array[]): Uint8Array {
  if (leaves.length === 0) return sha256();
  const [only] = leaves;
  if (leaves.length === 1 && only) return only;
  let split = 1;
  while (split * 2 < leaves.length) split *= 2;
  return sha256(NODE, merkleRoot(leaves.slice(0, split)), merkleRoot(leaves.slice(split)));
}
