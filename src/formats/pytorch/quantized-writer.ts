import type { MetadataValue, Model } from '../../core/model.js';
import { memoryTensor, type TensorInfo, type TensorSource } from '../../core/tensor.js';
import { isJsonMap, parseJson } from '../../io/json.js';

/** How a tensor of integers is quantized, from metadata as our reader writes it. */
export interface Quantization {
  readonly scheme: string;
  readonly storage: string;
  readonly scale: number | readonly number[];
  readonly zeroPoint: number | readonly number[];
  readonly axis: number;
}

const STORAGES: Readonly<Record<string, string>> = {
  i8: 'QInt8Storage',
  u8: 'QUInt8Storage',
  i32: 'QInt32Storage',
};
const SCHEMES =
  /^(per_tensor_affine|per_tensor_symmetric|per_channel_affine|per_channel_symmetric|per_channel_affine_float_qparams)$/;

/** The `quantization` metadata, also where a format that only knows text has made JSON of it. */
export function quantizationOf(model: Model): ReadonlyMap<string, MetadataValue> {
  const value = model.metadata.get('quantization');
  if (value instanceof Map) return value;
  if (typeof value !== 'string') return new Map();
  try {
    const parsed = parseJson(new TextEncoder().encode(value), 'quantization');
    return isJsonMap(parsed) ? parsed : new Map();
  } catch {
    return new Map();
  }
}

/** Undefined unless type and metadata together make a quantized tensor that torch has. */
export function quantizationFor(
  info: TensorInfo,
  all: ReadonlyMap<string, MetadataValue>,
): Quantization | undefined {
  const entry = all.get(info.name);
  const storage = STORAGES[info.dtype];
  if (!(entry instanceof Map) || storage === undefined) return undefined;
  const scheme = entry.get('scheme');
  const [scale, zeroPoint] = [numbers(entry.get('scale')), numbers(entry.get('zero_point'))];
  if (typeof scheme !== 'string' || !SCHEMES.test(scheme) || scale === undefined || zeroPoint === undefined)
    return undefined;
  const axis = Number(entry.get('axis') ?? 0);
  const channels = scheme.startsWith('per_channel') ? info.shape[axis] : undefined;
  const fits = (value: number | readonly number[]): boolean =>
    channels === undefined
      ? typeof value === 'number'
      : typeof value !== 'number' && value.length === channels;
  const whole = scheme.endsWith('float_qparams') || [zeroPoint].flat().every(Number.isSafeInteger);
  return fits(scale) && fits(zeroPoint) && whole ? { scheme, storage, scale, zeroPoint, axis } : undefined;
}

const numbers = (value: MetadataValue | undefined): number | readonly number[] | undefined => {
  if (typeof value === 'number' || typeof value === 'bigint') return Number(value);
  return Array.isArray(value) && value.every((item) => typeof item === 'number' || typeof item === 'bigint')
    ? value.map(Number)
    : undefined;
};

/** Scales or zero points a channel, as torch stores them: f64 and i64, or f32 for float_qparams. */
export function channelTensor(values: readonly number[], dtype: 'f64' | 'f32' | 'i64'): TensorSource {
  const width = dtype === 'f32' ? 4 : 8;
  const bytes = new Uint8Array(values.length * width);
  const view = new DataView(bytes.buffer);
  for (const [i, value] of values.entries())
    if (dtype === 'f64') view.setFloat64(i * 8, value, true);
    else if (dtype === 'f32') view.setFloat32(i * 4, value, true);
    else view.setBigInt64(i * 8, BigInt(value), true);
  return memoryTensor({ name: '', dtype, shape: [values.length] }, bytes);
}
