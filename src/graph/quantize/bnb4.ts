import type { WorkContext } from '../../core/format.js';
import type { Model } from '../../core/model.js';
import type { TensorSource } from '../../core/tensor.js';
import { type BlockFloat, blockFloats } from '../../kernels/quantize/block-floats.js';
import { type BlockFloatJob, quantizeBlockFloats } from '../../kernels/quantize/block-floats-pool.js';
import { typedCodes } from '../../kernels/quantize/codes.js';
import { GraphEdit } from '../edit.js';
import { multiplyBnb4, takesBnb4 } from './bnb4-node.js';
import { keptNotFinite } from './coded-weights.js';
import { foreseeOthers } from './foresee.js';
import { turnedTensor } from './turned.js';
import type { Quantized, QuantizedTensor, QuantizeSettings } from './types.js';
import { type Weight, weightsOf } from './weights.js';

/** A weight, and how it is coded: turned, for blocks run along what is summed over. */
interface Product {
  readonly weight: Weight;
  readonly job: BlockFloatJob & { readonly turned: TensorSource };
}

/** Products of matrices as `com.microsoft::MatMulBnb4`; all else stays as it is. Any operator set will do. */
export async function bnb4Products(
  model: Model,
  settings: QuantizeSettings,
  format: BlockFloat,
  context: WorkContext | undefined,
): Promise<Quantized> {
  const edit = await GraphEdit.open(model);
  const products = productsOf(edit, settings, format);
  const quantized: QuantizedTensor[] = [];
  const findings = [];
  const jobs = products.map(({ job }) => job);
  if (context) foreseeOthers(model, jobs, context);
  // What the pool cannot make by itself is streamed.
  const pooled = context && (await quantizeBlockFloats(jobs, context));
  for (const { weight, job } of products) {
    const { name } = weight;
    const done = pooled?.done.get(name);
    const coded = done ? done.coded : await blockFloats(job.turned, format, job.packing);
    if (!coded) {
      findings.push(keptNotFinite(name));
      continue;
    }
    const bytesOut = multiplyBnb4(edit, weight, coded, format.block);
    const dequantized = turnedTensor(coded.dequantized);
    const facts = { name, scheme: format.id, dtypeOut: format.id, bytesOut, dequantized };
    quantized.push({ ...facts, ...(done?.loss ? { loss: done.loss } : {}) });
  }
  const release = pooled ? { release: pooled.release } : {};
  return { model: quantized.length === 0 ? model : edit.finish(), quantized, findings, ...release };
}

const productsOf = (edit: GraphEdit, settings: QuantizeSettings, format: BlockFloat): readonly Product[] =>
  weightsOf(edit, settings, new Set(['MatMul'])).flatMap((weight): Product[] => {
    const tensor = edit.tensor(weight.name);
    if (!tensor || !takesBnb4(weight, tensor)) return [];
    const [k = 0, n = 0] = weight.shape;
    const packing = typedCodes([n, k], 'u4');
    return [{ weight, job: { tensor, format, packing, turned: turnedTensor(tensor) } }];
  });
