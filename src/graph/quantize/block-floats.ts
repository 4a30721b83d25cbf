import type { TensorSource } from '../../core/tensor.js';
import { type BlockFloat, blockFloats, mxfp4, nf4 } from '../../kernels/quantize/block-floats.js';
import { quantizeBlockFloats } from '../../kernels/quantize/block-floats-pool.js';
import { typedCodes } from '../../kernels/quantize/codes.js';
import { codeWeights } from './coded-weights.js';
import { castOpset, lookUpBlocks, Tables } from './lookup.js';
import type { GraphScheme, QuantizeSettings } from './types.js';

const scheme = (
  id: string,
  title: string,
  formatOf: (settings: QuantizeSettings) => BlockFloat,
): GraphScheme => ({
  id,
  title,
  apply: (model, settings, _ranges, context) => {
    const format = formatOf(settings);
    const dtypes = { id, dtypeOut: id, opset: castOpset('u4') };
    return codeWeights(model, settings, dtypes, async (edit, weights) => {
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
  },
});

export const nf4Weights = scheme('nf4', 'weights as 4-bit normal floats, a scale for 64', ({ block }) =>
  nf4(block),
);

export const mxfp4Weights = scheme('mxfp4', 'weights as E2M1, a power of two for 32', () => mxfp4());
