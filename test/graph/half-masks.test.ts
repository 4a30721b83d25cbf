import { Tensor } from 'onnxruntime-node';
import { describe, expect, it } from 'vitest';
import { readTensor } from '../../src/core/tensor.js';
import { change, codes, converted, feed, floats, integers, node, resultsOf } from './half-support.js';

const LOWEST = -3.4028234663852886e38;
const x4 = { x: feed([0.5, -1.25, 2, 3]) };

describe('f16: masks', () => {
  it.each([
    ['Where', LOWEST, [node('Where', ['hide', 'low', 'x'], ['a'])]],
    [
      'Add',
      LOWEST,
      [
        node('Cast', ['hide'], ['h'], { to: 1n }),
        node('Mul', ['h', 'low'], ['m']),
        node('Add', ['x', 'm'], ['a']),
      ],
    ],
    [
      'Add of -1e9',
      -1e9,
      [
        node('Cast', ['hide'], ['h'], { to: 1n }),
        node('Mul', ['h', 'low'], ['m']),
        node('Add', ['x', 'm'], ['a']),
      ],
    ],
  ] as const)('%s: clamped, and told', async (_, low, nodes) => {
    const made = await converted({
      nodes: [...nodes, node('Softmax', ['a'], ['y'])],
      inputs: ['x[4]', 'hide:bool[4]'],
      outputs: ['y[4]'],
      constants: [floats('low', [low], [])],
    });
    const [tensor] = made.model.tensors;
    expect(tensor && [...new Uint16Array((await readTensor(tensor)).buffer)]).toEqual([0xfbff]);
    expect(codes(made.findings)).toContain('MASK_CLAMPED');
    const hide = (...bits: number[]) => ({ ...x4, hide: new Tensor('bool', Uint8Array.from(bits), [4]) });
    expect(await change(made, hide(1, 0, 1, 0))).toBeLessThan(1e-3);
    expect((await resultsOf(made.bytes, hide(1, 1, 1, 1))).every(Number.isFinite)).toBe(true);
  });

  it('bounds of Clip and fillings of ConstantOfShape', async () => {
    const made = await converted({
      nodes: [
        node('Clip', ['x', 'zero', 'highest'], ['a']),
        node('ConstantOfShape', ['n'], ['low'], { value: floats('', [LOWEST], [1]) }),
        node('Where', ['hide', 'low', 'a'], ['b']),
        node('Softmax', ['b'], ['y']),
      ],
      inputs: ['x[4]', 'hide:bool[4]'],
      outputs: ['y[4]'],
      constants: [floats('zero', [0], []), floats('highest', [-LOWEST], []), integers('n', [4])],
    });
    expect(codes(made.findings).filter((code) => code === 'MASK_CLAMPED')).toHaveLength(2);
    const hide = new Tensor('bool', Uint8Array.of(0, 1, 0, 0), [4]);
    expect(await change(made, { ...x4, hide })).toBeLessThan(1e-3);
  });

  it('leaves infinity as it is', async () => {
    const made = await converted({
      nodes: [node('Where', ['hide', 'low', 'x'], ['a']), node('Softmax', ['a'], ['y'])],
      inputs: ['x[4]', 'hide:bool[4]'],
      outputs: ['y[4]'],
      constants: [floats('low', [-Infinity], [])],
    });
    const [tensor] = made.model.tensors;
    expect(tensor && [...new Uint16Array((await readTensor(tensor)).buffer)]).toEqual([0xfc00]);
    expect(codes(made.findings)).not.toContain('MASK_CLAMPED');
  });
});
