import type { DeltaBase } from '../../core/format.js';
import { tensorMap } from '../../core/model.js';
import type { Prediction } from '../../core/prediction.js';
import type { TensorSource } from '../../core/tensor.js';
import { malformed } from '../../errors.js';
import { predictedTensor } from '../../kernels/predict.js';
import type { TensorRecord } from './manifest.js';

/**
 * Finds what a record says its chunks build on: computed when it is pulled, from tensors of the base and of the file.
 * A first moment is not predicted itself, a second one only from first ones: there are no circles.
 *
 * @throws E_MALFORMED
 */
export class Predictions {
  readonly #records: ReadonlyMap<string, TensorRecord>;
  readonly #file: string;

  constructor(records: readonly TensorRecord[], file: string) {
    this.#records = new Map(records.map((record) => [record.name, record]));
    this.#file = file;
  }

  /** `own` finds a tensor of the file, also one that stands behind the record; `inBase` one of the base. */
  of(
    record: TensorRecord,
    base: TensorSource,
    own: (name: string) => TensorSource | undefined,
    inBase: (name: string) => TensorSource,
  ): TensorSource {
    const { prediction } = record;
    if (!prediction) return base;
    if (record.dtype !== 'f32') throw this.#bad(record, `is ${record.dtype}: only f32 is predicted`);
    const names =
      prediction.kind === 'adam-weight' ? [prediction.first, prediction.second] : [prediction.first];
    names.forEach((name, i) => {
      this.#check(record, name, i === 1);
    });
    const before = prediction.kind === 'adam-second' ? [inBase(prediction.first)] : [];
    return predictedTensor({ info: base.info, byteLength: record.byteLength }, prediction, () => {
      const [first, second] = [...before, ...names.map(own)];
      if (!first || !second) throw new Error('the input of a prediction is missing');
      return [base, first, second];
    });
  }

  #check(record: TensorRecord, name: string, isSecond: boolean): void {
    const input = this.#records.get(name);
    const label = JSON.stringify(name);
    if (!input) throw this.#bad(record, `is predicted from ${label}, which is not there`);
    const { prediction, aliasOf, sameBytesAs, dtype, byteLength } = input;
    if (aliasOf !== undefined || sameBytesAs !== undefined)
      throw this.#bad(record, `is predicted from ${label}, which has no bytes of its own`);
    if (dtype !== 'f32' || byteLength !== record.byteLength)
      throw this.#bad(record, `is predicted from ${label}, which is another type or length`);
    if (prediction && !(isSecond && prediction.kind === 'adam-second'))
      throw this.#bad(record, `is predicted from ${label}, which is predicted itself`);
  }

  #bad({ name }: TensorRecord, why: string): Error {
    return malformed(`${this.#file}: tensor ${JSON.stringify(name)} ${why}`, {
      file: this.#file,
      tensor: name,
    });
  }
}

/** What a tensor is stored against, where it is predicted. */
export interface Predicted {
  readonly prediction: Prediction;
  readonly tensor: TensorSource;
}

/**
 * The predictions that a writer was given, by the rules that readers hold them to. `stores`: whether a tensor is written
 * with bytes of its own, or as those of the base.
 */
export function predictionsOf(
  delta: DeltaBase,
  tensors: readonly TensorSource[],
  stores: (name: string) => boolean,
): (tensor: TensorSource) => Predicted | undefined {
  const { predictions } = delta;
  if (!predictions || predictions.size === 0) return () => undefined;
  const own = new Map(tensors.map((tensor) => [tensor.info.name, tensor]));
  const bases = tensorMap(delta.model);
  return (tensor) => {
    const { info, byteLength } = tensor;
    const prediction = predictions.get(info.name);
    if (!prediction) return undefined;
    const { first } = prediction;
    const names = prediction.kind === 'adam-weight' ? [first, prediction.second] : [first];
    const before = prediction.kind === 'adam-second' ? [bases.get(first)] : [];
    const inputs = [bases.get(info.name), ...before, ...names.map((name) => own.get(name))];
    const [base, one, other] = inputs;
    const circular =
      predictions.has(first) || names.some((name) => predictions.get(name)?.kind === 'adam-weight');
    if (circular || !names.every(stores) || !base || !one || !other) return undefined;
    if (inputs.some((input) => input?.info.dtype !== 'f32' || input.byteLength !== byteLength))
      return undefined;
    return { prediction, tensor: predictedTensor(tensor, prediction, () => [base, one, other]) };
  };
}
