import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import * as reference from '../../../src/kernels/reference/plane-codes.js';
import { joinPlanes, splitPlanes } from '../../../src/kernels/reference/planes.js';
import { mutations, prefixes } from '../../support/mutate.js';
import { bytesOf, floats, KINDS } from '../samples.js';
import {
  bench,
  expectBytes,
  expectEstimate,
  fences,
  planeDecode,
  planeEncode,
  planeSample,
} from './harness.js';
import { bytesAs, COUNTS, gaussian, mostly, noise } from './samples.js';

const SPLIT = { 2: 'splitPlanes2', 4: 'splitPlanes4', 8: 'splitPlanes8' } as const;
const JOIN = { 2: 'joinPlanes2', 4: 'joinPlanes4', 8: 'joinPlanes8' } as const;

describe('byte planes', () => {
  const { kernels, raw, a, b } = bench;

  it.each([2, 4, 8] as const)('of elements of %d bytes are those of the reference, and go back', (width) => {
    for (const kind of KINDS)
      for (const count of [0, ...COUNTS]) {
        const bytes = bytesOf(floats(kind, count * 2, count + 1)).subarray(0, count * width);
        raw.bytes.set(bytes);
        for (const { bytes: area } of [a, b]) area.fill(0x77, 0, bytes.length + 64);
        kernels[SPLIT[width]](raw.at, a.at, count);
        kernels[JOIN[width]](a.at, b.at, count);
        const planes = a.bytes.slice(0, bytes.length);
        expectBytes(planes, splitPlanes(bytes, width));
        expectBytes(b.bytes.slice(0, bytes.length), bytes);
        expectBytes(joinPlanes(planes, width), bytes);
        for (const { bytes: area } of [a, b])
          expectBytes(area.slice(bytes.length, bytes.length + 64), new Uint8Array(64).fill(0x77));
      }
  });

  it('have the exponent of f32 and bf16 as the last one, and the sign in the lowest bit of the first', () => {
    const planes = splitPlanes(bytesOf(Float32Array.of(1, -0.5, 3)), 4);
    expect([...planes.slice(9)]).toEqual([127, 126, 128]);
    expect([...planes.slice(0, 3)]).toEqual([0, 1, 0]);
  });
});

function check(plane: Uint8Array, what = ''): void {
  const coded = planeEncode(plane);
  expectBytes(coded.bytes, reference.encodePlane(plane), what);
  if (!coded.bytes) return;
  expectEstimate(coded, what);
  expectBytes(planeDecode(coded.bytes, plane.length), plane, what);
}

/** Planes of all kinds. */
const planes = (count: number): Uint8Array[] => [
  noise(count, count),
  mostly(count, 2, count),
  mostly(count, 1000, count),
  noise(count, count).map((byte) => byte & 3),
  noise(count, count).map((byte) => Math.clz32(byte)),
  splitPlanes(bytesAs('f32', gaussian(count, count)), 4).slice(3 * count),
  new Uint8Array(count).fill(9),
  Uint8Array.from({ length: count }, (_, i) => i),
];

describe('codes of planes', () => {
  it('are those of the reference at every length, and go back', () => {
    for (const count of COUNTS)
      for (const [kind, plane] of planes(count).entries()) check(plane, `${count} bytes of kind ${kind}`);
  });

  it('are those of the reference for large planes', () => {
    for (const count of [2 ** 17 + 3, 2 ** 20])
      for (const [kind, plane] of planes(count).entries())
        if ([0, 2, 5].includes(kind)) check(plane, `${count} bytes of kind ${kind}`);
  });

  it('are none where all bytes are the same, or there are none', () => {
    expect(planeEncode(new Uint8Array()).bytes).toBe(undefined);
    expect(planeEncode(new Uint8Array(1000).fill(3)).bytes).toBe(undefined);
  });

  it('of anything', () => {
    const symbols = fc.oneof(fc.uint8Array({ minLength: 1, maxLength: 2000 }), fc.array(fc.nat(4)));
    fc.assert(
      fc.property(symbols, (plane) => check(Uint8Array.from(plane))),
      { numRuns: 300, seed: 1 },
    );
  });

  it('are judged by a sample: all of a small plane, a sixteenth of a large one', () => {
    for (const count of [0, 1, 255, 256, 257, 4096, 65536, 65537, 65800, 2 ** 17 + 3, 2 ** 20])
      for (const plane of planes(count)) expect(planeSample(plane)).toBe(reference.samplePlane(plane));
  });
});

describe('stored planes that are none', () => {
  const plane = planes(3000)[5] ?? new Uint8Array();
  const good = planeEncode(plane).bytes ?? new Uint8Array();

  it('are refused or give other bytes, and nothing else is written', () => {
    const around = fences();
    let refused = 0;
    const bad = [
      ...prefixes(good, 500),
      ...mutations(good, 1000, 'plane'),
      ...Array.from({ length: 300 }, (_, seed) => noise(seed * 5, seed + 1)),
      // Codes that have holes.
      ...Array.from({ length: 300 }, (_, seed) =>
        Uint8Array.of(0, 255, ...noise(900, seed + 1).map((x) => x & 0xbb)),
      ),
    ];
    for (const bytes of bad) for (const n of [1, 3, 64, 3000, 200_000]) if (!planeDecode(bytes, n)) refused++;
    around.check();
    expect(refused).toBeGreaterThan(bad.length * 4.5);
  });

  it('cut off, continued or of another length are refused, by the reference too', () => {
    for (const decode of [planeDecode, reference.decodePlane]) {
      expect(decode(good.subarray(0, -1), 3000)).toBe(undefined);
      expect(decode(Buffer.concat([good, Uint8Array.of(0)]), 3000)).toBe(undefined);
      expect(decode(good, 2000)).toBe(undefined);
      expect(decode(good, 4000)).toBe(undefined);
      expectBytes(decode(good, 3000), plane);
    }
  });

  it('take no longer than good ones', () => {
    const started = performance.now();
    for (let seed = 1; seed < 30; seed++) planeDecode(noise(50_000, seed), 1 << 20);
    for (const bytes of mutations(good, 30, 'slow')) planeDecode(bytes, 1 << 20);
    expect(performance.now() - started).toBeLessThan(5000);
  });
});
