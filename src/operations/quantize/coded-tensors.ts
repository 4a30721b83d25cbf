import type { Model } from '../../core/model.js';
import { memoryTensor, type TensorSource } from '../../core/tensor.js';
import { channelsOf } from '../../graph/quantize/palette.js';
import type { Quantized, QuantizeSettings } from '../../graph/quantize/types.js';
import {
  type BlockFloat,
  type BlockFloatTensor,
  blockFloats,
  mxfp4,
  nf4,
  powerCodes,
} from '../../kernels/quantize/block-floats.js';
import { quantizeBlockFloats } from '../../kernels/quantize/block-floats-pool.js';
import { bytesOfCodes, type CodeBits, encoded } from '../../kernels/quantize/codes.js';
import type { LossFigures } from '../../kernels/quantize/loss.js';
import { type PaletteTensor, paletteTensor, tableRows } from '../../kernels/quantize/palette.js';
import { type PaletteJob, quantizePalettes } from '../../kernels/quantize/palette-pool.js';
import {
  isFloatType,
  isWeight,
  OUTPUTS,
  type PlainWeight,
  quantizeEach,
  type StoredWeight,
} from './each-tensor.js';
import type { TensorScheme } from './tensor-scheme.js';

/**
 * Tensors of two and more dimensions as codes of so many bits in bytes, low bits first, with a companion `.palette`: a
 * row of values for each group of channels, in the tensor's own type.
 */
export const paletteTensors = (bits: CodeBits): TensorScheme => {
  const id = `palette-${bits}`;
  return {
    id,
    title: `weights as codes of ${2 ** bits} values each`,
    async apply(model, settings, context) {
      const job = (tensor: TensorSource): PaletteJob => jobOf(tensor, bits, settings);
      const pooled = context && (await quantizePalettes(weightsIn(model, settings).map(job), context));
      const made: Quantized = await quantizeEach(model, id, settings, async (weight) => {
        const own = job(weight.tensor);
        const done = pooled?.done.get(weight.tensor.info.name);
        const coded = done ? done.coded : await paletteTensor(own.tensor, own.spec, own.packing);
        return coded && withPalette(weight, bits, own, coded, done?.loss);
      });
      return pooled ? { ...made, release: pooled.release } : made;
    },
  };
};

function jobOf(tensor: TensorSource, bits: CodeBits, settings: QuantizeSettings): PaletteJob {
  const block = channelsOf(settings);
  return {
    tensor,
    spec: { k: 2 ** bits, ...(block === undefined ? {} : { axis: OUTPUTS, block }) },
    packing: bytesOfCodes(tensor.info.shape, bits),
  };
}

/** What `quantizeEach` will ask for. */
const weightsIn = ({ tensors }: Model, { selects }: QuantizeSettings): readonly TensorSource[] =>
  tensors.filter((tensor) => isFloatType(tensor.info.dtype) && isWeight(tensor) && selects(tensor.info.name));

function withPalette(
  { tensor: { info }, from, beside }: PlainWeight,
  bits: CodeBits,
  { spec: { axis, block } }: PaletteJob,
  { tables, codes, dequantized }: PaletteTensor,
  loss: LossFigures | undefined,
): StoredWeight {
  const { width, values } = tableRows(tables);
  const table = { name: beside('palette'), dtype: from, shape: [tables.length, width] };
  return {
    tensors: [codes, memoryTensor(table, encoded(from, values))],
    record: {
      ...{ scheme: `palette-${bits}`, codes: 'palette', bits, shape: info.shape, from },
      ...(axis === undefined ? {} : { axis }),
      ...(block === undefined ? {} : { block }),
      palette: table.name,
    },
    dtypeOut: `palette-${bits}`,
    dequantized,
    ...(loss ? { loss } : {}),
  };
}

/**
 * Tensors of two and more dimensions as 4-bit floats in bytes, low bits first, with a companion `.scale` for runs of
 * `block` elements: f32, or for mxfp4 powers of two as E8M0 codes.
 */
const blockFloatTensors = (
  id: BlockFloat['id'],
  formatOf: (settings: QuantizeSettings) => BlockFloat,
): TensorScheme => ({
  id,
  title: `weights as ${id}`,
  async apply(model, settings, context) {
    const format = formatOf(settings);
    const jobOf = (tensor: TensorSource) => ({ tensor, format, packing: bytesOfCodes(tensor.info.shape, 4) });
    const pooled = context && (await quantizeBlockFloats(weightsIn(model, settings).map(jobOf), context));
    const made = await quantizeEach(model, id, settings, async (weight) => {
      const { packing } = jobOf(weight.tensor);
      const done = pooled?.done.get(weight.tensor.info.name);
      const coded = done ? done.coded : await blockFloats(weight.tensor, format, packing);
      return coded && withScale(weight, format, coded, done?.loss);
    });
    return pooled ? { ...made, release: pooled.release } : made;
  },
});

function withScale(
  { tensor: { info }, from, beside }: PlainWeight,
  { id, block }: BlockFloat,
  { scales, codes, dequantized }: BlockFloatTensor,
  loss: LossFigures | undefined,
): StoredWeight {
  const dtype = id === 'mxfp4' ? 'u8' : 'f32';
  const bytes = id === 'mxfp4' ? powerCodes(scales) : encoded('f32', Float64Array.from(scales));
  const scale = memoryTensor({ name: beside('scale'), dtype, shape: [scales.length] }, bytes);
  return {
    tensors: [codes, scale],
    record: { scheme: id, codes: id, shape: info.shape, from, block, scale: scale.info.name },
    dtypeOut: id,
    dequantized,
    ...(loss ? { loss } : {}),
  };
}

export const nf4Tensors = blockFloatTensors('nf4', ({ block }) => nf4(block));
export const mxfp4Tensors = blockFloatTensors('mxfp4', () => mxfp4());
