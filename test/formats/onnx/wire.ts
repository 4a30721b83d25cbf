/** Protobuf by hand, to write what no library would. */

export const bytes = (...parts: readonly (Uint8Array | readonly number[])[]): Uint8Array =>
  new Uint8Array(Buffer.concat(parts.map((part) => Uint8Array.from(part))));

export function varint(value: number | bigint): Uint8Array {
  let rest = BigInt.asUintN(64, BigInt(value));
  const out: number[] = [];
  for (; rest >= 0x80n; rest >>= 7n) out.push(Number(rest & 0x7fn) | 0x80);
  return Uint8Array.from([...out, Number(rest)]);
}
export const tag = (id: number, wire: number): Uint8Array => varint(id * 8 + wire);
export const int = (id: number, value: number | bigint): Uint8Array => bytes(tag(id, 0), varint(value));
export const len = (id: number, ...parts: readonly (Uint8Array | readonly number[])[]): Uint8Array => {
  const payload = bytes(...parts);
  return bytes(tag(id, 2), varint(payload.length), payload);
};
export const text = (id: number, value: string): Uint8Array => len(id, Buffer.from(value, 'utf8'));
export const fixed32 = (id: number, value: number): Uint8Array => {
  const out = new Uint8Array(4);
  new DataView(out.buffer).setFloat32(0, value, true);
  return bytes(tag(id, 5), out);
};
export const packed = (id: number, values: readonly (number | bigint)[]): Uint8Array =>
  len(id, Buffer.concat(values.map(varint)));

/** A value of type f32 [n]. */
export const value = (field: number, name: string): Uint8Array =>
  len(field, text(1, name), len(2, len(1, int(1, 1), len(2, len(1, text(2, 'n'))))));
/** The smallest model: y = Identity(x), with `graph` added to the graph and `model` to the model. */
export const model = (graph: readonly Uint8Array[] = [], around: readonly Uint8Array[] = []): Uint8Array =>
  bytes(
    int(1, 8),
    len(
      7,
      len(1, text(1, 'x'), text(2, 'y'), text(4, 'Identity')),
      text(2, 'g'),
      ...graph,
      value(11, 'x'),
      value(12, 'y'),
    ),
    len(8, text(1, ''), int(2, 17)),
    ...around,
  );
/** An initializer of the graph. */
export const initializer = (
  name: string,
  type: number,
  dims: readonly number[],
  ...data: readonly Uint8Array[]
): Uint8Array => len(5, ...dims.map((dim) => int(1, dim)), int(2, type), text(8, name), ...data);
