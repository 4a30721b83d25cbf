import { elementBytes } from '../../core/dtype.js';
import { type Model, tensorMap } from '../../core/model.js';
import type { TensorInfo, TensorSource } from '../../core/tensor.js';
import type { StateNode } from '../../core/training.js';
import { torchTypeOf } from './dtypes.js';
import { PickleWriter } from './pickle-writer.js';
import { placeTensors } from './placement.js';
import { channelTensor, type Quantization, quantizationFor, quantizationOf } from './quantized-writer.js';
import { writeState } from './state-writer.js';

/** What goes into one archive: the pickle, and the storages that it refers to, in the order of their keys. */
export interface Payload {
  readonly pickle: Uint8Array;
  readonly storages: readonly TensorSource[];
}

/**
 * The state dict, or the whole tree of the training state, as torch.save would pickle it. Aliases share the storage
 * of their canonical tensor.
 */
export function buildPayload(model: Model, simplified?: (what: string) => void): Payload {
  const tree = placeTensors(model.training?.tree, model.tensors);
  const builder = new PayloadBuilder(model);
  writeState(builder.pickle, tree, (ref) => builder.reference(ref), simplified);
  return { pickle: builder.pickle.finish(), storages: builder.storages };
}

class PayloadBuilder {
  readonly pickle = new PickleWriter();
  readonly storages: TensorSource[] = [];
  readonly #keys = new Map<string, string>();
  readonly #tensors: ReadonlyMap<string, TensorSource>;
  readonly #quantization: ReturnType<typeof quantizationOf>;

  constructor(readonly model: Model) {
    this.#tensors = tensorMap(model);
    this.#quantization = quantizationOf(model);
  }

  reference(ref: Extract<StateNode, { kind: 'tensor' }>): void {
    const tensor = this.#tensors.get(ref.name);
    if (!tensor) throw new Error(`no tensor ${ref.name}`);
    const grad = ref.requiresGrad === true;
    if (!ref.parameter) {
      this.#tensor(tensor, grad);
      return;
    }
    this.pickle.call('torch._utils', '_rebuild_parameter', () => {
      this.#tensor(tensor, grad);
      this.pickle.bool(grad);
      this.#noHooks();
    });
  }

  #tensor(tensor: TensorSource, grad: boolean): void {
    const { info } = tensor;
    const quantization = quantizationFor(info, this.#quantization);
    const key = this.#storageOf(tensor);
    if (quantization) this.#quantized(info, key, quantization);
    else this.#plain(info, key, grad);
  }

  /** The key of the storage; tensors that share their bytes share it. */
  #storageOf(tensor: TensorSource): string {
    const { name } = tensor.info;
    const alias = this.model.aliases.get(name);
    const shared = alias === undefined ? undefined : this.#tensors.get(alias);
    const same = shared?.info.dtype === tensor.info.dtype && shared.byteLength === tensor.byteLength;
    const owner = same && alias !== undefined ? alias : name;
    const known = this.#keys.get(owner);
    if (known !== undefined) return known;
    const key = this.#add(same && shared ? shared : tensor);
    this.#keys.set(owner, key);
    return key;
  }
  #add(tensor: TensorSource): string {
    this.storages.push(tensor);
    return String(this.storages.length - 1);
  }

  #plain(info: TensorInfo, key: string, grad: boolean): void {
    const type = torchTypeOf(info.dtype);
    if (!type) throw new Error(`${info.dtype} was let through by check`);
    const shape = type.packed ? packedShape(info.shape) : info.shape;
    const count = shape.reduce((product, dim) => product * dim, 1);
    const width = type.packed ? 1 : (elementBytes(info.dtype) ?? 1);
    const rebuild = type.storage === undefined ? '_rebuild_tensor_v3' : '_rebuild_tensor_v2';
    this.pickle.call('torch._utils', rebuild, () => {
      this.#storage(key, type.storage, type.storage === undefined ? count * width : count);
      this.#geometry(shape);
      this.pickle.bool(grad);
      this.#noHooks();
      if (type.storage === undefined) this.pickle.global('torch', type.torch);
    });
  }

  #quantized(info: TensorInfo, key: string, { scheme, storage, scale, zeroPoint, axis }: Quantization): void {
    const { pickle } = this;
    pickle.call('torch._utils', '_rebuild_qtensor', () => {
      this.#storage(
        key,
        storage,
        info.shape.reduce((product, dim) => product * dim, 1),
      );
      this.#geometry(info.shape);
      pickle.tuple(() => {
        pickle.global('torch', scheme);
        if (typeof scale === 'number' || typeof zeroPoint === 'number') {
          pickle.float(Number(scale));
          pickle.int(Number(zeroPoint));
          return;
        }
        const float = scheme.endsWith('float_qparams');
        for (const [values, dtype] of [
          [scale, float ? 'f32' : 'f64'],
          [zeroPoint, float ? 'f32' : 'i64'],
        ] as const) {
          const tensor = channelTensor(values, dtype);
          this.#plain(tensor.info, this.#add(tensor), false);
        }
        pickle.int(axis);
      });
      pickle.bool(false);
      this.#noHooks();
    });
  }

  #storage(key: string, storageClass: string | undefined, count: number): void {
    this.pickle.persistent(() => {
      this.pickle.string('storage');
      if (storageClass === undefined) this.pickle.global('torch.storage', 'UntypedStorage');
      else this.pickle.global('torch', storageClass);
      this.pickle.string(key);
      this.pickle.string('cpu');
      this.pickle.int(count);
    });
  }

  /** Offset 0, sizes, strides of a contiguous tensor. */
  #geometry(shape: readonly number[]): void {
    this.pickle.int(0);
    this.#ints(shape);
    let step = 1;
    const strides = shape
      .toReversed()
      .map((dim) => {
        const stride = step;
        step *= Math.max(dim, 1);
        return stride;
      })
      .toReversed();
    this.#ints(strides);
  }
  #ints(values: readonly number[]): void {
    this.pickle.tuple(() => {
      for (const value of values) this.pickle.int(value);
    });
  }
  #noHooks(): void {
    this.pickle.call('collections', 'OrderedDict', () => {});
  }
}

/** torch counts pairs: the last dimension is half as long. */
const packedShape = (shape: readonly number[]): number[] =>
  shape.map((dim, i) => (i === shape.length - 1 ? dim / 2 : dim));
