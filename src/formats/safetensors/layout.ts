import { LIMITS } from '../../core/limits.js';
import type { TensorSource } from '../../core/tensor.js';
import { MlserError } from '../../errors.js';
import { storedAs } from './dtypes.js';
import { METADATA_KEY } from './header.js';

/** One file as it will be written. */
export interface Layout {
  /** Length, JSON and padding: everything before the first tensor. */
  readonly header: Uint8Array;
  /** In the order of the file, with their place in it. */
  readonly placed: readonly { readonly tensor: TensorSource; readonly offset: number }[];
  /** Size of the file. */
  readonly size: number;
}

/**
 * Lays out a file exactly as the reference library does: tensors by element type (widest first), then by name in
 * the order of its UTF-8 bytes, without gaps; compact JSON, metadata first, padded with spaces to a multiple of 8.
 * The reference library writes metadata keys in no particular order; here they keep theirs, so a file that it
 * wrote comes out byte for byte.
 *
 * @throws E_LIMIT if the header would pass what readers accept.
 */
export function layOut(tensors: readonly TensorSource[], metadata: ReadonlyMap<string, string>): Layout {
  const sorted = tensors
    .map((tensor) => ({ tensor, stored: storedAs(tensor.info.dtype) }))
    .sort(
      (a, b) =>
        (b.stored?.rank ?? 0) - (a.stored?.rank ?? 0) || compareUtf8(a.tensor.info.name, b.tensor.info.name),
    );
  const parts: string[] = [];
  if (metadata.size > 0) {
    const pairs = [...metadata].map(([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`);
    parts.push(`"${METADATA_KEY}":{${pairs.join(',')}}`);
  }
  const relative: { tensor: TensorSource; offset: number }[] = [];
  let end = 0;
  for (const { tensor, stored } of sorted) {
    const { name, dtype, shape } = tensor.info;
    const begin = end;
    end += tensor.byteLength;
    relative.push({ tensor, offset: begin });
    parts.push(
      `${JSON.stringify(name)}:{"dtype":"${stored?.name ?? dtype}","shape":[${shape.join(',')}],"data_offsets":[${begin},${end}]}`,
    );
  }
  const header = padded(`{${parts.join(',')}}`);
  return {
    header,
    placed: relative.map(({ tensor, offset }) => ({ tensor, offset: header.byteLength + offset })),
    size: header.byteLength + end,
  };
}

function padded(json: string): Uint8Array {
  const text = Buffer.byteLength(json);
  const length = Math.ceil(text / 8) * 8;
  if (length > LIMITS.SAFETENSORS_HEADER_BYTES)
    throw new MlserError(
      'E_LIMIT',
      `the safetensors header would have ${length} bytes, more than ${LIMITS.SAFETENSORS_HEADER_BYTES} (limit SAFETENSORS_HEADER_BYTES)`,
      {
        details: { limit: 'SAFETENSORS_HEADER_BYTES', needed: length },
        hint: 'write shards with --shard-size',
      },
    );
  const bytes = Buffer.alloc(8 + length, 0x20);
  bytes.writeBigUInt64LE(BigInt(length), 0);
  bytes.write(json, 8, 'utf8');
  return bytes;
}

/** Order of the UTF-8 bytes, which differs from that of UTF-16 units where surrogate pairs meet U+E000 and up. */
export function compareUtf8(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const x = a.charCodeAt(i);
    const y = b.charCodeAt(i);
    if (x !== y) return rankOfUnit(x) - rankOfUnit(y);
  }
  return a.length - b.length;
}

/** Surrogates stand for U+10000 and up, so they come after every other unit. */
const rankOfUnit = (unit: number): number => (unit >= 0xd800 && unit < 0xe000 ? unit + 0x10000 : unit);
