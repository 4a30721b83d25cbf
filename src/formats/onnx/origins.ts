import type { TensorSource } from '../../core/tensor.js';
import type { SparseTensorProto, TensorProto } from './schema.js';

/**
 * What the reader knows and messages cannot say: which message a tensor was read from (so that an unchanged one is
 * written as it was), and the bytes of messages that only name a file.
 */
const origins = new WeakMap<TensorSource, TensorProto | SparseTensorProto>();
const contents = new WeakMap<TensorProto, TensorSource>();

export const rememberOrigin = (tensor: TensorSource, message: TensorProto | SparseTensorProto): void => {
  origins.set(tensor, message);
};
/** True if the tensor is what `message` says, untouched since it was read. */
export const isUntouched = (tensor: TensorSource, message: TensorProto | SparseTensorProto): boolean =>
  origins.get(tensor) === message;

export const rememberContent = (message: TensorProto, content: TensorSource): void => {
  contents.set(message, content);
};
/** The bytes of a message with external data that this process read. */
export const contentOf = (message: TensorProto): TensorSource | undefined => contents.get(message);
