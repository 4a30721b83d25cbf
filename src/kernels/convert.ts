import { type DType, dtypeFacts } from '../core/dtype.js';
import { codesOf, decodeElements, encodeElements, packedBytes, valuesOfCodes } from './elements.js';
import { saturateI64, saturateU64 } from './integers.js';
import { isSubByte, packCodes } from './packing.js';
import { scratchDoubles } from './scratch.js';
import { isSmallFloat } from './small-floats.js';
import { target, viewAs } from './views.js';

/** Casts `count` packed elements; `dst` must be aligned for its type. */
export type Converter = (src: Uint8Array, dst: Uint8Array, count: number) => void;

const made = new Map<string, Converter>();

/** The plain conversion between two numeric types (kernels/cast says how values are rounded). */
export function converter(from: DType, to: DType): Converter {
  const key = `${from} ${to}`;
  const known = made.get(key);
  if (known) return known;
  const convert = choose(from, to);
  made.set(key, convert);
  return convert;
}

function choose(from: DType, to: DType): Converter {
  if (from === 'i64' && to === 'u64') return castI64ToU64;
  if (from === 'u64' && to === 'i64') return castU64ToI64;
  if (dtypeFacts(from).bits <= 16) return throughTable(from, to);
  if (from === 'f32' && isSmallFloat(to) && dtypeFacts(to).bits <= 8) return throughOdd(to);
  return throughDoubles(from, to);
}

/** By way of doubles, which hold every type (64-bit integers are rounded to odd first, so nothing is rounded twice). */
export function throughDoubles(from: DType, to: DType): Converter {
  return (src, dst, count) => {
    const values = scratchDoubles(2, count);
    decodeElements(from, src, count, values, to !== 'f64');
    encodeElements(to, values, count, dst);
  };
}

type Codes = Uint8Array | Uint16Array | Uint32Array | BigUint64Array;

const tables = new Map<string, Uint8Array>();

/** The bytes of `tableOf`, kept. */
export function tableBytes(from: DType, to: DType): Uint8Array {
  const key = `${from} ${to}`;
  const known = tables.get(key);
  if (known) return known;
  const { buffer, byteOffset, byteLength } = tableOf(from, to);
  const bytes = new Uint8Array(buffer, byteOffset, byteLength);
  tables.set(key, bytes);
  return bytes;
}

/** The result for every code of a type of at most 16 bits; sub-byte results one a byte. */
function tableOf(from: DType, to: DType): Codes {
  const values = valuesOfCodes(from);
  const { bits } = dtypeFacts(to);
  if (isSubByte(bits)) {
    const codes = new Uint8Array(values.length);
    const one = new Uint8Array(1);
    for (let i = 0; i < values.length; i++) {
      encodeElements(to, values.subarray(i, i + 1), 1, one);
      codes[i] = one[0] ?? 0;
    }
    return codes;
  }
  const bytes = new Uint8Array(packedBytes(to, values.length));
  encodeElements(to, values, values.length, bytes);
  return codeView(bytes, bits, values.length);
}

function codeView(bytes: Uint8Array, bits: number, count: number): Codes {
  if (bits === 64) return target(BigUint64Array, bytes, count);
  if (bits === 32) return target(Uint32Array, bytes, count);
  return bits === 16 ? target(Uint16Array, bytes, count) : bytes.subarray(0, count);
}

function throughTable(from: DType, to: DType): Converter {
  let table: Codes | undefined;
  const { bits } = dtypeFacts(to);
  return (src, dst, count) => {
    table ??= tableOf(from, to);
    lookUp(table, codesOf(from, src, count), bits, dst, count);
  };
}

function lookUp(
  table: Codes,
  codes: Uint8Array | Uint16Array,
  bits: number,
  dst: Uint8Array,
  count: number,
): void {
  // A loop for each width, so that each stays monomorphic.
  if (table instanceof BigUint64Array) {
    const out = target(BigUint64Array, dst, count);
    for (let i = 0; i < count; i++) out[i] = table[codes[i] ?? 0] ?? 0n;
  } else if (table instanceof Uint32Array) {
    const out = target(Uint32Array, dst, count);
    for (let i = 0; i < count; i++) out[i] = table[codes[i] ?? 0] ?? 0;
  } else if (table instanceof Uint16Array) {
    const out = target(Uint16Array, dst, count);
    for (let i = 0; i < count; i++) out[i] = table[codes[i] ?? 0] ?? 0;
  } else {
    const packed = isSubByte(bits);
    const out = packed ? new Uint8Array(count) : dst;
    for (let i = 0; i < count; i++) out[i] = table[codes[i] ?? 0] ?? 0;
    if (packed) packCodes(out, bits, count, dst);
  }
}

/**
 * f32 into a float of at most 8 bits: cut to the 16 bits of a bf16 with a sticky last bit (rounding to odd), which
 * keeps what every later rounding needs to know, and look that up.
 */
function throughOdd(to: DType): Converter {
  let table: Codes | undefined;
  const { bits } = dtypeFacts(to);
  let codes = new Uint16Array(0);
  return (src, dst, count) => {
    table ??= tableOf('bf16', to);
    if (codes.length < count) codes = new Uint16Array(count);
    const from = viewAs(Uint32Array, src, count);
    for (let i = 0; i < count; i++) {
      const x = from[i] ?? 0;
      codes[i] = (x >>> 16) | ((x & 0xffff) === 0 ? 0 : 1);
    }
    lookUp(table, codes, bits, dst, count);
  };
}

function castI64ToU64(src: Uint8Array, dst: Uint8Array, count: number): void {
  const from = viewAs(BigInt64Array, src, count);
  const to = target(BigUint64Array, dst, count);
  for (let i = 0; i < count; i++) to[i] = saturateU64(from[i] ?? 0n);
}

function castU64ToI64(src: Uint8Array, dst: Uint8Array, count: number): void {
  const from = viewAs(BigUint64Array, src, count);
  const to = target(BigInt64Array, dst, count);
  for (let i = 0; i < count; i++) to[i] = saturateI64(from[i] ?? 0n);
}
