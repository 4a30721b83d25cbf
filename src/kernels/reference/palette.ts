export type PaletteWidth = 2 | 4 | 8;

/** Little-endian elements as unsigned integers. */
function elementsOf(bytes: Uint8Array, width: PaletteWidth): bigint[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Array.from({ length: bytes.length / width }, (_, i) => {
    if (width === 8) return view.getBigUint64(i * 8, true);
    return BigInt(width === 4 ? view.getUint32(i * 4, true) : view.getUint16(i * 2, true));
  });
}

/** The distinct elements, ascending, and the place among them of every element; undefined if they are more than 256. */
export function encodePalette(
  bytes: Uint8Array,
  width: PaletteWidth,
): { readonly values: readonly bigint[]; readonly indices: Uint8Array } | undefined {
  const elements = elementsOf(bytes, width);
  const distinct = new Set<bigint>();
  for (const element of elements) if (distinct.add(element).size > 256) return undefined;
  const values = [...distinct].sort((a, b) => (a < b ? -1 : 1));
  const places = new Map(values.map((value, i) => [value, i]));
  return { values, indices: Uint8Array.from(elements, (element) => places.get(element) ?? 0) };
}

/** The elements; undefined if an index has no value. */
export function decodePalette(
  values: readonly bigint[],
  indices: Uint8Array,
  width: PaletteWidth,
): Uint8Array | undefined {
  const out = new Uint8Array(indices.length * width);
  for (const [i, index] of indices.entries()) {
    const value = values[index];
    if (value === undefined) return undefined;
    for (let byte = 0; byte < width; byte++)
      out[i * width + byte] = Number((value >> BigInt(8 * byte)) & 255n);
  }
  return out;
}

/** a xor b, byte by byte. */
export const xorBytes = (a: Uint8Array, b: Uint8Array): Uint8Array => a.map((byte, i) => byte ^ (b[i] ?? 0));
