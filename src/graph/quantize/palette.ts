import { elementBytes } from '../../core/dtype.js';
import { paletteTensor } from '../../kernels/quantize/palette.js';
import { codeWeights } from './coded-weights.js';
import { castOpset, lookUpPalette } from './lookup.js';
import type { GraphScheme } from './types.js';

/** Weights as codes of at most 2^bits values that are fitted to each of them. */
export function palette(bits: 2 | 3 | 4 | 6 | 8): GraphScheme {
  // ONNX has integers of 2, 4 and 8 bits.
  const dtype = bits === 2 ? 'u2' : bits <= 4 ? 'u4' : 'u8';
  const id = `palette-${bits}`;
  return {
    id,
    title: `weights as codes of ${2 ** bits} values each`,
    apply: (model, settings) =>
      codeWeights(
        model,
        settings,
        { id, dtypeOut: dtype, opset: castOpset(dtype) },
        (edit) => async (tensor) => {
          const coded = await paletteTensor(tensor, 2 ** bits, dtype);
          return (
            coded && {
              bytes: coded.codes.byteLength + coded.table.length * (elementBytes(tensor.info.dtype) ?? 4),
              dequantized: coded.dequantized,
              put: (weight) => lookUpPalette(edit, weight, coded),
            }
          );
        },
      ),
  };
}
