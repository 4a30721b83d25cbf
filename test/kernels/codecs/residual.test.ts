import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { DType } from '../../../src/core/dtype.js';
import { shapeOf } from '../../../src/kernels/codecs/bench.js';
import * as reference from '../../../src/kernels/reference/residual.js';
import { mutations, prefixes } from '../../support/mutate.js';
import { bytesOf } from '../samples.js';
import { expectBytes, expectEstimate, fences, residualDecode, residualEncode } from './harness.js';
import { bytesAs, COUNTS, edges, gaussian, mostly, noise, stepped, withChanges } from './samples.js';

type Shape = reference.ResidualShape;

const SHAPES = (['f32', 'bf16', 'f16', 'f8_e4m3fn', 'f8_e5m2', 'i32', 'u16', 'u8'] as DType[]).map(
  (dtype): readonly [DType, Shape] => {
    const { width, shift } = shapeOf(dtype, 0);
    if (width === 8) throw new Error('no differences of eight bytes');
    return [dtype, { width, shift }];
  },
);

function check(next: Uint8Array, base: Uint8Array, { width, shift }: Shape, what: string): void {
  const coded = residualEncode(next, base, width, shift);
  if (width === 1 || next.length < width * 131072) expectEstimate(coded, what);
  expectBytes(coded.bytes, reference.encodeResidual(next, base, { width, shift }), what);
  expectBytes(residualDecode(coded.bytes, base, width, shift), next, what);
}

/** What a chunk may become. */
const changes: readonly [string, (base: Uint8Array, width: 1 | 2 | 4, seed: number) => Uint8Array][] = [
  ['nothing', (base) => base],
  ['a small step', (base, width, seed) => stepped(base, width, 3, seed)],
  ['a large step', (base, width, seed) => stepped(base, width, 5000, seed)],
  ['a few others', (base, width, seed) => withChanges(base, width, 0.02, seed)],
  ['half of them', (base, width, seed) => withChanges(base, width, 0.5, seed)],
  ['anything', (base, _, seed) => noise(base.length, seed)],
  ['the other sign', (base, width) => base.map((byte, i) => (i % width === width - 1 ? byte ^ 0x80 : byte))],
  ['all bits turned over', (base) => base.map((byte) => ~byte)],
  ['zeros', (base) => new Uint8Array(base.length)],
];

describe.each(SHAPES)('differences of %s', (dtype, shape) => {
  const { width } = shape;
  const bases = (count: number): Uint8Array[] => [
    shape.shift > 0 ? bytesAs(dtype, gaussian(count, count)) : stepped(noise(count * width, 3), width, 1),
    noise(count * width, count),
    edges(Math.ceil((count * width) / 4), count).slice(0, count * width),
    mostly(count * width, 10, count),
    new Uint8Array(count * width).fill(0x3c),
  ];

  it.each(changes)('become %s: as the reference has it, and back', (what, change) => {
    // Each length with some of the kinds, each kind with lengths of all sorts.
    for (const [i, count] of COUNTS.entries())
      for (const [kind, base] of bases(count).entries())
        if ((i + kind) % 3 === 0)
          check(change(base, width, count), base, shape, `${what}, ${count} elements, base ${kind}`);
  });

  it('of many elements', () => {
    for (const count of [2 ** 17 - 1, 2 ** 17 + 3]) {
      const [base = new Uint8Array()] = bases(count);
      check(stepped(base, width, 20, count), base, shape, `step, ${count} elements`);
    }
  });
});

describe('differences', () => {
  it.each([
    [2, 'bf16'],
    [4, 'f32'],
  ] as const)(
    'of whole chunks of %d bytes an element are counted by a sample, which misses what comes',
    (width, dtype) => {
      const count = 2 ** 20 / width;
      const base = bytesAs(dtype, gaussian(count));
      const shape = { width, shift: width === 2 ? 8 : 24 };
      check(stepped(base, width, 6), base, shape, 'step');
      // What is counted does not change; what is not counted changes by everything, and has other exponents.
      const seen = (at: number): boolean => Math.floor(at / width) % (16384 / width) < 1024;
      const [one, other] = [noise(base.length, 5), noise(base.length, 6)];
      const next = base.map((byte, at) => (seen(at) ? byte : (one[at] ?? 0)));
      const before = base.map((byte, at) => (seen(at) ? byte : (other[at] ?? 0)));
      check(next, before, shape, 'unseen');
    },
  );

  it('of two bytes that share one table are read several at a time, long ones among them', () => {
    const count = 40_003;
    const integers = { width: 2, shift: 0 } as const;
    const words = (next: (i: number, x: number) => number, from: Uint8Array): Uint8Array =>
      bytesOf(Uint16Array.from(new Uint16Array(from.slice().buffer), (x, i) => next(i, x)));
    const base = noise(count * 2, 11);
    const floats = bytesAs('bf16', gaussian(count));
    const one = (i: number, x: number): number => x + ((i * 2654435761) % 7 < 3 ? 1 : -1);
    check(words(one, floats), floats, { width: 2, shift: 8 }, 'a unit');
    check(words(one, base), base, integers, 'a unit, integers');
    check(
      words((_, x) => x + 3, base),
      base,
      integers,
      'the same for all',
    );
    check(base, base, integers, 'nothing');
    const rare = (far: number) => (i: number, x: number) => (i % 97 === 0 ? x + far : one(i, x));
    for (const far of [0x8000, 0x7fff, -900, 40]) check(words(rare(far), base), base, integers, `${far}`);
    check(stepped(base, 2, 20_000), base, integers, 'long ones mostly');

    const good = residualEncode(words(rare(900), base), base, 2, 0).bytes;
    const around = fences();
    for (const bytes of [...prefixes(good, 60), ...mutations(good, 300, 'one table')])
      residualDecode(bytes, base, 2, 0);
    around.check();
  });

  it('of whole chunks of f32 and u8', () => {
    const base = bytesAs('f32', gaussian(2 ** 18));
    check(stepped(base, 4, 2 ** 20), base, { width: 4, shift: 24 }, 'f32');
    check(noise(2 ** 20, 2), noise(2 ** 20, 3), { width: 1, shift: 0 }, 'u8');
  });

  it('of every exponent there is, all equally often, keep their last one', () => {
    for (const [width, each] of [
      [4, 1],
      [4, 9],
      [2, 5],
    ] as const) {
      const shape = { width, shift: width === 4 ? 24 : 8 };
      const elements = Array.from(
        { length: 256 * each },
        (_, i) => (i % 256) * (width === 4 ? 2 ** 23 : 2 ** 7),
      );
      const base = bytesOf(width === 4 ? Uint32Array.from(elements) : Uint16Array.from(elements));
      const moved = elements.map((x, i) => x + (i % 256 === 255 ? 100 : i % 3));
      const next = bytesOf(width === 4 ? Uint32Array.from(moved) : Uint16Array.from(moved));
      check(next, base, shape, `${width} bytes, ${each} times`);
    }
  });

  it('of the smallest and the largest element', () => {
    for (const [, { width, shift }] of SHAPES) {
      const ends = [0, 0xff, 0x7f, 0x80].map((last) =>
        new Uint8Array(width).fill(last === 0x7f ? 0xff : last === 0x80 ? 0 : last).fill(last, width - 1),
      );
      const base = Buffer.concat(ends.flatMap((x) => ends.map(() => x)));
      const next = Buffer.concat(ends.flatMap(() => ends));
      check(new Uint8Array(next), new Uint8Array(base), { width, shift }, `${width} bytes`);
    }
  });

  it('of anything', () => {
    const property = fc.property(
      fc.constantFrom(...SHAPES),
      fc.uint8Array({ minLength: 4, maxLength: 600 }),
      fc.uint8Array({ minLength: 4, maxLength: 600 }),
      fc.nat(20),
      ([dtype, shape], one, two, equal) => {
        const length = Math.min(one.length, two.length) & ~3;
        const next = one.slice(0, length);
        const base = two.slice(0, length);
        next.set(base.subarray(0, equal * 4));
        check(next, base, shape, dtype);
      },
    );
    fc.assert(property, { numRuns: 300, seed: 1 });
  });
});

describe('stored differences that are none', () => {
  const count = 600;
  const base = bytesAs('f32', gaussian(count));
  const good = residualEncode(stepped(base, 4, 900), base, 4, 24).bytes;

  it('are refused or give other elements, and nothing else is written', () => {
    const around = fences();
    let refused = 0;
    const bad = [
      ...prefixes(good, 300),
      ...mutations(good, 600, 'residual'),
      ...Array.from({ length: 200 }, (_, seed) => noise(seed * 7, seed + 1)),
      ...Array.from({ length: 200 }, (_, seed) => Uint8Array.of(1 + (seed % 16), ...noise(500, seed + 1))),
    ];
    for (const bytes of bad)
      for (const [, { width, shift }] of SHAPES) if (!residualDecode(bytes, base, width, shift)) refused++;
    around.check();
    expect(refused).toBeGreaterThan(bad.length * 6);
  });

  it('with one byte too many or too few are refused', () => {
    expect(residualDecode(good.subarray(0, -1), base, 4, 24)).toBe(undefined);
    expect(residualDecode(Buffer.concat([good, Uint8Array.of(0)]), base, 4, 24)).toBe(undefined);
    expect(reference.decodeResidual(good.subarray(0, -1), base, { width: 4, shift: 24 })).toBe(undefined);
  });

  it('the reference reads what the kernel writes', () => {
    for (const [dtype, shape] of SHAPES)
      for (const n of COUNTS.filter((_, i) => i % 7 === 0)) {
        const from = noise(n * shape.width, n);
        const next = stepped(from, shape.width, 9, n);
        const { bytes } = residualEncode(next, from, shape.width, shape.shift);
        expectBytes(reference.decodeResidual(bytes, from, shape), next, `${dtype}, ${n} elements`);
      }
  });
});
