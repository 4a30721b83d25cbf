import type { MetadataValue } from '../../core/model.js';
import { readTensor } from '../../core/tensor.js';
import { malformed } from '../../errors.js';
import { element } from './numpy.js';
import { checkView, type TensorBuilder } from './tensors.js';
import { NumpyDType, type PyTensor, type Quantizer } from './values.js';

/** Scales of one tensor; more is no quantization but an attempt to make us read. */
const MOST_CHANNELS = 4_000_000n;
/** numpy's code of the types that scales and zero points have. */
const CODES: ReadonlyMap<string, string> = new Map([
  ['float64', 'f8'],
  ['float32', 'f4'],
  ['float16', 'f2'],
  ['int64', 'i8'],
  ['int32', 'i4'],
]);

/** What is needed to turn the integers back into numbers, as metadata. Reads scales and zero points a channel. */
export async function quantizationMetadata(
  { scheme, scale, zeroPoint, axis }: Quantizer,
  name: string,
  builder: TensorBuilder,
): Promise<MetadataValue> {
  const values = async (value: number | PyTensor, what: string): Promise<MetadataValue> =>
    typeof value === 'number' ? value : numbers(value, `${name} (${what})`, builder);
  // torch pickles float zero points under the plain scheme and tells them apart by their type.
  const float = typeof zeroPoint !== 'number' && zeroPoint.type.torch.startsWith('float');
  return new Map<string, MetadataValue>([
    ['scheme', float ? 'per_channel_affine_float_qparams' : scheme],
    ...(axis === undefined ? [] : [['axis', axis] as [string, MetadataValue]]),
    ['scale', await values(scale, 'scale')],
    ['zero_point', await values(zeroPoint, 'zero point')],
  ]);
}

async function numbers(tensor: PyTensor, name: string, builder: TensorBuilder): Promise<number[]> {
  const code = CODES.get(tensor.type.torch);
  const [channels = 0n] = tensor.size;
  if (code === undefined || tensor.size.length !== 1 || channels > MOST_CHANNELS)
    throw malformed(`${builder.file}: tensor ${JSON.stringify(name)} is not a vector of numbers`, {
      file: builder.file,
      tensor: name,
    });
  const source = await builder.build(tensor, checkView(tensor, name, builder.file), name);
  const bytes = await readTensor(source);
  const dtype = new NumpyDType(code);
  const width = bytes.byteLength / Math.max(1, Number(channels));
  return Array.from({ length: Number(channels) }, (_, i) =>
    Number(element(dtype, bytes.subarray(i * width, (i + 1) * width))),
  );
}
