import { dtypeFacts } from '../../core/dtype.js';
import type { WorkContext } from '../../core/format.js';
import type { Model } from '../../core/model.js';
import { memoryTensor, renamed, type TensorSource } from '../../core/tensor.js';
import type { QuantizeSettings } from '../../graph/quantize/types.js';
import { type AffineSpec, type AffineTensor, fitted, withParameters } from '../../kernels/quantize/affine.js';
import { bytesOfCodes, type CodeBits } from '../../kernels/quantize/codes.js';
import type { QuantizedType } from '../../kernels/quantize/integers.js';
import { quantizeLinear } from '../../kernels/quantize/linear-pool.js';
import type { LossFigures } from '../../kernels/quantize/loss.js';
import { quantizeRowBlocks, type RowBlocks } from '../../kernels/quantize/row-blocks-pool.js';
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

/** A tensor as integers; undefined if a value is NaN or infinite. */
interface Made {
  readonly integers?: RowBlocks | undefined;
  readonly loss?: LossFigures | undefined;
}

/** What the pool can make of the weights: those that lie in a file as floats. */
async function inPool(
  model: Model,
  bits: 8 | 4 | 2,
  settings: QuantizeSettings,
  context: WorkContext,
): Promise<{ readonly done: ReadonlyMap<string, Made>; release(): void }> {
  const weights = model.tensors.filter((tensor) => isWeight(tensor) && settings.selects(tensor.info.name));
  const jobs = weights.map((tensor) => ({ tensor, spec: specOf(tensor.info.shape, bits, settings) }));
  const blocks = await quantizeRowBlocks(jobs, context);
  try {
    const linear = await quantizeLinear(jobs, context);
    return {
      done: new Map<string, Made>([
        ...[...blocks.done].map(([name, made]): [string, Made] => [
          name,
          { integers: made.blocks, loss: made.loss },
        ]),
        ...[...linear.done].map(([name, { affine, loss }]): [string, Made] => [
          name,
          { integers: affine && integersIn(affine), loss },
        ]),
      ]),
      release() {
        blocks.release();
        linear.release();
      },
    };
  } catch (error) {
    blocks.release();
    throw error;
  }
}

/** Scales and zero points as tensors. */
function integersIn({ codes, scaleType, shape, scale, zeroPoint, dequantized }: AffineTensor): RowBlocks {
  const { name, dtype } = codes.info;
  return {
    codes,
    scale: memoryTensor({ name, dtype: scaleType, shape }, scale),
    ...(zeroPoint ? { zeroPoint: memoryTensor({ name, dtype, shape }, zeroPoint) } : {}),
    dequantized,
  };
}

async function stored(
  { tensor, from, beside }: PlainWeight,
  scheme: string,
  bits: 8 | 4 | 2,
  settings: QuantizeSettings,
  pooled: Made | undefined,
): Promise<StoredWeight | undefined> {
  const { shape } = tensor.info;
  const spec = specOf(shape, bits, settings);
  const { integers, loss } = pooled ?? { integers: await streamed(tensor, spec, settings) };
  if (!integers) return undefined;
  const scale = renamed(integers.scale, beside('scale'));
  const zeroPoint = integers.zeroPoint && renamed(packed(integers.zeroPoint), beside('zero_point'));
  return {
    tensors: [packed(integers.codes), scale, ...(zeroPoint ? [zeroPoint] : [])],
    record: {
      ...{ scheme, dtype: spec.dtype, shape, from },
      ...(spec.axis === undefined ? {} : { axis: spec.axis }),
      ...(spec.block === undefined ? {} : { block: spec.block }),
      scale: scale.info.name,
      ...(zeroPoint ? { zeroPoint: zeroPoint.info.name } : {}),
    },
    dtypeOut: spec.dtype,
    dequantized: integers.dequantized,
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

async function streamed(
  tensor: TensorSource,
  spec: AffineSpec,
  { method }: QuantizeSettings,
): Promise<RowBlocks | undefined> {
  const all = await fitted(tensor, spec);
  if (!all) return undefined;
  const parameters = method === 'mse' ? await leastSquares(tensor, spec, all) : all;
  return integersIn(withParameters(tensor, spec, parameters));
}

/** Formats without integers of so few bits hold them in bytes. */
function packed(codes: TensorSource): TensorSource {
  const { name, dtype, shape } = codes.info;
  if (dtype === 'i8' || dtype === 'u8') return codes;
  const bytes = bytesOfCodes(shape, dtypeFacts(dtype).bits as CodeBits);
  return { ...codes, info: { name, dtype: 'u8', shape: bytes.shape } };
}
