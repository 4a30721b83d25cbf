/**
 * Sub-byte elements, packed without gaps from the low bits up: element i is bits [i·width, (i+1)·width) of the
 * little-endian bit string (ONNX TensorProto for 4 and 2 bits; safetensors for 4 and 6). Codes of 3 bits are no type
 * of any format, but palettes have them.
 */
export type SubByteWidth = 2 | 3 | 4 | 6;

export const isSubByte = (bits: number): bits is SubByteWidth => bits > 1 && bits < 7 && bits !== 5;

/** Codes of the first `count` elements, one a byte. */
export function unpackCodes(bytes: Uint8Array, width: SubByteWidth, count: number, out: Uint8Array): void {
  if (width === 4) {
    for (let i = 0; i < count; i += 2) {
      const pair = bytes[i >>> 1] ?? 0;
      out[i] = pair & 15;
      if (i + 1 < count) out[i + 1] = pair >>> 4;
    }
    return;
  }
  if (width === 2) {
    for (let i = 0; i < count; i++) out[i] = ((bytes[i >>> 2] ?? 0) >>> ((i & 3) << 1)) & 3;
    return;
  }
  const mask = 2 ** width - 1;
  for (let i = 0, bit = 0; i < count; i++, bit += width) {
    const at = bit >>> 3;
    const pair = (bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8);
    out[i] = (pair >>> (bit & 7)) & mask;
  }
}

/** The inverse; bits after the last element are zero. */
export function packCodes(codes: Uint8Array, width: SubByteWidth, count: number, out: Uint8Array): void {
  out.fill(0, 0, Math.ceil((count * width) / 8));
  for (let i = 0, bit = 0; i < count; i++, bit += width) {
    const at = bit >>> 3;
    const shifted = (codes[i] ?? 0) << (bit & 7);
    out[at] = (out[at] ?? 0) | (shifted & 0xff);
    if (shifted > 0xff) out[at + 1] = shifted >>> 8;
  }
}
