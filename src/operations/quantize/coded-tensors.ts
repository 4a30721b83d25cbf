import type { WorkContext } from '../../core/format.js';
import type { Model } from '../../core/model.js';
import { memoryTensor, type TensorSource } from '../../core/tensor.js';
import { channelsOf } from '../../graph/quantize/palette.js';
import type { Quantized, QuantizeSettings } from '../../graph/quantize/types.js';
import { type BlockFloat, blockFloats, mxfp4, nf4, powerCodes } from '../../kernels/quantize/block-floats.js';
import { bytesOfCodes, type CodeBits, encoded } from '../../kernels/quantize/codes.js';
import { type PaletteTensor, paletteTensor, tableRows } from '../../kernels/quantize/palette.js';
import {
  type PaletteJob,
  type PooledPalette,
  type PooledPalettes,
  quantizePalettes,
} from '../../kernels/quantize/palette-pool.js';
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
      const pooled = context && (await inPool(model, settings, job, context));
      const made: Quantized = await quantizeEach(model, id, settings, async (weight) => {
        const done = pooled?.done.get(weight.tensor.info.name) ?? (await streamed(job(weight.tensor)));
        return done.palette && withPalette(weight, bits, job(weight.tensor), done.palette, done);
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

const inPool = (
  { tensors }: Model,
  { selects }: QuantizeSettings,
  job: (tensor: TensorSource) => PaletteJob,
  context: WorkContext,
): Promise<PooledPalettes> =>
  quantizePalettes(
    tensors
      .filter((tensor) => isFloatType(tensor.info.dtype) && isWeight(tensor) && selects(tensor.info.name))
      .map(job),
    context,
  );

async function streamed({ tensor, spec, packing }: PaletteJob): Promise<PooledPalette> {
  const palette = await paletteTensor(tensor, spec, packing);
  return palette ? { palette } : {};
}

function withPalette(
  { tensor: { info }, from, beside }: PlainWeight,
  bits: CodeBits,
  { spec: { axis, block } }: PaletteJob,
  { tables, codes, dequantized }: PaletteTensor,
  { loss }: PooledPalette,
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
  apply(model, settings) {
    const format = formatOf(settings);
    return quantizeEach(model, id, settings, async ({ tensor, from, beside }) => {
      const { shape } = tensor.info;
      const made = await blockFloats(tensor, format, bytesOfCodes(shape, 4));
      if (!made) return undefined;
      const { scales, codes, dequantized } = made;
      const name = beside('scale');
      const scale =
        id === 'mxfp4'
          ? memoryTensor({ name, dtype: 'u8', shape: [scales.length] }, powerCodes(scales))
          : memoryTensor(
              { name, dtype: 'f32', shape: [scales.length] },
              encoded('f32', Float64Array.from(scales)),
            );
      return {
        tensors: [codes, scale],
        record: { scheme: id, codes: id, shape, from, block: format.block, scale: name },
        dtypeOut: id,
        dequantized,
      };
    });
  },
});

export const nf4Tensors = blockFloatTensors('nf4', ({ block }) => nf4(block));
export const mxfp4Tensors = blockFloatTensors('mxfp4', () => mxfp4());
