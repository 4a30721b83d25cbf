import { type BlockFloat, blockFloats, mxfp4, nf4 } from '../../kernels/quantize/block-floats.js';
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
  apply: (model, settings) => {
    const format = formatOf(settings);
    return codeWeights(model, settings, { id, dtypeOut: id, opset: castOpset('u4') }, (edit) => {
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
  },
});

export const nf4Weights = scheme('nf4', 'weights as 4-bit normal floats, a scale for 64', ({ block }) =>
  nf4(block),
);

export const mxfp4Weights = scheme('mxfp4', 'weights as E2M1, a power of two for 32', () => mxfp4());
