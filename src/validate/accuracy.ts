import { elementCount } from '../core/dtype.js';
import { readTensor, type TensorSource } from '../core/tensor.js';
import { MlserError } from '../errors.js';
import { decodeElements, isNumeric } from '../kernels/elements.js';
import { type ArrayFile, missingArrays } from '../runtime/arrays.js';
import { argmaxRows } from '../runtime/metrics.js';
import { toNumbers, type Values } from '../runtime/values.js';

/** Class numbers of the samples, from the same file as the feeds. E_USAGE. */
export async function readLabels(file: ArrayFile | undefined, name: string): Promise<Float64Array> {
  if (!file)
    throw new MlserError(
      'E_USAGE',
      `the labels ${JSON.stringify(name)} are in a feeds file, and none was given`,
      {
        details: { labels: name },
        hint: 'give it with --inputs data.npz',
      },
    );
  const array: TensorSource | undefined = file.arrays.get(name);
  if (!array) throw missingArrays(file, 'label', [name]);
  const { dtype, shape } = array.info;
  const count = elementCount(shape);
  if (!isNumeric(dtype) || count !== (shape[0] ?? 0))
    throw new MlserError(
      'E_USAGE',
      `${file.name}: labels ${name} are ${dtype} [${shape.join(', ')}], not class numbers`,
      {
        details: { file: file.name, labels: name },
        hint: 'labels are one class number per sample',
      },
    );
  const labels = new Float64Array(count);
  decodeElements(dtype, await readTensor(array), count, labels);
  return labels;
}

/** Counts the samples whose arg-max of the first output is their label. */
export class AccuracyCounter {
  #right = 0;
  #seen = 0;
  readonly #labels: Float64Array;

  constructor(labels: Float64Array) {
    this.#labels = labels;
  }

  /** Outputs of the samples from `start` on. E_USAGE if their number is not that of the labels. */
  add(outputs: Values, start: number, count: number): void {
    const [first] = outputs;
    const [name, value] = first ?? [];
    const width = value?.dims.at(-1) ?? 0;
    const rows = value && value.type !== 'string' && width > 0 ? argmaxRows(toNumbers(value), width) : [];
    if (rows.length !== count)
      throw new MlserError(
        'E_USAGE',
        `accuracy needs one row of scores per sample; the first output ${name ?? ''} is [${value?.dims.join(', ')}] for ${count}`,
        { details: { output: name ?? null, samples: count }, hint: 'leave --labels out for this model' },
      );
    this.#right += rows.filter((place, i) => place === this.#labels[start + i]).length;
    this.#seen += count;
  }

  get samples(): number {
    return this.#seen;
  }
  get share(): number {
    return this.#seen === 0 ? 0 : this.#right / this.#seen;
  }
}
