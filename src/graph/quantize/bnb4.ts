import type { Model } from '../../core/model.js';
import { type BlockFloat, blockFloats } from '../../kernels/quantize/block-floats.js';
import { typedCodes } from '../../kernels/quantize/codes.js';
import { GraphEdit } from '../edit.js';
import { multiplyBnb4, takesBnb4 } from './bnb4-node.js';
import { keptNotFinite } from './coded-weights.js';
import { turnedTensor } from './turned.js';
import type { Quantized, QuantizedTensor, QuantizeSettings } from './types.js';
import { weightsOf } from './weights.js';

/** Products of matrices as `com.microsoft::MatMulBnb4`; all else stays as it is. Any operator set will do. */
export async function bnb4Products(
  model: Model,
  settings: QuantizeSettings,
  format: BlockFloat,
): Promise<Quantized> {
  const edit = await GraphEdit.open(model);
  const quantized: QuantizedTensor[] = [];
  const findings = [];
  for (const weight of weightsOf(edit, settings, new Set(['MatMul']))) {
    const { name } = weight;
    const tensor = edit.tensor(name);
    if (!tensor || !takesBnb4(weight, tensor)) continue;
    const turned = turnedTensor(tensor);
    const coded = await blockFloats(turned, format, typedCodes(turned.info.shape, 'u4'));
    if (!coded) {
      findings.push(keptNotFinite(name));
      continue;
    }
    const bytesOut = multiplyBnb4(edit, weight, coded, format.block);
    const dequantized = turnedTensor(coded.dequantized);
    quantized.push({ name, scheme: format.id, dtypeOut: format.id, bytesOut, dequantized });
  }
  return quantized.length === 0
    ? { model, quantized, findings }
    : { model: edit.finish(), quantized, findings };
}
