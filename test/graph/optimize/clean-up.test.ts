import { Tensor } from 'onnxruntime-node';
import { describe, expect, it } from 'vitest';
import { type Description, f32, i64, node, optimized, value } from './support.js';

const on = (
  nodes: Description['nodes'],
  [input, output]: readonly [readonly (number | string)[], readonly (number | string)[]],
  initializers: NonNullable<Description['initializers']> = [],
): Description => ({
  nodes,
  inputs: [value('x', input)],
  outputs: [value('y', output)],
  initializers,
});

describe('cast-chains', () => {
  const chain = (
    from: 'f32' | 'i32' | 'bool' | 'i64',
    first: bigint,
    then: bigint,
    to: 'f32' | 'i64' | 'i32',
  ) => ({
    nodes: [node('Cast x > h', { to: first }), node('Cast h > y', { to: then })],
    inputs: [value('x', [6], from)],
    outputs: [value('y', [6], to)],
  });
  const [FLOAT, INT32, INT64, FLOAT16, DOUBLE] = [1n, 6n, 7n, 10n, 11n];
  it('goes around a wider type, and to nothing where it leads back', async () => {
    const there = await optimized(chain('i32', INT64, FLOAT, 'f32'), 'cast-chains dead-code');
    expect(there.ops).toBe('Cast');
    const { ops } = await optimized(
      {
        ...chain('f32', DOUBLE, FLOAT, 'f32'),
        nodes: [node('Cast x > h', { to: DOUBLE }), node('Cast h > k', { to: FLOAT }), node('Neg k > y')],
      },
      'cast-chains dead-code',
    );
    expect(ops).toBe('Neg');
    expect((await optimized(chain('bool', FLOAT, INT64, 'i64'), 'cast-chains dead-code')).ops).toBe('Cast');
  });
  it('leaves casts that lose something, or that floats take to integers', async () => {
    expect((await optimized(chain('f32', FLOAT16, FLOAT, 'f32'), 'cast-chains')).rewrites).toEqual({});
    expect((await optimized(chain('i64', INT32, INT64, 'i64'), 'cast-chains')).rewrites).toEqual({});
    expect((await optimized(chain('i64', DOUBLE, FLOAT, 'f32'), 'cast-chains')).rewrites).toEqual({});
    expect((await optimized(chain('f32', DOUBLE, INT32, 'i32'), 'cast-chains')).rewrites).toEqual({});
  });
});

describe('transposes', () => {
  const perm = (...order: number[]) => ({ perm: order.map(BigInt) });
  it('joins two in a row, and takes those out that move nothing', async () => {
    const two = [node('Transpose x > h', perm(2, 0, 1)), node('Transpose h > y', perm(1, 0, 2))];
    const joined = await optimized(
      on(two, [
        [2, 3, 4],
        [2, 4, 3],
      ]),
      'transposes dead-code',
    );
    expect(joined.nodes.map(({ opType, attribute }) => [opType, attribute[0]?.ints])).toEqual([
      ['Transpose', [0n, 2n, 1n]],
    ]);
    const back = [
      node('Transpose x > h', perm(2, 0, 1)),
      node('Transpose h > k', perm(1, 2, 0)),
      node('Neg k > y'),
    ];
    expect(
      (
        await optimized(
          on(back, [
            [2, 3, 4],
            [2, 3, 4],
          ]),
          'transposes dead-code',
        )
      ).ops,
    ).toBe('Neg');
    const still = [node('Transpose x > h', perm(0, 1)), node('Neg h > y')];
    expect(
      (
        await optimized(
          on(still, [
            ['a', 'b'],
            ['a', 'b'],
          ]),
          'transposes',
        )
      ).ops,
    ).toBe('Neg');
  });
  it('takes out a pair around elementwise operators, which nothing else takes from', async () => {
    const pair = [
      node('Transpose x > a'),
      node('Relu a > b'),
      node('LeakyRelu b > c', { alpha: 0.5 }),
      node('Transpose c > y'),
    ];
    expect(
      (
        await optimized(
          on(pair, [
            [2, 3],
            [2, 3],
          ]),
          'transposes dead-code',
        )
      ).ops,
    ).toBe('Relu LeakyRelu');
    const open = on(
      [...pair, node('Neg b > z')],
      [
        [2, 3],
        [2, 3],
      ],
    );
    const seen = { ...open, outputs: [...open.outputs, value('z', [3, 2])] };
    expect((await optimized(seen, 'transposes')).rewrites).toEqual({});
  });
  it('becomes a Reshape where only sizes of 1 move', async () => {
    const one = [node('Transpose x > y', perm(0, 2, 1, 3))];
    const { ops } = await optimized(
      on(one, [
        ['n', 1, 5, 4],
        ['n', 5, 1, 4],
      ]),
      'transposes',
    );
    expect(ops).toBe('Reshape');
    expect(
      (
        await optimized(
          on(one, [
            ['n', 2, 5, 4],
            ['n', 5, 2, 4],
          ]),
          'transposes',
        )
      ).rewrites,
    ).toEqual({});
    expect(
      (
        await optimized(
          on(one, [
            ['n', 'm', 5, 4],
            ['n', 5, 'm', 4],
          ]),
          'transposes',
        )
      ).rewrites,
    ).toEqual({});
  });
});

describe('reshapes', () => {
  it('joins what follows each other', async () => {
    const views = [
      node('Flatten x > a', { axis: 2n }),
      node('Unsqueeze a axes > b'),
      node('Reshape b shape > c'),
      node('Neg c > y'),
    ];
    const { ops, nodes } = await optimized(
      on(
        views,
        [
          ['n', 2, 6],
          ['n', 3, 4],
        ],
        [i64('axes', [0]), i64('shape', [-1, 3, 4])],
      ),
      'reshapes dead-code',
    );
    expect(ops).toBe('Reshape Neg');
    expect(nodes[0]?.input[0]).toBe('x');
  });
  it('takes out what changes no shape, and pairs that undo each other', async () => {
    const same = [node('Reshape x shape > a'), node('Neg a > y')];
    expect(
      (
        await optimized(
          on(
            same,
            [
              [2, 6],
              [2, 6],
            ],
            [i64('shape', [2, -1])],
          ),
          'reshapes',
        )
      ).ops,
    ).toBe('Neg');
    const pair = [node('Unsqueeze x axes > a'), node('Squeeze a axes > b'), node('Neg b > y')];
    const undone = await optimized(
      on(
        pair,
        [
          ['n', 'm'],
          ['n', 'm'],
        ],
        [i64('axes', [-1])],
      ),
      'reshapes dead-code',
    );
    expect(undone.ops).toBe('Neg');
    const expand = [node('Expand x shape > a'), node('Neg a > y')];
    expect(
      (
        await optimized(
          on(
            expand,
            [
              ['n', 3],
              ['n', 3],
            ],
            [i64('shape', [1, 1])],
          ),
          'reshapes',
        )
      ).ops,
    ).toBe('Neg');
  });
  it('knows one open size by the others', async () => {
    const views = [node('Reshape x there > a'), node('Reshape a back > b'), node('Neg b > y')];
    const sizes = [i64('there', [-1, 2, 2]), i64('back', [-1, 4])];
    const shapes = [
      ['n', 4],
      ['n', 4],
    ] as const;
    expect((await optimized(on(views, shapes, sizes), 'reshapes dead-code')).ops).toBe('Neg');
    const other = [i64('there', [-1, 2, 2]), i64('back', [-1, 2])];
    const left = await optimized(on(views, [shapes[0], ['m', 2]], other), 'reshapes dead-code');
    expect(left.ops).toBe('Reshape Neg');
  });
  it('leaves what may stretch or is not known', async () => {
    const expand = [node('Expand x shape > y')];
    const stretched = on(
      expand,
      [
        [1, 3],
        [2, 3],
      ],
      [i64('shape', [2, 1])],
    );
    expect((await optimized(stretched, 'reshapes')).rewrites).toEqual({});
    const given = {
      nodes: [node('Reshape x flat > a'), node('Reshape a s > y')],
      inputs: [value('x', ['n', 'm']), value('s', [2], 'i64')],
      outputs: [value('y', ['k', 'l'])],
      initializers: [i64('flat', [-1])],
    };
    const feeds = {
      x: new Tensor('float32', Float32Array.from({ length: 12 }, Math.sqrt), [3, 4]),
      s: new Tensor('int64', BigInt64Array.of(0n, 1n), [2]),
    };
    expect((await optimized(given, 'reshapes', feeds)).rewrites).toEqual({});
  });
});

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
