import type { Model } from './model.js';

/** Info first, bytes later: `apply` gives a model whose tensors compute their bytes when they are pulled. */
export interface Transform {
  readonly name: string;
  apply(model: Model): Model | Promise<Model>;
}

/** A transform that needs no statistics of the data first. */
export interface SyncTransform extends Transform {
  apply(model: Model): Model;
}
