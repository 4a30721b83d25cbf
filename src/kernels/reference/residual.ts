import { baseOf, classOf, lowBits } from './classes.js';
import { CLASSES, contextsOf, MAX_CONTEXTS } from './contexts.js';
import { type Code, codeFor, loadCode, putSymbol, storeCode, takeSymbol } from './huffman.js';
import { BitWriter, joinBytes, joinStreams, quarters, splitStreams } from './streams.js';

/** More than two bytes have. */
const NARROW_CLASSES = 64;

/** `width`: bytes of an element. `shift`: bits right of a float's exponent in an element shifted left by one; 0: integers. */
export interface ResidualShape {
  readonly width: 1 | 2 | 4;
  readonly shift: number;
}

const ARRAYS = { 1: Uint8Array, 2: Uint16Array, 4: Uint32Array } as const;

/** Little-endian elements as unsigned integers. */
const elementsOf = (bytes: Uint8Array, width: 1 | 2 | 4): ArrayLike<number> =>
  new ARRAYS[width](bytes.slice().buffer);

/** The unsigned integer that sorts as the float does; it is its own kind for integers. */
function toOrdered(x: number, { width, shift }: ResidualShape): number {
  const sign = 2 ** (8 * width - 1);
  if (shift === 0) return x;
  return x >= sign ? 2 * sign - 1 - x : x + sign;
}

function fromOrdered(x: number, { width, shift }: ResidualShape): number {
  const sign = 2 ** (8 * width - 1);
  if (shift === 0) return x;
  return x >= sign ? x - sign : 2 * sign - 1 - x;
}

const exponentOf = (x: number, { width, shift }: ResidualShape): number =>
  shift === 0 ? 0 : Math.floor(((x * 2) % 2 ** (8 * width)) / 2 ** shift);

/** Differences modulo 2^W, nearest to zero, with the exponents of the base. */
function differencesOf(next: Uint8Array, base: Uint8Array, shape: ResidualShape) {
  const range = 2 ** (8 * shape.width);
  const from = elementsOf(base, shape.width);
  const exponents = Array.from(from, (x) => exponentOf(x, shape));
  const differences = Array.from(elementsOf(next, shape.width), (x, i) => {
    const d = (toOrdered(x, shape) - toOrdered(from[i] ?? 0, shape) + range) % range;
    return d >= range / 2 ? d - range : d;
  });
  return { differences, exponents };
}

/** The last context that starts at the exponent or below; the first one takes what is below it too. */
const contextOf = (exponent: number, starts: readonly number[]): number =>
  Math.max(
    0,
    starts.findLastIndex((start, g) => g > 0 && start <= exponent),
  );

function at<T>(list: readonly T[], index: number): T {
  const item = list[index];
  if (item === undefined) throw new Error('there is no such context');
  return item;
}

/**
 * Stored: number of contexts (u8), the first exponent of all but the first (u8 each), their codes, four streams. Of
 * every difference: the code of its class, and unless it is 0 its sign (1: negative) and the low bits.
 */
export function encodeResidual(next: Uint8Array, base: Uint8Array, shape: ResidualShape): Uint8Array {
  const { differences, exponents } = differencesOf(next, base, shape);
  const contexts = contextsOf(differences, exponents, shape.width);
  const starts = contexts.map(({ start }) => start);
  const codes = contexts.map(({ counts }) => codeFor(counts));
  const streams = quarters(differences.length).map(([from, end]) => {
    const stream = new BitWriter();
    for (let i = from; i < end; i++) {
      const d = differences[i] ?? 0;
      const c = classOf(Math.abs(d));
      putSymbol(stream, at(codes, contextOf(exponents[i] ?? 0, starts)), c);
      if (d !== 0) stream.put(d < 0 ? 1 : 0, 1);
      stream.put(Math.abs(d), lowBits(c));
    }
    return stream;
  });
  const stored = contexts.map(({ counts }, g) => storeCode(counts, at(codes, g)));
  return joinBytes([Uint8Array.of(contexts.length, ...starts.slice(1)), ...stored, joinStreams(streams)]);
}

/** The elements that `bytes` make of `base`; undefined if they are none. */
export function decodeResidual(
  bytes: Uint8Array,
  base: Uint8Array,
  shape: ResidualShape,
): Uint8Array | undefined {
  const [groups = 0] = bytes;
  if (groups < 1 || groups > MAX_CONTEXTS || groups > bytes.length) return undefined;
  const starts = [0, ...bytes.subarray(1, groups)];
  if (starts.some((start, g) => g > 0 && start <= at(starts, g - 1))) return undefined;
  const codes: Code[] = [];
  let head = groups;
  for (let g = 0; g < groups; g++) {
    // Elements of one and two bytes have no differences of classes from 64 on.
    const loaded = loadCode(bytes.subarray(head), shape.width < 4 ? NARROW_CLASSES : CLASSES);
    if (!loaded) return undefined;
    codes.push(loaded.code);
    head += loaded.taken;
  }
  const parts = splitStreams(bytes.subarray(head));
  if (!parts) return undefined;
  const range = 2 ** (8 * shape.width);
  const from = elementsOf(base, shape.width);
  const out = new ARRAYS[shape.width](from.length);
  for (const [q, [start, end]] of quarters(from.length).entries()) {
    const stream = parts.streams[q];
    for (let i = start; i < end; i++) {
      const x = from[i] ?? 0;
      const code = at(codes, contextOf(exponentOf(x, shape), starts));
      const c = stream && takeSymbol(stream, code);
      if (c === undefined) return undefined;
      const sign = c > 0 && stream?.take(1) === 1 ? -1 : 1;
      const difference = sign * (baseOf(c) + (stream?.take(lowBits(c)) ?? 0));
      out[i] = fromOrdered((((toOrdered(x, shape) + difference) % range) + range) % range, shape);
    }
    if (!stream?.isAtEnd()) return undefined;
  }
  return new Uint8Array(out.buffer);
}
