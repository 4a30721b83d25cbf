import { describe, expect, it } from 'vitest';
import { prunePattern } from '../../../src/kernels/prune/pattern-groups.js';
import {
  countMagnitudes,
  magnitudeAt,
  magnitudeDigits,
  nearMagnitudes,
  zeroBelow,
} from '../../../src/kernels/reference/prune.js';
import { arena } from '../../../src/kernels/wasm.js';
import { bytesOf, floats, KINDS, LENGTHS } from '../samples.js';

const here = arena();

/** Blocks of every width: the floats themselves, and their bytes as narrower and wider ones. */
const blocks = KINDS.flatMap((kind) =>
  LENGTHS.map((count) => ({ kind, bytes: bytesOf(floats(kind, count * 2, count + 5)) })),
);

function inSlot(bytes: Uint8Array): number {
  here.slot(0).bytes.fill(0xa5, 0, bytes.length + 64);
  here.slot(0).bytes.set(bytes);
  return here.slot(0).at;
}

describe.each([4, 8] as const)('SIMD kernels equal their references on floats of %s bytes', (width) => {
  it('magnitudeDigits', () => {
    for (const { bytes } of blocks) {
      const count = bytes.length / width;
      let prefix = 0n;
      for (let shift = width * 8 - 16; shift >= 0; shift -= 16) {
        here.digits.values.fill(0);
        here.kernels[`magnitudeDigits${width === 4 ? 32 : 64}`](
          inSlot(bytes),
          count,
          shift,
          prefix,
          here.digits.at,
        );
        const expected = new Uint32Array(65536);
        for (const [digit, found] of magnitudeDigits(bytes, width, shift, prefix)) expected[digit] = found;
        expect(Buffer.compare(Buffer.from(here.digits.values), Buffer.from(expected))).toBe(0);
        const next = count === 0 ? 0n : magnitudeAt(bytes, Math.floor(count / 2), width);
        prefix = next >> BigInt(shift);
      }
    }
  });

  it('countMagnitudes', () => {
    for (const { bytes } of blocks) {
      const count = bytes.length / width;
      for (const at of [0, count >> 1, count - 1].filter((i) => i >= 0 && i < count)) {
        const magnitude = magnitudeAt(bytes, at, width);
        here.kernels[`countMagnitudes${width === 4 ? 32 : 64}`](
          inSlot(bytes),
          count,
          magnitude,
          here.results.at,
        );
        const [below, equal] = new Uint32Array(here.results.values.buffer, here.results.at, 2);
        expect({ below, equal }).toEqual(countMagnitudes(bytes, width, magnitude));
      }
    }
  });
});

it('nearMagnitudes32 equals its reference', () => {
  for (const { bytes } of blocks) {
    const count = bytes.length / 4;
    const own = count === 0 ? [] : [magnitudeAt(bytes, count >> 1, 4)];
    for (const from of [0n, 0x7fffffffn, ...own, ...own.map((at) => (at > 9n ? at - 9n : 0n))]) {
      here.digits.values.fill(0);
      here.kernels.nearMagnitudes32(inSlot(bytes), count, from, here.digits.at, here.results.at);
      const expected = nearMagnitudes(bytes, from);
      expect(new Uint32Array(here.results.values.buffer, here.results.at, 1)[0]).toBe(expected.below);
      expect(Buffer.compare(Buffer.from(here.digits.values), Buffer.from(expected.counts))).toBe(0);
    }
  }
});

describe.each([2, 4, 8] as const)('zeroBelow on floats of %s bytes', (width) => {
  it('equals its reference and touches nothing behind', () => {
    const limits = [0n, 1n, 1n << BigInt(width * 8 - 1), (1n << BigInt(width * 8 - 1)) - 1n];
    for (const { bytes } of blocks) {
      const count = bytes.length / width;
      const own = count === 0 ? [] : [magnitudeAt(bytes, count >> 1, width)];
      for (const limit of [...limits, ...own]) {
        const expected = bytes.slice();
        zeroBelow(expected, width, limit);
        const at = inSlot(bytes);
        here.kernels[`zeroBelow${width === 2 ? 16 : width === 4 ? 32 : 64}`](at, count, limit);
        expect(Buffer.compare(here.slot(0).bytes.subarray(0, bytes.length), expected)).toBe(0);
        expect(
          here
            .slot(0)
            .bytes.subarray(bytes.length, bytes.length + 64)
            .every((byte) => byte === 0xa5),
        ).toBe(true);
      }
    }
  });
});

describe.each([2, 4, 8] as const)('patterns on floats of %s bytes', (width) => {
  it('equal their reference', () => {
    for (const { bytes } of blocks)
      for (const [keep, of] of [
        [2, 4],
        [1, 4],
        [3, 4],
        [0, 4],
        [1, 2],
        [4, 8],
        [5, 16],
        [1, 64],
      ] as const) {
        const count = Math.floor(bytes.length / width / of) * of;
        const expected = bytes.slice(0, count * width);
        prunePattern(expected, width, 0, { length: of, stride: 1 }, { keep, of });
        const at = inSlot(bytes);
        here.kernels[`pattern${width === 2 ? 16 : width === 4 ? 32 : 64}`](
          at,
          count,
          keep,
          of,
          here.codec.work[0],
        );
        const found = here.slot(0).bytes.subarray(0, bytes.length);
        expect(Buffer.compare(found.subarray(0, count * width), expected), `${keep}:${of}`).toBe(0);
        expect(Buffer.compare(found.subarray(count * width), bytes.subarray(count * width))).toBe(0);
      }
  });
});

describe.each([2, 4, 8] as const)('patterns along an axis on floats of %s bytes', (width) => {
  it('equal their reference, from any group on', () => {
    for (const { bytes } of blocks)
      for (const [keep, of, length, stride] of [
        [2, 4, 8, 5],
        [2, 4, 7, 1],
        [2, 4, 6, 16],
        [1, 3, 9, 11],
        [0, 2, 3, 9],
        [3, 7, 20, 8],
      ] as const)
        for (const row of [0, of, Math.floor((length - 1) / of) * of].filter((at) => at < length)) {
          const start = row * stride;
          const rest = bytes.length / width - (length - row) * stride;
          if (rest < 0) continue;
          const count = (length - row) * stride + Math.floor(rest / (length * stride)) * length * stride;
          const expected = bytes.slice(0, count * width);
          prunePattern(expected, width, start, { length, stride }, { keep, of });
          const at = inSlot(bytes);
          const kernel = here.kernels[`patternAlong${width === 2 ? 16 : width === 4 ? 32 : 64}`];
          kernel(at, count, row, length, stride, keep, of, here.codec.work[0]);
          const found = here.slot(0).bytes.subarray(0, bytes.length);
          const what = `${keep}:${of} of ${length} × ${stride} from ${row}`;
          expect(Buffer.compare(found.subarray(0, count * width), expected), what).toBe(0);
          expect(Buffer.compare(found.subarray(count * width), bytes.subarray(count * width))).toBe(0);
        }
  });
});
