import { Tensor } from 'onnxruntime-node';
import { describe, expect, it } from 'vitest';
import { type Description, f32, i64, node, on, optimized } from './support.js';

describe('no-ops', () => {
  const remains = async (
    nodes: Description['nodes'],
    initializers: NonNullable<Description['initializers']> = [],
    shapes: readonly [readonly (number | string)[], readonly (number | string)[]] = [
      ['n', 4],
      ['n', 4],
    ],
  ): Promise<string> =>
    (await optimized(on([...nodes, node('Sqrt h > y')], shapes, initializers), 'no-ops dead-code')).ops;

  it('a scale of ones, but not that of a normalization, which the runtime takes as one operator', async () => {
    const ones = f32('c', [1, 1, 1, 1]);
    expect(await remains([node('Mul x c > h')], [ones])).toBe('Sqrt');
    expect(await remains([node('Exp x > e'), node('Div x e > q'), node('Mul c q > h')], [ones])).toBe(
      'Exp Div Mul Sqrt',
    );
    expect(
      await remains([node('Exp x > e'), node('Div x e > q'), node('Mul c q > h')], [f32('c', [1], [])]),
    ).toBe('Exp Div Sqrt');
  });
  it('arithmetic with what changes nothing', async () => {
    expect(await remains([node('Mul x c > h')], [f32('c', [1, 1, 1, 1])])).toBe('Sqrt');
    expect(await remains([node('Mul c x > h')], [f32('c', [1], [])])).toBe('Sqrt');
    expect(await remains([node('Div x c > h')], [f32('c', [1])])).toBe('Sqrt');
    expect(await remains([node('Pow x c > h')], [f32('c', [1], [])])).toBe('Sqrt');
    expect(await remains([node('Sub x c > h')], [f32('c', [0], [])])).toBe('Sqrt');
    expect(await remains([node('Add x c > h')], [f32('c', [-0], [])])).toBe('Sqrt');
    expect(await remains([node('Abs x > a'), node('Add a c > h')], [f32('c', [0], [])])).toBe('Abs Sqrt');
  });
  it('leaves arithmetic that makes 0 of -0, or other shapes', async () => {
    expect(await remains([node('Add x c > h')], [f32('c', [0], [])])).toBe('Add Sqrt');
    expect(await remains([node('Sub x c > h')], [f32('c', [-0], [])])).toBe('Sub Sqrt');
    expect(await remains([node('Sub c x > h')], [f32('c', [0], [])])).toBe('Sub Sqrt');
    expect(await remains([node('Div c x > h')], [f32('c', [1], [])])).toBe('Div Sqrt');
    expect(
      await remains(
        [node('Mul x c > h')],
        [f32('c', [1, 1, 1, 1], [4, 1])],
        [
          [1, 4],
          [4, 4],
        ],
      ),
    ).toBe('Mul Sqrt');
    expect(
      await remains(
        [node('Mul x c > h')],
        [f32('c', [1], [1, 1, 1])],
        [
          ['n', 4],
          [1, 'n', 4],
        ],
      ),
    ).toBe('Mul Sqrt');
    expect(await remains([node('Mul x c > h')], [f32('c', [1, 1, 1, 2])])).toBe('Mul Sqrt');
  });
  it('what is done twice, or takes back what it did', async () => {
    expect(await remains([node('Neg x > a'), node('Neg a > h')])).toBe('Sqrt');
    expect(await remains([node('Relu x > a'), node('Relu a > h')])).toBe('Relu Sqrt');
    const bounds = [
      f32('a', [-1], []),
      f32('b', [1], []),
      f32('c', [2], []),
      f32('i', [Number.POSITIVE_INFINITY], []),
    ];
    expect(await remains([node('Clip x _ i > h')], bounds)).toBe('Sqrt');
    expect(await remains([node('Clip x a b > k'), node('Clip k _ c > h')], bounds)).toBe('Clip Sqrt');
    expect(await remains([node('Clip x a c > k'), node('Clip k _ b > h')], bounds)).toBe('Clip Clip Sqrt');
  });
  it('slices, pads, tiles and gathers of everything', async () => {
    const most = 2 ** 62;
    const ints = [i64('zero', [0]), i64('most', [most]), i64('one', [1]), i64('axis', [1]), i64('four', [4])];
    expect(await remains([node('Slice x zero most > h')], ints)).toBe('Sqrt');
    expect(await remains([node('Slice x zero four axis > h')], ints)).toBe('Sqrt');
    expect(
      await remains([node('Slice x one most axis > h')], ints, [
        ['n', 4],
        ['n', 3],
      ]),
    ).toBe('Slice Sqrt');
    const back = [...ints, i64('last', [-1]), i64('least', [-most]), i64('step', [-1])];
    expect(await remains([node('Slice x last least axis step > h')], back)).toBe('Slice Sqrt');
    expect(await remains([node('Pad x p > h')], [i64('p', [0, 0, 0, 0])])).toBe('Sqrt');
    expect(await remains([node('Tile x p > h')], [i64('p', [1, 1])])).toBe('Sqrt');
    expect(await remains([node('Gather x p > h', { axis: 1n })], [i64('p', [0, 1, 2, 3])])).toBe('Sqrt');
    expect(await remains([node('Gather x p > h', { axis: 1n })], [i64('p', [0, 1, 3, 2])])).toBe(
      'Gather Sqrt',
    );
    expect(await remains([node('Split x > h', { num_outputs: 1n })])).toBe('Sqrt');
  });
  it('reductions over sizes of 1, with -0', async () => {
    const shapes = [
      ['n', 4, 1],
      ['n', 4, 1],
    ] as const;
    for (const op of ['ReduceMax', 'ReduceMin', 'ReduceProd', 'ReduceMean', 'ReduceSum'])
      expect(await remains([node(`${op} x axes > h`)], [i64('axes', [-1])], shapes), op).toBe('Sqrt');
    expect(
      await remains(
        [node('ReduceSum x axes > h')],
        [i64('axes', [1])],
        [
          ['n', 4],
          ['n', 1],
        ],
      ),
    ).toBe('ReduceSum Sqrt');
  });
  it('resizes to the same size', async () => {
    const image = [
      [1, 2, 3, 3],
      [1, 2, 3, 3],
    ] as const;
    const cubic = { mode: 'cubic', coordinate_transformation_mode: 'pytorch_half_pixel' };
    expect(await remains([node('Resize x _ s > h', cubic)], [f32('s', [1, 1, 1, 1])], image)).toBe('Sqrt');
    expect(await remains([node('Resize x _ _ s > h', cubic)], [i64('s', [1, 2, 3, 3])], image)).toBe('Sqrt');
    expect(await remains([node('Resize x _ s > h', cubic)], [f32('s', [1, 1, 1, 1.1])], image)).toBe(
      'Resize Sqrt',
    );
  });
  it('keeps names of outputs, and values that are NaN', async () => {
    const nan = new Tensor('float32', Float32Array.of(Number.NaN, -0, 1, Number.POSITIVE_INFINITY), [1, 4]);
    const model = on(
      [node('Relu x > h'), node('Mul h c > y')],
      [
        ['n', 4],
        ['n', 4],
      ],
      [f32('c', [1], [])],
    );
    const { nodes } = await optimized(model, 'no-ops', { x: nan });
    expect(nodes.map(({ opType, output }) => [opType, output])).toEqual([['Relu', ['y']]]);
    const whole = on(
      [node('Mul x c > y')],
      [
        ['n', 4],
        ['n', 4],
      ],
      [f32('c', [1], [])],
    );
    expect((await optimized(whole, 'no-ops')).ops).toBe('Mul');
  });
});
