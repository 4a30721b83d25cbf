import { afterAll, describe, expect, it } from 'vitest';
import type { Model } from '../../../src/core/model.js';
import { readTensor } from '../../../src/core/tensor.js';
import type { QuantizeSettings } from '../../../src/graph/quantize/types.js';
import { decodeElements } from '../../../src/kernels/elements.js';
import { withModel } from '../../../src/operations/open.js';
import { fixture, Workshop } from './static-support.js';

const shop = new Workshop();
afterAll(() => shop.remove());
const peer = (name: string): string => fixture(`quant/static/${name}`);

/** Integers, scales and zero points by name, as numbers. */
async function numbersOf(model: Model): Promise<Map<string, readonly number[]>> {
  const found = new Map<string, readonly number[]>();
  for (const tensor of model.tensors) {
    const count = tensor.info.shape.reduce((a, b) => a * b, 1);
    const values = new Float64Array(count);
    decodeElements(tensor.info.dtype, await readTensor(tensor), count, values);
    found.set(tensor.info.name, [...values]);
  }
  return found;
}

/** Where the same thing has another name: the peer says whose scale it is, and leaves a folded Relu its producer's. */
const RELU_OF: readonly (readonly [string, string])[] = [
  ['/stem/stem.0/Conv_output_0', '/stem/stem.2/Relu_output_0'],
  ['/c1/Conv_output_0', '/Relu_output_0'],
  ['/Add_output_0', '/Relu_1_output_0'],
  ['/Add_1_output_0', '/Relu_2_output_0'],
];
function ourName(name: string): string {
  const plain = name.replace(/_quantized(_scale|_zero_point)$/, '$1');
  const [from, to] = RELU_OF.find(([conv]) => plain.startsWith(`${conv}_`)) ?? ['', ''];
  return to + plain.slice(from.length);
}

const CASES: readonly (readonly [string, Partial<QuantizeSettings>])[] = [
  ['qdq_u8s8', {}],
  ['qdq_u8s8_pc', { perChannel: true }],
  ['qdq_u8u8', { weightSign: 'unsigned' }],
  ['qdq_s8s8_symmetric', { symmetric: true }],
  ['qdq_s16s8', { activationBits: 16 }],
  ['qop_u8s8', { operators: true }],
  ['qop_u8s8_pc', { operators: true, perChannel: true }],
];

describe('integers, scales and zero points', () => {
  for (const [name, options] of CASES)
    it(`equal those of onnxruntime: ${name}`, async () => {
      const made = await shop.quantize(peer('source.onnx'), options, peer('calib.npz'));
      const ours = await withModel(made.file, {}, ({ model }) => numbersOf(model));
      const theirs = await withModel(peer(`${name}.onnx`), {}, ({ model }) => numbersOf(model));
      // The last value stays f32: integers would only lose what the kernel gives.
      for (const end of ['y_scale', 'y_zero_point']) theirs.delete(end);
      expect(theirs.size).toBeGreaterThan(30);
      for (const [their, values] of theirs) {
        const found = ours.get(ourName(their));
        // Theirs are signed in 16 bits, ours unsigned: the same integers, moved by a half.
        const moved = options.activationBits === 16 && /(?<!quantized)_zero_point$/.test(their);
        const own = moved && !/weight|Conv_\d\d_/.test(their) ? found?.map((zero) => zero - 32_768) : found;
        expect(own, their).toEqual(values);
      }
    });
});

describe('kernels of the runtime', () => {
  const folded = { QLinearConv: 5, QLinearAdd: 2, QGemm: 1, QLinearGlobalAveragePool: 1, QuantizeLinear: 1 };

  for (const [name, options] of CASES.filter(
    ([, { symmetric, activationBits }]) => !symmetric && activationBits !== 16,
  ))
    it(`are integer ones from the first to the last: ${name}`, async () => {
      const { file } = await shop.quantize(peer('source.onnx'), options, peer('calib.npz'));
      const kernels = await shop.kernels(file);
      expect(kernels).toMatchObject(folded);
      for (const op of ['Conv', 'Gemm', 'Add', 'Relu', 'DequantizeLinear'])
        expect(kernels).not.toHaveProperty(op);
    });

  it('are integer ones in classifiers of digits', async () => {
    for (const operators of [false, true]) {
      const cnn = await shop.quantize(fixture('trained/digits_cnn/model.onnx'), { operators });
      expect(await shop.kernels(cnn.file)).toMatchObject({ QLinearConv: 3, QGemm: 2, QuantizeLinear: 1 });
      const mlp = await shop.quantize(fixture('trained/digits_mlp/model.onnx'), { operators });
      expect(await shop.kernels(mlp.file)).toEqual({ Flatten: 1, QuantizeLinear: 1, QGemm: 3 });
    }
  });
});
