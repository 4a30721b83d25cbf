import type { FormatDescriptor, SniffScore } from '../../core/format.js';
import { ONNX_DTYPES } from './dtypes.js';

export const onnx: FormatDescriptor = {
  id: 'onnx',
  title: 'ONNX',
  extensions: ['.onnx'],
  dtypes: ONNX_DTYPES,
  keeps: { metadata: true, aliases: false, training: false, graph: true },
  sniff,
  reader: async () => (await import('./reader.js')).reader,
  writer: async () => (await import('./writer.js')).writer,
};

/** Wire types of ModelProto's fields. */
const FIELDS: ReadonlyMap<number, number> = new Map([
  [1, 0],
  [2, 2],
  [3, 2],
  [4, 2],
  [5, 0],
  [6, 2],
  [7, 2],
  [8, 2],
  [14, 2],
  [20, 2],
  [25, 2],
  [26, 2],
]);

/**
 * Protocol buffers have no magic number: certain if the first fields are those of ModelProto in the order that
 * every writer uses (ir_version, then known fields with the right wire types), by extension otherwise.
 */
function sniff(head: Uint8Array, name: string, size: number): SniffScore {
  const byName = name.toLowerCase().endsWith('.onnx');
  const fields = leadingFields(head, size);
  if (fields >= 2 && head[0] === 0x08) return byName ? 3 : 2;
  return byName ? 1 : 0;
}

/** How many fields in a row are ModelProto's, up to where the head ends. 0 if one is not. */
function leadingFields(head: Uint8Array, size: number): number {
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let i = 0; i < 10; i++) {
      const byte = head[at++] ?? 0;
      value += (byte & 0x7f) * 2 ** (7 * i);
      if (byte < 0x80) return value;
    }
    return Number.NaN;
  };
  let fields = 0;
  while (at < head.byteLength) {
    const tag = varint();
    const wire = FIELDS.get(Math.floor(tag / 8));
    if (wire === undefined || wire !== tag % 8) return 0;
    const value = varint();
    if (Number.isNaN(value)) return 0;
    if (wire === 2) at += value;
    if (at > size) return 0;
    fields++;
  }
  return fields;
}
