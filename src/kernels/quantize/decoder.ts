import type { Decoding } from '../../core/recipe.js';
import { MlserError } from '../../errors.js';
import { valuesOfCodes } from '../elements.js';
import { isSubByte, unpackCodes } from '../packing.js';
import { viewAs } from '../views.js';
import { ChannelGroups } from './channel-groups.js';
import { Groups } from './groups.js';

type Of<Kind extends Decoding['kind']> = Extract<Decoding, { readonly kind: Kind }>;
type Codes = Uint8Array | Int8Array | Uint16Array | Int16Array;

/** Writes what `count` packed codes stand for, the first of which is element `start` of its tensor. */
export type Decoder = (bytes: Uint8Array, out: Float32Array, count: number, start: number) => void;

/** @throws E_MALFORMED for a code that has no place in its table, while it decodes. */
export function decoderOf(decoding: Decoding): Decoder {
  switch (decoding.kind) {
    case 'integers':
      return integers(decoding);
    case 'levels':
      return levels(decoding);
    case 'table':
      return table(decoding);
  }
}

function integers(decoding: Of<'integers'>): Decoder {
  const { dtype, bits, scales, zeros, shape } = decoding;
  const groups = new Groups(shape, decoding);
  // Codes of less than a byte have no sign before they are looked up.
  const values = isSubByte(bits) ? valuesOfCodes(dtype) : undefined;
  const signed = dtype.startsWith('i');
  const codesOf = unpacker(bits, signed);
  const value = (code: number): number => (values ? (values[code] ?? 0) : code);
  return (bytes, out, count, start) => {
    const codes = codesOf(bytes, count);
    groups.visit(start, start + count, (at, length, group, steps) => {
      const [from, to] = [at - start, at - start + length];
      if (steps && zeros.length === 0) {
        for (let i = from, g = group; i < to; i++, g++) out[i] = value(codes[i] ?? 0) * (scales[g] ?? 0);
        return;
      }
      if (steps) {
        for (let i = from, g = group; i < to; i++, g++)
          out[i] = (value(codes[i] ?? 0) - (zeros[g] ?? 0)) * (scales[g] ?? 0);
        return;
      }
      const [zero, scale] = [zeros[group] ?? 0, scales[group] ?? 0];
      for (let i = from; i < to; i++) out[i] = (value(codes[i] ?? 0) - zero) * scale;
    });
  };
}

function levels({ bits, scales, block, ...decoding }: Of<'levels'>): Decoder {
  const known = Float32Array.from(decoding.levels);
  const codesOf = unpacker(bits, false);
  return (bytes, out, count, start) => {
    const codes = codesOf(bytes, count);
    for (let from = 0; from < count; ) {
      const index = Math.floor((start + from) / block);
      const to = Math.min(count, (index + 1) * block - start);
      const scale = scales[index] ?? 0;
      for (let i = from; i < to; i++) out[i] = (known[codes[i] ?? 0] ?? 0) * scale;
      from = to;
    }
  };
}

function table({ tensor, bits, width, table: rows, shape, ...sharing }: Of<'table'>): Decoder {
  const groups = new ChannelGroups(shape, sharing);
  const codesOf = unpacker(bits, false);
  return (bytes, out, count, start) => {
    const codes = codesOf(bytes, count);
    let most = 0;
    groups.visit(start, start + count, (at, length, group) => {
      const base = group * width;
      for (let i = at - start; i < at - start + length; i++) {
        const code = codes[i] ?? 0;
        if (code > most) most = code;
        out[i] = rows[base + code] ?? 0;
      }
    });
    if (most >= width) throw pastTable(tensor, width);
  };
}

/** Reads codes, one an element of what it gives, which is valid until it is called again. */
function unpacker(bits: number, signed: boolean): (bytes: Uint8Array, count: number) => Codes {
  if (bits === 16)
    return (bytes, count) => (signed ? viewAs(Int16Array, bytes, count) : viewAs(Uint16Array, bytes, count));
  if (!isSubByte(bits))
    return (bytes, count) =>
      signed ? new Int8Array(bytes.buffer, bytes.byteOffset, count) : bytes.subarray(0, count);
  let room = new Uint8Array(0);
  return (bytes, count) => {
    if (room.length < count) room = new Uint8Array(count);
    unpackCodes(bytes, bits, count, room);
    return room;
  };
}

const pastTable = (tensor: string, width: number): MlserError =>
  new MlserError(
    'E_MALFORMED',
    `quantized tensor ${JSON.stringify(tensor)}: a code is past the ${width} values of its palette`,
    { details: { tensor }, hint: 'its codes and its palette do not belong together' },
  );
