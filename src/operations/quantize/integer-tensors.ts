import type { Model } from '../../core/model.js';
import { memoryTensor, renamed, type TensorSource } from '../../core/tensor.js';
import { type Finding, finding } from '../../errors.js';
import type { Quantized, QuantizedTensor, QuantizeSettings } from '../../graph/quantize/types.js';
import {
  type AffineSpec,
  type AffineTensor,
  fitted,
  storedBytes,
  withParameters,
} from '../../kernels/quantize/affine.js';
import type { QuantizedType } from '../../kernels/quantize/integers.js';
import { leastSquares } from '../../kernels/quantize/search.js';
import {
  QUANTIZATION_KEY,
  type QuantizedRecord,
  recordsOf,
  recordText,
} from '../../transforms/quantized-record.js';
import type { TensorScheme } from './tensor-scheme.js';

const BLOCK = 32;

/**
 * Tensors of two and more dimensions as integers under their names, with companions `.scale` and `.zero_point`. Metadata
 * says how, so that they can be turned back. The first axis counts outputs (as torch has them); blocks lie along the last.
 */
export const integerTensors = (bits: 8 | 4): TensorScheme => ({
  id: `int${bits}-weights`,
  title: `weights as ${bits}-bit integers`,
  apply: (model, settings) => quantizeTensors(model, bits, settings),
});

async function quantizeTensors(model: Model, bits: 8 | 4, settings: QuantizeSettings): Promise<Quantized> {
  const scheme = `int${bits}-weights`;
  const taken = new Set(model.tensors.map(({ info }) => info.name));
  const records = new Map<string, QuantizedRecord>(recordsOf(model));
  const quantized: QuantizedTensor[] = [];
  const findings: Finding[] = [];
  const tensors: TensorSource[] = [];
  for (const tensor of model.tensors) {
    const { name, dtype: from, shape } = tensor.info;
    const spec = records.has(name) ? undefined : specOf(tensor, bits, settings);
    const affine = spec && settings.selects(name) ? await quantizedTensor(tensor, spec, settings) : undefined;
    if (spec && settings.selects(name) && !affine)
      findings.push(
        finding('warning', 'KEPT_NOT_FINITE', name, 'it has NaN or infinite values: it stays as it is'),
      );
    if (!spec || !affine || storedBytes(affine) >= tensor.byteLength || !isStored(from)) {
      tensors.push(tensor);
      continue;
    }
    const own = companions(tensor, affine, taken);
    tensors.push(packed(affine.codes), own.scale, ...(own.zeroPoint ? [own.zeroPoint] : []));
    records.set(name, {
      ...{ scheme, dtype: spec.dtype, shape, from },
      ...(spec.axis === undefined ? {} : { axis: spec.axis }),
      ...(spec.block === undefined ? {} : { block: spec.block }),
      scale: own.scale.info.name,
      ...(own.zeroPoint ? { zeroPoint: own.zeroPoint.info.name } : {}),
    });
    const bytesOut = storedBytes(affine);
    quantized.push({ name, scheme, dtypeOut: spec.dtype, bytesOut, dequantized: affine.dequantized });
  }
  if (quantized.length === 0) return { model, quantized, findings };
  const metadata = new Map(model.metadata).set(QUANTIZATION_KEY, recordText(records));
  return { model: { ...model, tensors, metadata }, quantized, findings };
}

const isStored = (dtype: string): dtype is QuantizedRecord['from'] =>
  dtype === 'f32' || dtype === 'f16' || dtype === 'bf16';

/** Undefined: the tensor is none that is quantized. */
function specOf(
  { info: { dtype: from, shape }, role, byteLength }: TensorSource,
  bits: 8 | 4,
  { block, perChannel, symmetric = true, weightSign, reduceRange = false }: QuantizeSettings,
): AffineSpec | undefined {
  if (!isStored(from) || shape.length < 2 || byteLength === 0) return undefined;
  if (role === 'optimizer' || role === 'buffer') return undefined;
  const signed = weightSign ? weightSign === 'signed' : symmetric || bits === 8;
  const dtype: QuantizedType = `${signed ? 'i' : 'u'}${bits}`;
  const base = { dtype, symmetric, reduceRange };
  const size = block ?? (bits === 4 && perChannel === undefined && shape.length === 2 ? BLOCK : undefined);
  if (size !== undefined)
    return {
      ...base,
      axis: shape.length - 1,
      block: size,
      ...(bits === 4 ? { rule: 'nbits' as const } : {}),
    };
  return perChannel === false ? base : { ...base, axis: 0 };
}

async function quantizedTensor(
  tensor: TensorSource,
  spec: AffineSpec,
  { method }: QuantizeSettings,
): Promise<AffineTensor | undefined> {
  const all = await fitted(tensor, spec);
  return all && withParameters(tensor, spec, method === 'mse' ? await leastSquares(tensor, spec, all) : all);
}

/** Formats without integers of 4 bits hold them two a byte. */
function packed(codes: TensorSource): TensorSource {
  const { name, dtype, shape } = codes.info;
  if (dtype === 'i8' || dtype === 'u8') return codes;
  const row = shape.at(-1) ?? 1;
  const bytes = row % 2 === 0 ? [...shape.slice(0, -1), row / 2] : [codes.byteLength];
  return { ...codes, info: { name, dtype: 'u8', shape: bytes } };
}

function companions(
  { info: { name } }: TensorSource,
  { codes, shape, scaleType, scale, zeroPoint }: AffineTensor,
  taken: Set<string>,
): { readonly scale: TensorSource; readonly zeroPoint?: TensorSource } {
  const fresh = (wanted: string): string => {
    let free = wanted;
    for (let count = 2; taken.has(free); count++) free = `${wanted}_${count}`;
    taken.add(free);
    return free;
  };
  const own = fresh(`${name}.scale`);
  const scales = memoryTensor({ name: own, dtype: scaleType, shape }, scale);
  if (!zeroPoint) return { scale: scales };
  const zeros = memoryTensor({ name, dtype: codes.info.dtype, shape }, zeroPoint);
  return { scale: scales, zeroPoint: renamed(packed(zeros), fresh(`${name}.zero_point`)) };
}
