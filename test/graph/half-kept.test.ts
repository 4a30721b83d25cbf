import { describe, expect, it } from 'vitest';
import { change, converted, feed, floats, integers, node, resultsOf, typesOf } from './half-support.js';

const x4 = { x: feed([0.5, -1.25, 2, 3]) };

describe('f16: what stays in f32', () => {
  it('scales of Resize, Range, sequences, operators of other domains', async () => {
    const made = await converted({
      nodes: [
        node('Relu', ['x'], ['a']),
        node('Resize', ['a', '', 'scales'], ['b'], { mode: 'nearest' }),
        node('Range', ['zero', 'four', 'one'], ['r']),
        node('Mul', ['b', 'r'], ['c']),
        node('SequenceConstruct', ['c', 'b'], ['q']),
        node('SequenceAt', ['q', 'i'], ['d']),
        { ...node('Inverse', ['m'], ['inverse']), domain: 'com.microsoft' },
        node('Add', ['d', 'b'], ['e']),
        node('ReduceSum', ['inverse'], ['f'], { keepdims: 0n }),
        node('Add', ['e', 'f'], ['y']),
      ],
      inputs: ['x[1,1,2,2]'],
      outputs: ['y[1,1,4,4]'],
      constants: [
        floats('scales', [1, 1, 2, 2]),
        ...[0, 4, 1].map((value, i) => floats(['zero', 'four', 'one'][i] ?? '', [value], [])),
        integers('i', [0], []),
        floats('m', [2, 0, 0, 4], [2, 2]),
      ],
      domains: ['com.microsoft'],
    });
    expect(typesOf(made.model)).toMatchObject({ scales: 'f32', zero: 'f32', m: 'f32' });
    expect(made.lines).toContain('Resize(a, , scales) -> b');
    expect(made.lines).toContain('Range(zero, four, one) -> r');
    expect(made.lines).toContain('Cast:10(d) -> d_f16');
    expect(await change(made, { x: feed([1, 2, 3, 4], [1, 1, 2, 2]) })).toBeLessThan(0.05);
  });

  it('scattering that adds up, which the runtime does in f32 only', async () => {
    const sample = (reduction: string) => ({
      opset: 18,
      nodes: [
        node('Relu', ['x'], ['a']),
        node('ScatterElements', ['a', 'i', 'w'], ['b'], { axis: 0n, reduction }),
        node('Mul', ['b', 'w'], ['y']),
      ],
      inputs: ['x[4]'],
      outputs: ['y[4]'],
      constants: [floats('w', [0.5, 1, 2, 4]), integers('i', [3, 2, 1, 0])],
    });
    for (const reduction of ['add', 'mul']) {
      const made = await converted(sample(reduction));
      expect(made.lines.find((line) => line.startsWith('Scatter'))).toContain(', i, w)');
      expect(await change(made, x4)).toBeLessThan(0.02);
    }
    const plain = await converted(sample('none'));
    expect(await change(plain, x4)).toBeLessThan(0.02);
  });

  it('operators that got f16 in a later version', async () => {
    const sample = (opset: number) => ({
      opset,
      nodes: [
        node('IsInf', ['x'], ['b']),
        node('Cast', ['b'], ['c'], { to: 1n }),
        node('Add', ['c', 'x'], ['y']),
      ],
      inputs: ['x[4]'],
      outputs: ['y[4]'],
    });
    expect((await converted(sample(17))).lines).toContain('IsInf(x) -> b');
    expect((await converted(sample(20))).lines).toContain('IsInf(x_f16) -> b');
  });

  it('what the user says', async () => {
    const made = await converted(
      { nodes: [node('Relu', ['x'], ['a']), node('Neg', ['a'], ['y'])], inputs: ['x[4]'], outputs: ['y[4]'] },
      { blockedOperators: ['Relu', 'Neg'] },
    );
    expect(made.lines).toEqual(['Relu(x) -> a', 'Neg(a) -> y']);
  });

  it('takers of constants that are too large or too small', async () => {
    const made = await converted({
      nodes: [
        node('Mul', ['x', 'big'], ['a']),
        node('Mul', ['a', 'small'], ['b']),
        node('Reshape', ['big2', 'shape'], ['c']),
        node('Div', ['b', 'c'], ['d']),
        node('Neg', ['d'], ['y']),
      ],
      inputs: ['x[4]'],
      outputs: ['y[4]'],
      constants: [
        floats('big', [1e6, 1, 1, 1]),
        floats('small', [1e-9], []),
        floats('big2', [70000, 1, 1, 1], [1, 4]),
        integers('shape', [4]),
      ],
    });
    expect(typesOf(made.model)).toMatchObject({ big: 'f32', small: 'f32', big2: 'f32' });
    expect(made.lines).toContain('Div(b, c) -> d');
    expect(made.lines).toContain('Neg(d_f16) -> y_f16');
    const told = made.findings.filter(({ code }) => code === 'OUT_OF_RANGE');
    expect(told.map(({ subject }) => subject).sort()).toEqual(['big', 'big2', 'small']);
    expect(await change(made, x4)).toBeLessThan(0.01);
  });

  it('norms: sums of squares and what is added to them', async () => {
    const made = await converted({
      nodes: [
        node('Pow', ['x', 'two'], ['a']),
        node('ReduceMean', ['a'], ['b'], { axes: [0n] }),
        node('Add', ['b', 'eps'], ['c']),
        node('Sqrt', ['c'], ['d']),
        node('Div', ['x', 'd'], ['e']),
        node('Mul', ['e', 'w'], ['y']),
      ],
      inputs: ['x[4]'],
      outputs: ['y[4]'],
      constants: [floats('two', [2], []), floats('eps', [1e-12], []), floats('w', [1, 2, 3, 4])],
    });
    expect(made.lines).toContain('Div(x, d) -> e');
    expect(made.lines).toContain('Mul(e_f16, w) -> y_f16');
    expect(await change(made, { x: feed([400, -300, 500, 600]) })).toBeLessThan(0.01);
    expect(await resultsOf(made.bytes, { x: feed([0, 0, 0, 0]) })).toEqual([0, 0, 0, 0]);
  });

  it('sizes and positions past 2048', async () => {
    const made = await converted({
      nodes: [
        node('Range', ['from', 'to', 'step'], ['r']),
        node('Cast', ['r'], ['p'], { to: 1n }),
        node('Mul', ['p', 'frequency'], ['angle']),
        node('Cos', ['angle'], ['c']),
        node('Mul', ['x', 'c'], ['y']),
        node('Mul', ['p', 'frequency'], ['size']),
        node('Floor', ['size'], ['floor']),
        node('Cast', ['floor'], ['n'], { to: 7n }),
      ],
      inputs: ['x[4]'],
      outputs: ['y[4]', 'n:i64[4]'],
      constants: [
        integers('from', [5001], []),
        integers('to', [5005], []),
        integers('step', [1], []),
        floats('frequency', [0.75], []),
      ],
    });
    expect(made.lines).toContain('Cos(angle) -> c');
    expect(made.lines).toContain('Cast:1(r) -> p');
    expect(await change(made, x4)).toBeLessThan(0.01);
  });
});
