import { expect } from 'vitest';
import { ownBenches } from '../../../src/kernels/codecs/bench.js';
import { arena } from '../../../src/kernels/wasm.js';

/** The kernels of the codecs on bytes, each with an eye on what they must not touch. */
export const [bench, otherBench] = ownBenches();
const { kernels, raw, base, stored, a, b, c, work, planeWork } = bench;

/** Bytes before and behind every area that a kernel writes to; whatever is written there is noticed. */
const GUARD = 4096;
const FILL = 0xa5;
const FILLED = new Uint8Array(GUARD).fill(FILL);
/** What kernels may write behind the end (they write whole vectors). */
export const SLACK = { plane: 3, vector: 64 } as const;

/** Runs `body` with an address in the area for `length` bytes; gives those bytes unless `body` is false. */
function guarded(
  area: typeof raw,
  length: number,
  slack: number,
  body: (at: number) => boolean | number,
): Uint8Array | undefined {
  const whole = area.bytes.subarray(0, length + 2 * GUARD);
  whole.fill(FILL);
  const fine = body(area.at + GUARD);
  const changed = (part: Uint8Array): boolean => Buffer.compare(part, FILLED.subarray(0, part.length)) !== 0;
  if (changed(whole.subarray(0, GUARD))) throw new Error('a kernel wrote before its area');
  if (changed(whole.subarray(GUARD + length + slack))) throw new Error('a kernel wrote behind its area');
  return fine ? whole.slice(GUARD, GUARD + length) : undefined;
}

/** The rest of the memory: what lies between the areas, and behind the last. */
export function fences(): { check(): void } {
  const { codec } = arena();
  const { buffer } = raw.bytes;
  const gaps = codec.areas.map(({ at, bytes }) => new Uint8Array(buffer, at + bytes.length, 256));
  const [, last] = codec.work;
  const parts = [...gaps, new Uint8Array(buffer, last + (640 << 10))];
  const below = new Uint8Array(buffer, 1 << 20, 4 << 20);
  for (const part of [...parts, below]) part.fill(FILL);
  return {
    check() {
      for (const part of [...parts, below])
        expect(Buffer.compare(part, new Uint8Array(part.length).fill(FILL)), 'memory between areas').toBe(0);
    },
  };
}

/** Bytes into an area, with noise behind them: nothing may depend on that. */
function put(area: typeof raw, bytes: Uint8Array): number {
  area.bytes.fill(0x5a, bytes.length, bytes.length + 256);
  area.bytes.set(bytes);
  return area.at;
}

/** What a model kernel announces, and what is written then; undefined where nothing is. */
export interface Coded {
  readonly needed: number;
  readonly bytes: Uint8Array | undefined;
}

const written = (length: number): Uint8Array => stored.bytes.slice(0, length);

export function planeEncode(plane: Uint8Array): Coded {
  const src = put(raw, plane);
  const needed = kernels.planeModel(src, plane.length, planeWork);
  if (needed === 3) return { needed, bytes: undefined };
  return { needed, bytes: written(kernels.planeEncode(src, plane.length, stored.at, planeWork)) };
}

export function planeSample(plane: Uint8Array): number {
  const sampled = kernels.sampleElements(put(raw, plane), plane.length, 1, a.at);
  return kernels.planeSample(a.at, sampled, planeWork);
}

export function planeDecode(bytes: Uint8Array, n: number): Uint8Array | undefined {
  const src = put(stored, bytes);
  return guarded(raw, n, SLACK.plane, (out) =>
    kernels.planeDecode(src, src + bytes.length, n, out, planeWork),
  );
}

export function residualEncode(
  next: Uint8Array,
  from: Uint8Array,
  width: number,
  shift: number,
): Coded & { readonly bytes: Uint8Array } {
  const n = next.length / width;
  const needed = kernels.residualModel(put(raw, next), put(base, from), n, width, shift, a.at, b.at, work);
  return { needed, bytes: written(kernels.residualEncode(n, width, a.at, b.at, stored.at, c.at, work)) };
}

export function residualDecode(
  bytes: Uint8Array,
  from: Uint8Array,
  width: number,
  shift: number,
): Uint8Array | undefined {
  const src = put(stored, bytes);
  const end = src + bytes.length;
  const n = from.length / width;
  const at = put(base, from);
  return guarded(raw, from.length, SLACK.vector, (out) =>
    kernels.residualDecode(src, end, at, n, width, shift, out, work),
  );
}

/** Positions as numbers. */
const numbers = (bytes: Uint8Array): number[] => [...new Uint32Array(bytes.slice().buffer)];
const asBytes = (positions: readonly number[]): Uint8Array =>
  new Uint8Array(Uint32Array.from(positions).buffer);

export function differingPositions(
  one: Uint8Array,
  other: Uint8Array,
  width: number,
  limit = 1 << 20,
): number[] {
  const n = one.length / width;
  const found = kernels.differingPositions(put(raw, one), put(base, other), n, width, b.at, limit, work);
  return numbers(b.bytes.subarray(0, found * 4));
}

export function countDiffering(one: Uint8Array, other: Uint8Array, width: number): number {
  return kernels.countDiffering(put(raw, one), put(base, other), one.length / width, width);
}

export const countNonZero = (bytes: Uint8Array, width: number): number =>
  kernels.countNonZero(put(raw, bytes), bytes.length / width, width);

export function gather(
  bytes: Uint8Array,
  positions: readonly number[],
  width: number,
): Uint8Array | undefined {
  const n = positions.length;
  const [src, at] = [put(raw, bytes), put(b, asBytes(positions))];
  return guarded(c, n * width, 0, (out) => {
    kernels.gatherAt(src, at, n, width, out);
    return true;
  });
}

export function scatter(
  elements: Uint8Array,
  positions: readonly number[],
  width: number,
  onto: Uint8Array,
): Uint8Array | undefined {
  const [src, at] = [put(c, elements), put(b, asBytes(positions))];
  return guarded(raw, onto.length, 0, (out) => {
    raw.bytes.set(onto, GUARD);
    kernels.scatterAt(src, at, positions.length, width, out);
    return true;
  });
}

export function gapsEncode(positions: readonly number[]): Coded & { readonly bytes: Uint8Array } {
  const at = put(b, asBytes(positions));
  const needed = kernels.gapsModel(at, positions.length, work);
  return { needed, bytes: written(kernels.gapsEncode(at, positions.length, stored.at, work)) };
}

export function gapsDecode(bytes: Uint8Array, n: number, count: number): number[] | undefined {
  const src = put(stored, bytes);
  const found = guarded(b, n * 4, 0, (out) =>
    kernels.gapsDecode(src, src + bytes.length, n, count, out, work),
  );
  return found && numbers(found);
}

export function paletteEncode(
  bytes: Uint8Array,
  width: number,
): { readonly values: bigint[]; readonly indices: Uint8Array | undefined } | undefined {
  const n = bytes.length / width;
  const src = put(raw, bytes);
  let found = 0;
  const indices = guarded(b, n, 16, (out) => {
    found = kernels.paletteOf(src, n, width, c.at, out, work);
    return true;
  });
  if (found === 0) return undefined;
  const values = [...new BigUint64Array(c.bytes.slice(0, found * 8).buffer)];
  return { values, indices };
}

export function paletteDecode(
  values: readonly bigint[],
  indices: Uint8Array,
  width: number,
): Uint8Array | undefined {
  put(c, new Uint8Array(2048));
  c.bytes.set(new Uint8Array(BigUint64Array.from(values).buffer));
  const at = put(b, indices);
  return guarded(raw, indices.length * width, 0, (out) =>
    kernels.paletteElements(at, indices.length, width, c.at, values.length, out),
  );
}

export function xorBytes(one: Uint8Array, other: Uint8Array): Uint8Array | undefined {
  const [x, y] = [put(a, one), put(base, other)];
  return guarded(raw, one.length, 0, (out) => {
    kernels.xorBytes(x, y, one.length, out);
    return true;
  });
}

/** Equal bytes; quicker to compare, and to read where they are not, than by elements. */
export function expectBytes(found: Uint8Array | undefined, want: Uint8Array | undefined, what = ''): void {
  if (found && want) expect(Buffer.compare(found, want), what).toBe(0);
  else expect(found, what).toBe(want);
}

/** Bounds of an estimate: never too low, and close. */
export function expectEstimate({ needed, bytes }: Coded, what = ''): void {
  const size = bytes?.length ?? 0;
  expect(needed, what).toBeGreaterThanOrEqual(size);
  expect(needed, what).toBeLessThanOrEqual(size + 8);
}

/** The two highest planes as symbols and six bits; undefined where there are too many symbols. */
export function fineSplit(
  high: Uint8Array,
  low: Uint8Array,
):
  | { readonly floor: number; readonly symbols: Uint8Array | undefined; readonly packed: Uint8Array }
  | undefined {
  const n = high.length;
  const below = put(b, low);
  const floor = kernels.fineFloor(put(a, high), below, n);
  if (floor < 0) return undefined;
  const symbols = guarded(a, n, 0, (at) => {
    a.bytes.set(high, at - a.at);
    kernels.fineSplit(at, below, n, floor, c.at);
    return true;
  });
  return { floor, symbols, packed: c.bytes.slice(0, Math.ceil((n * 6) / 8)) };
}

export function fineJoin(
  symbols: Uint8Array,
  floor: number,
  packed: Uint8Array,
): { readonly high: Uint8Array; readonly low: Uint8Array | undefined } {
  const n = symbols.length;
  const bits = put(c, packed);
  let high: Uint8Array | undefined;
  const low = guarded(b, n, 0, (at) => {
    high = guarded(a, n, 0, (above) => {
      a.bytes.set(symbols, above - a.at);
      kernels.fineJoin(above, at, n, floor, bits);
      return true;
    });
    return true;
  });
  return { high: high ?? new Uint8Array(), low };
}
