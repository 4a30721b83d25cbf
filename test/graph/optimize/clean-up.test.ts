import { Tensor } from 'onnxruntime-node';
import { describe, expect, it } from 'vitest';
import { i64, node, on, optimized, value } from './support.js';

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
