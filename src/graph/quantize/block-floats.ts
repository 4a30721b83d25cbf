import type { WorkContext } from '../../core/format.js';
import type { Model } from '../../core/model.js';
import type { TensorSource } from '../../core/tensor.js';
import { type BlockFloat, blockFloats, mxfp4, nf4 } from '../../kernels/quantize/block-floats.js';
import { quantizeBlockFloats } from '../../kernels/quantize/block-floats-pool.js';
import { typedCodes } from '../../kernels/quantize/codes.js';
import { bnb4Products } from './bnb4.js';
import { codeWeights } from './coded-weights.js';
import { castOpset, lookUpBlocks, Tables } from './lookup.js';
import type { GraphScheme, Quantized, QuantizeSettings } from './types.js';
import type { WeightOp } from './weights.js';

/** Weights as codes that are looked up and multiplied in front of the operators that take them. */
function lookedUp(
  model: Model,
  settings: QuantizeSettings,
  format: BlockFloat,
  context: WorkContext | undefined,
  ops?: ReadonlySet<WeightOp>,
): Promise<Quantized> {
  const { id } = format;
  const facts = { id, dtypeOut: id, opset: castOpset('u4'), ...(ops ? { ops } : {}) };
  return codeWeights(model, settings, facts, async (edit, weights) => {
    const tables = new Tables(edit, format);
    const packing = (tensor: TensorSource) => typedCodes(tensor.info.shape, 'u4');
    const jobs = weights.flatMap(({ name }) => {
      const tensor = edit.tensor(name);
      return tensor ? [{ tensor, format, packing: packing(tensor) }] : [];
    });
    const pooled = context && (await quantizeBlockFloats(jobs, context));
    return {
      async code(tensor, weight) {
        const done = pooled?.done.get(weight.name);
        const coded = done ? done.coded : await blockFloats(tensor, format, packing(tensor));
        return (
          coded && {
            bytes: coded.codes.byteLength + coded.scales.length,
            dequantized: coded.dequantized,
            ...(done?.loss ? { loss: done.loss } : {}),
            put: () => lookUpBlocks(edit, weight, coded, format, tables),
          }
        );
      },
      release: () => pooled?.release(),
    };
  });
}

/** What is looked up where MatMul has an operator of its own: tables of embeddings stay in float, as with int4-weights. */
const OTHERS: ReadonlySet<WeightOp> = new Set(['MatMul', 'Gemm', 'Conv']);

/**
 * The runtime folds looked-up weights to f32 when it loads them: fast, but as large in memory as before. With
 * `operators` products become MatMulBnb4, which keeps 4 bits in memory and unpacks them in every run.
 */
export const nf4Weights: GraphScheme = {
  id: 'nf4',
  title: 'weights as 4-bit normal floats, a scale for 64',
  async apply(model, settings, _ranges, context) {
    const format = nf4(settings.block);
    if (!settings.operators) return lookedUp(model, settings, format, context);
    const products = await bnb4Products(model, settings, format, context);
    const others = await lookedUp(products.model, settings, format, context, OTHERS);
    return {
      model: others.model,
      quantized: [...products.quantized, ...others.quantized],
      findings: [...products.findings, ...others.findings],
      release() {
        products.release?.();
        others.release?.();
      },
    };
  },
};

export const mxfp4Weights: GraphScheme = {
  id: 'mxfp4',
  title: 'weights as E2M1, a power of two for 32',
  apply: (model, settings, _ranges, context) => lookedUp(model, settings, mxfp4(), context),
};
