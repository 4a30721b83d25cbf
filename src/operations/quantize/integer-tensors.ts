import { dtypeFacts } from '../../core/dtype.js';
import type { WorkContext } from '../../core/format.js';
import type { Model } from '../../core/model.js';
import { memoryTensor, renamed, type TensorSource } from '../../core/tensor.js';
import type { QuantizeSettings } from '../../graph/quantize/types.js';
import { type AffineSpec, type AffineTensor, fitted, withParameters } from '../../kernels/quantize/affine.js';
import { bytesOfCodes, type CodeBits } from '../../kernels/quantize/codes.js';
import type { QuantizedType } from '../../kernels/quantize/integers.js';
import {
  type QuantizedAffine,
  type QuantizedAffines,
  quantizeLinear,
} from '../../kernels/quantize/linear-pool.js';
import { leastSquares } from '../../kernels/quantize/search.js';
import { isWeight, OUTPUTS, type PlainWeight, quantizeEach, type StoredWeight } from './each-tensor.js';
import type { TensorScheme } from './tensor-scheme.js';

/** Elements that share a scale, where nothing else is asked for. */
const BLOCKS = { 8: undefined, 4: 32, 2: 16 } as const;

/**
 * Tensors of two and more dimensions as integers under their names, with companions `.scale` and `.zero_point`. Metadata
 * says how, so that they can be turned back. The first axis counts outputs (as torch has them); blocks lie along the last.
 */
export const integerTensors = (bits: 8 | 4 | 2): TensorScheme => {
  const id = `int${bits}-weights`;
  return {
    id,
    title: `weights as ${bits}-bit integers`,
    async apply(model, settings, context) {
      const pooled =
        context && settings.method !== 'mse' ? await inPool(model, bits, settings, context) : undefined;
      const made = await quantizeEach(model, id, settings, (weight) =>
        stored(weight, id, bits, settings, pooled?.done.get(weight.tensor.info.name)),
      );
      return { ...made, ...(pooled ? { release: pooled.release } : {}) };
    },
  };
};

/** What the pool can make of the weights: those that lie in a file as f32, with 8 bits and no blocks. */
function inPool(
  model: Model,
  bits: 8 | 4 | 2,
  settings: QuantizeSettings,
  context: WorkContext,
): Promise<QuantizedAffines> {
  const weights = model.tensors.filter((tensor) => isWeight(tensor) && settings.selects(tensor.info.name));
  const jobs = weights.map((tensor) => ({ tensor, spec: specOf(tensor.info.shape, bits, settings) }));
  return quantizeLinear(jobs, context);
}

async function stored(
  { tensor, from, beside }: PlainWeight,
  scheme: string,
  bits: 8 | 4 | 2,
  settings: QuantizeSettings,
  pooled: QuantizedAffine | undefined,
): Promise<StoredWeight | undefined> {
  const { shape } = tensor.info;
  const spec = specOf(shape, bits, settings);
  const { affine, loss } = pooled ?? { affine: await quantizedTensor(tensor, spec, settings) };
  if (!affine) return undefined;
  const scale = memoryTensor(
    { name: beside('scale'), dtype: affine.scaleType, shape: affine.shape },
    affine.scale,
  );
  const zeros = zeroPoints(affine);
  const zeroPoint = zeros && renamed(packed(zeros), beside('zero_point'));
  return {
    tensors: [packed(affine.codes), scale, ...(zeroPoint ? [zeroPoint] : [])],
    record: {
      ...{ scheme, dtype: spec.dtype, shape, from },
      ...(spec.axis === undefined ? {} : { axis: spec.axis }),
      ...(spec.block === undefined ? {} : { block: spec.block }),
      scale: scale.info.name,
      ...(zeroPoint ? { zeroPoint: zeroPoint.info.name } : {}),
    },
    dtypeOut: spec.dtype,
    dequantized: affine.dequantized,
    ...(loss ? { loss } : {}),
  };
}

function specOf(
  shape: readonly number[],
  bits: 8 | 4 | 2,
  { block, perChannel, symmetric = true, weightSign, reduceRange = false }: QuantizeSettings,
): AffineSpec {
  const signed = weightSign ? weightSign === 'signed' : symmetric || bits === 8;
  const dtype: QuantizedType = `${signed ? 'i' : 'u'}${bits}`;
  const base = { dtype, symmetric, reduceRange };
  const size = block ?? (perChannel === undefined && shape.length === 2 ? BLOCKS[bits] : undefined);
  if (size !== undefined)
    return {
      ...base,
      axis: shape.length - 1,
      block: size,
      ...(bits === 8 ? {} : { rule: 'nbits' as const }),
    };
  return perChannel === false ? base : { ...base, axis: OUTPUTS };
}

async function quantizedTensor(
  tensor: TensorSource,
  spec: AffineSpec,
  { method }: QuantizeSettings,
): Promise<AffineTensor | undefined> {
  const all = await fitted(tensor, spec);
  return all && withParameters(tensor, spec, method === 'mse' ? await leastSquares(tensor, spec, all) : all);
}

function zeroPoints({ codes: { info }, shape, zeroPoint }: AffineTensor): TensorSource | undefined {
  return zeroPoint && memoryTensor({ name: info.name, dtype: info.dtype, shape }, zeroPoint);
}

/** Formats without integers of so few bits hold them in bytes. */
function packed(codes: TensorSource): TensorSource {
  const { name, dtype, shape } = codes.info;
  if (dtype === 'i8' || dtype === 'u8') return codes;
  const bytes = bytesOfCodes(shape, dtypeFacts(dtype).bits as CodeBits);
  return { ...codes, info: { name, dtype: 'u8', shape: bytes.shape } };
}
