import type { Model } from '../../core/model.js';
import { type BlockFloat, blockFloats, mxfp4, nf4 } from '../../kernels/quantize/block-floats.js';
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
  ops?: ReadonlySet<WeightOp>,
): Promise<Quantized> {
  const { id } = format;
  const facts = { id, dtypeOut: id, opset: castOpset('u4'), ...(ops ? { ops } : {}) };
  return codeWeights(model, settings, facts, (edit) => {
    const tables = new Tables(edit, format);
    return {
      async code(tensor, weight) {
        const coded = await blockFloats(tensor, format, typedCodes(tensor.info.shape, 'u4'));
        return (
          coded && {
            bytes: coded.codes.byteLength + coded.scales.length,
            dequantized: coded.dequantized,
            put: () => lookUpBlocks(edit, weight, coded, format, tables),
          }
        );
      },
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
  async apply(model, settings) {
    const format = nf4(settings.block);
    if (!settings.operators) return lookedUp(model, settings, format);
    const products = await bnb4Products(model, settings, format);
    const others = await lookedUp(products.model, settings, format, OTHERS);
    return {
      model: others.model,
      quantized: [...products.quantized, ...others.quantized],
      findings: [...products.findings, ...others.findings],
    };
  },
};

export const mxfp4Weights: GraphScheme = {
  id: 'mxfp4',
  title: 'weights as E2M1, a power of two for 32',
  apply: (model, settings) => lookedUp(model, settings, mxfp4()),
};
