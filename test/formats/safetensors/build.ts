/** Makes safetensors bytes from header text and data, right or wrong. */
export function safetensorsBytes(header: string, data: Uint8Array | number = 0, length?: bigint): Uint8Array {
  const text = Buffer.from(header);
  const prefix = Buffer.alloc(8);
  prefix.writeBigUInt64LE(length ?? BigInt(text.byteLength), 0);
  return Buffer.concat([prefix, text, typeof data === 'number' ? Buffer.alloc(data) : data]);
}
