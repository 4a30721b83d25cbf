import type { WorkContext } from '../../core/format.js';
import type { TensorSource } from '../../core/tensor.js';
import type { PooledTensor } from '../../kernels/quantize/coded-pool.js';
import { typedCodes } from '../../kernels/quantize/codes.js';
import type { InScratch } from '../../kernels/quantize/in-scratch.js';
import { type PaletteTensor, paletteTensor } from '../../kernels/quantize/palette.js';
import { type PaletteJob, quantizePalettes } from '../../kernels/quantize/palette-pool.js';
import type { GraphEdit } from '../edit.js';
import { type CodedWeight, codeWeights } from './coded-weights.js';
import { castOpset, lookUpPalette, paletteBytes } from './lookup.js';
import type { GraphScheme, QuantizeSettings } from './types.js';
import type { Weight } from './weights.js';

/** Channels that share a codebook; undefined: all of them. */
export const channelsOf = ({ block, perChannel }: QuantizeSettings): number | undefined =>
  block ?? (perChannel ? 1 : undefined);

/** Weights as codes of at most 2^bits values that are fitted to each of them, or to each group of output channels. */
export function palette(bits: 2 | 3 | 4 | 6 | 8): GraphScheme {
  // ONNX has integers of 2, 4 and 8 bits.
  const dtype = bits === 2 ? 'u2' : bits <= 4 ? 'u4' : 'u8';
  const id = `palette-${bits}`;
  return {
    id,
    title: `weights as codes of ${2 ** bits} values each`,
    apply(model, settings, _ranges, context) {
      const block = channelsOf(settings);
      const jobOf = (tensor: TensorSource, { channels }: Weight): PaletteJob => ({
        tensor,
        spec: { k: 2 ** bits, ...(block === undefined ? {} : { axis: channels, block }) },
        packing: typedCodes(tensor.info.shape, dtype),
      });
      const scheme = { id, dtypeOut: dtype, opset: castOpset(dtype) };
      return codeWeights(model, settings, scheme, async (edit, weights) => {
        const pooled = context && (await inPool(edit, weights, jobOf, context));
        return {
          async code(tensor, weight) {
            const job = jobOf(tensor, weight);
            const done = pooled?.done.get(weight.name);
            const made = done ? done.coded : await paletteTensor(tensor, job.spec, job.packing);
            return made && { ...coded(edit, weight, job, made), ...(done?.loss ? { loss: done.loss } : {}) };
          },
          release: () => pooled?.release(),
        };
      });
    },
  };
}

const inPool = (
  edit: GraphEdit,
  weights: readonly Weight[],
  jobOf: (tensor: TensorSource, weight: Weight) => PaletteJob,
  context: WorkContext,
): Promise<InScratch<PooledTensor<PaletteTensor>>> =>
  quantizePalettes(
    weights.flatMap((weight) => {
      const tensor = edit.tensor(weight.name);
      return tensor ? [jobOf(tensor, weight)] : [];
    }),
    context,
  );

const coded = (
  edit: GraphEdit,
  weight: Weight,
  { tensor: { info }, spec }: PaletteJob,
  made: PaletteTensor,
): CodedWeight => ({
  bytes: paletteBytes(made, info.dtype, { shape: info.shape, ...spec }),
  dequantized: made.dequantized,
  put: () => lookUpPalette(edit, weight, made, spec),
});
