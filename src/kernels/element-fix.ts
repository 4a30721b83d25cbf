import { type DType, dtypeFacts } from '../core/dtype.js';
import { MlserError } from '../errors.js';

/** What is left to do to the bytes of a view until they are canonical. */
export interface ElementFix {
  /** Stored big-endian. */
  readonly swap?: boolean;
  /** The values are the negative of what is stored. */
  readonly negate?: boolean;
  /** The values are the complex conjugate of what is stored. */
  readonly conjugate?: boolean;
}

/** Bytes that are reversed together: an element, or one half of a complex element. */
export function swapWidth(dtype: DType): 1 | 2 | 4 | 8 {
  const { kind, bits, block } = dtypeFacts(dtype);
  const bytes = block > 1 || bits < 8 ? 1 : bits / (kind === 'complex' ? 16 : 8);
  return bytes === 2 || bytes === 4 || bytes === 8 ? bytes : 1;
}

/** Applies the fixes to whole elements, in place. E_UNSUPPORTED: the negative of something that has none. */
export function fixElements(bytes: Uint8Array, dtype: DType, fix: ElementFix): Uint8Array {
  if (fix.swap) swapBytes(bytes, swapWidth(dtype));
  const complex = dtypeFacts(dtype).kind === 'complex';
  // Both together leave the imaginary part as it is.
  if (fix.negate) negate(bytes, dtype, !(fix.conjugate && complex));
  if (fix.conjugate && complex && !fix.negate) flipSigns(bytes, swapWidth(dtype), 2, 1);
  return bytes;
}

function swapBytes(bytes: Uint8Array, width: 1 | 2 | 4 | 8): void {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (width === 2) buffer.swap16();
  else if (width === 4) buffer.swap32();
  else if (width === 8) buffer.swap64();
}

function negate(bytes: Uint8Array, dtype: DType, imaginary: boolean): void {
  const { kind, bits } = dtypeFacts(dtype);
  if (kind === 'complex') flipSigns(bytes, swapWidth(dtype), imaginary ? 1 : 2, 0);
  else if (kind === 'float' && bits >= 8 && dtype !== 'f8_e8m0' && !dtype.endsWith('fnuz'))
    flipSigns(bytes, bits / 8, 1, 0);
  else if ((kind === 'int' || kind === 'uint') && bits >= 8) twosComplement(bytes, bits / 8);
  else
    throw new MlserError('E_UNSUPPORTED', `a negative view of ${dtype}`, {
      details: { dtype },
      hint: 'resolve the view where the tensor was made',
    });
}

/** Flips the sign bit of every `every`-th number of `width` bytes, from number `first` on; NaN included, as hardware does. */
function flipSigns(bytes: Uint8Array, width: number, every: number, first: number): void {
  for (let at = (first + 1) * width - 1; at < bytes.byteLength; at += every * width)
    bytes[at] = (bytes[at] ?? 0) ^ 0x80;
}

function twosComplement(bytes: Uint8Array, width: number): void {
  for (let at = 0; at < bytes.byteLength; at += width) {
    let carry = 1;
    for (let i = at; i < at + width; i++) {
      const value = (~(bytes[i] ?? 0) & 0xff) + carry;
      bytes[i] = value;
      carry = value >> 8;
    }
  }
}
