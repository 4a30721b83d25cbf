import { Tensor } from 'onnxruntime-node';
import { describe, expect, it } from 'vitest';
import { readTensor } from '../../src/core/tensor.js';
import { change, converted, feed, floats, node, resultsOf, typesOf } from './half-support.js';

const x4 = { x: feed([0.5, -1.25, 2, 3]) };

describe('f16: types and casts', () => {
  it('has one cast at each border, weights in half, rounded to nearest even', async () => {
    const made = await converted({
      nodes: [node('Mul', ['x', 'w'], ['a']), node('Add', ['a', 'a'], ['y'])],
      inputs: ['x[4]'],
      outputs: ['y[4]'],
      constants: [floats('w', [1.0004883, 2, 3, 0.1])],
      values: ['a[4]'],
    });
    expect(made.lines).toEqual([
      'Cast:10(x) -> x_f16',
      'Mul(x_f16, w) -> a',
      'Add(a, a) -> y_f16',
      'Cast:1(y_f16) -> y',
    ]);
    expect(made.graph.valueInfo.map(({ type }) => type?.tensorType?.elemType)).toEqual([10]);
    const [w] = made.model.tensors;
    // 1 + 2^-11 lies halfway: the even neighbour is 1.
    expect(w && [...new Uint16Array((await readTensor(w)).buffer)]).toEqual([0x3c00, 0x4000, 0x4200, 0x2e66]);
    expect(await change(made, x4)).toBeLessThan(0.01);
  });

  it('changes inputs and outputs where it may', async () => {
    const made = await converted(
      { nodes: [node('Relu', ['x'], ['y'])], inputs: ['x[4]'], outputs: ['y[4]'] },
      { keepIo: false },
    );
    expect(made.lines).toEqual(['Relu(x) -> y']);
    expect(made.model.graph?.inputs.map(({ dtype }) => dtype)).toEqual(['f16']);
    expect(made.model.graph?.outputs.map(({ dtype }) => dtype)).toEqual(['f16']);
    const fed = { x: new Tensor('float16', Uint16Array.of(0x3c00, 0xbc00, 0, 0x4000), [4]) };
    expect(await resultsOf(made.bytes, fed)).toHaveLength(4);
  });

  it('turns casts to f32 into casts to half, and casts to half away', async () => {
    const made = await converted({
      nodes: [
        node('Cast', ['n'], ['m'], { to: 1n }),
        node('Mul', ['x', 'm'], ['a']),
        node('Cast', ['a'], ['h'], { to: 10n }),
        node('Cast', ['h'], ['b'], { to: 1n }),
        node('Add', ['b', 'x'], ['y']),
      ],
      inputs: ['x[4]', 'n:i64[4]'],
      outputs: ['y[4]'],
    });
    expect(made.lines).toContain('Cast:10(n) -> m');
    expect(made.lines.filter((line) => line.startsWith('Cast:1('))).toEqual(['Cast:1(y_f16) -> y']);
    expect(made.lines).toContain('Identity(a) -> b');
    const n = new Tensor('int64', BigInt64Array.of(1n, 2n, 3n, 4n), [4]);
    expect(await change(made, { ...x4, n })).toBeLessThan(0.05);
  });

  it('does not ask for nodes in order', async () => {
    const made = await converted({
      nodes: [
        node('Cast', ['h'], ['b'], { to: 1n }),
        node('Relu', ['b'], ['y']),
        node('Cast', ['a'], ['h'], { to: 10n }),
        node('Neg', ['x'], ['a']),
      ],
      inputs: ['x[4]'],
      outputs: ['y[4]'],
    });
    expect(made.lines).toContain('Identity(a) -> b');
    expect(await change(made, x4)).toBeLessThan(0.01);
  });

  it('casts a value once for all who take it, and a constant not at all', async () => {
    const made = await converted(
      {
        nodes: [
          node('Relu', ['x'], ['a']),
          node('Sin', ['a'], ['b']),
          node('Sin', ['a'], ['c']),
          node('Add', ['b', 'w'], ['d']),
          node('Mul', ['c', 'd'], ['e']),
          node('Max', ['e', 'w'], ['y']),
        ],
        inputs: ['x[4]'],
        outputs: ['y[4]'],
        constants: [floats('w', [0.1, 0.2, 0.3, 0.4])],
      },
      { blockedOperators: ['Sin', 'Max'] },
    );
    expect(made.lines.filter((line) => line.includes('(a)'))).toEqual(['Cast:1(a) -> a_f32']);
    expect(made.lines).toContain('Sin(a_f32) -> b');
    // Shared by a blocked node and another one: exact for the first, half for the second.
    expect(typesOf(made.model)).toEqual({ w: 'f32', w_f16: 'f16' });
    expect(await change(made, x4)).toBeLessThan(0.01);
  });

  it('finds free names for casts', async () => {
    const made = await converted({
      nodes: [
        node('Relu', ['x'], ['x_f16']),
        node('Neg', ['x_f16'], ['y_f16']),
        node('Abs', ['y_f16'], ['y']),
      ],
      inputs: ['x[4]'],
      outputs: ['y[4]'],
    });
    expect(made.lines[0]).toBe('Cast:10(x) -> x_f16_2');
    expect(made.lines.at(-1)).toBe('Cast:1(y_f16_2) -> y');
    expect(await change(made, x4)).toBeLessThan(0.01);
  });

  it('keeps results that are inputs, constants, or taken by other nodes', async () => {
    const sample = {
      nodes: [node('Mul', ['x', 'w'], ['y']), node('Neg', ['y'], ['z'])],
      inputs: ['x[4]'],
      outputs: ['y[4]', 'z[4]', 'w[4]', 'x[4]'],
      constants: [floats('w', [1, 2, 3, 0.1])],
    };
    const made = await converted(sample);
    expect(typesOf(made.model)).toMatchObject({ w: 'f32' });
    expect(made.lines).toContain('Neg(y_f16) -> z_f16');
    expect(await change(made, x4)).toBeLessThan(0.01);
    const all = await converted(sample, { keepIo: false });
    expect(all.model.graph?.outputs.map(({ dtype }) => dtype)).toEqual(['f16', 'f16', 'f16', 'f16']);
    expect(all.lines).toEqual(['Mul(x, w) -> y', 'Neg(y) -> z']);
  });

  it('leaves inputs with a default what they are, and takes those that are inputs by form only', async () => {
    const sample = {
      nodes: [node('Mul', ['x', 'w'], ['y'])],
      inputs: ['x[4]', 'w[4]'],
      outputs: ['y[4]'],
      constants: [floats('w', [1, 2, 3, 0.1])],
    };
    const made = await converted(sample);
    expect(typesOf(made.model)).toEqual({ w: 'f32' });
    expect(made.lines).toContain('Cast:10(w) -> w_f16');
    const w = feed([4, 3, 2, 1]);
    expect(await change(made, { ...x4, w })).toBeLessThan(0.01);
    const formal = await converted({ ...sample, opset: 8, ir: 3n });
    expect(typesOf(formal.model)).toEqual({ w: 'f16' });
    expect(formal.graph.input.map(({ type }) => type?.tensorType?.elemType)).toEqual([1, 10]);
    expect(await change(formal, x4)).toBeLessThan(0.01);
  });

  it('keeps integers exact that are results as f32', async () => {
    const made = await converted({
      nodes: [node('Cast', ['n'], ['m'], { to: 1n }), node('Mul', ['x', 'm'], ['y'])],
      inputs: ['x[1]', 'n:i64[1]'],
      outputs: ['m[1]', 'y[1]'],
    });
    const n = new Tensor('int64', BigInt64Array.of(4099n), [1]);
    expect(await change(made, { x: feed([0]), n })).toBe(0);
  });

  it('rewrites Constant nodes and ConstantOfShape', async () => {
    const made = await converted({
      nodes: [
        node('Constant', [], ['c'], { value: floats('c', [2, 3, 4, 5]) }),
        node('Constant', [], ['s'], { value_float: 0.5 }),
        node('ConstantOfShape', ['n'], ['f'], { value: floats('', [7], [1]) }),
        node('Mul', ['x', 'c'], ['a']),
        node('Mul', ['a', 's'], ['b']),
        node('Add', ['b', 'f'], ['y']),
      ],
      inputs: ['x[4]', 'n:i64[1]'],
      outputs: ['y[4]'],
    });
    expect(made.lines.filter((line) => line.startsWith('Cast')).length).toBe(2);
    expect(await change(made, { ...x4, n: new Tensor('int64', BigInt64Array.of(4n), [1]) })).toBeLessThan(
      0.05,
    );
  });

  it('leaves tensors that are not selected, and casts them', async () => {
    const made = await converted(
      {
        nodes: [node('Mul', ['x', 'w'], ['y'])],
        inputs: ['x[4]'],
        outputs: ['y[4]'],
        constants: [floats('w', [1, 2, 3, 0.1])],
      },
      { selects: (name) => name !== 'w' },
    );
    expect(typesOf(made.model)).toEqual({ w: 'f32' });
    expect(made.lines).toContain('Cast:10(w) -> w_f16');
  });
});

describe('f16: what onnxruntime crashes over', () => {
  it('loads transposes of batches before a MatMul', async () => {
    const made = await converted({
      nodes: [
        node('Transpose', ['x'], ['t'], { perm: [1n, 0n, 2n] }),
        node('MatMul', ['t', 'w'], ['m']),
        node('Relu', ['m'], ['y']),
      ],
      inputs: ['x[2,b,2]'],
      outputs: ['y[b,2,2]'],
      constants: [floats('w', [1, 2, 3, 0.1], [2, 2])],
    });
    expect(made.lines.slice(0, 3)).toEqual([
      'Transpose(x) -> t',
      'Cast:10(t) -> t_f16',
      'MatMul(t_f16, w) -> m',
    ]);
    expect(await change(made, { x: feed([1, 2, 3, 4], [2, 1, 2]) })).toBeLessThan(0.01);
  });

  it('runs recurrent layers with inputs left out', async () => {
    const made = await converted({
      nodes: [node('GRU', ['x', 'w', 'r', 'b', '', 'h'], ['y'], { hidden_size: 2n })],
      inputs: ['x[3,1,2]'],
      outputs: ['y[3,1,1,2]'],
      constants: [
        floats(
          'w',
          Array.from({ length: 12 }, (_, i) => Math.sin(i)),
          [1, 6, 2],
        ),
        floats(
          'r',
          Array.from({ length: 12 }, (_, i) => Math.cos(i)),
          [1, 6, 2],
        ),
        floats('b', new Array(12).fill(0.1), [1, 12]),
        floats('h', [0.1, 0.2], [1, 1, 2]),
      ],
    });
    expect(typesOf(made.model)).toEqual({ w: 'f16', r: 'f16', b: 'f16', h: 'f16' });
    expect(made.lines.at(-1)).toBe('Cast:1(y_f16) -> y');
    expect(await change(made, { x: feed([1, 2, 3, 4, 5, 6], [3, 1, 2]) })).toBeLessThan(0.01);
  });
});
