/** Typed views of bytes. Hosts are little-endian, as WebAssembly is. */
interface ViewType<T> {
  readonly BYTES_PER_ELEMENT: number;
  new (buffer: ArrayBufferLike, byteOffset: number, length: number): T;
}

function checkRoom(bytes: Uint8Array, size: number, count: number): void {
  if (bytes.byteLength < size * count)
    throw new Error(`${count} elements of ${size} bytes in ${bytes.byteLength} bytes`);
}

/** For reading `count` elements: a copy where the bytes are not aligned for the type. */
export function viewAs<T>(type: ViewType<T>, bytes: Uint8Array, count: number): T {
  const size = type.BYTES_PER_ELEMENT;
  checkRoom(bytes, size, count);
  if (bytes.byteOffset % size === 0) return new type(bytes.buffer, bytes.byteOffset, count);
  return new type(bytes.slice(0, count * size).buffer, 0, count);
}

/** For writing `count` elements: the bytes must be aligned. */
export function target<T>(type: ViewType<T>, bytes: Uint8Array, count: number): T {
  checkRoom(bytes, type.BYTES_PER_ELEMENT, count);
  return new type(bytes.buffer, bytes.byteOffset, count);
}
