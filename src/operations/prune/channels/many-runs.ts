import type { Model } from '../../../core/model.js';

/** In larger models running each layer, and several choices, would take hours. */
const LARGEST_BYTES = 256 << 20;

/** Whether a model is small enough to be run over the samples once a layer, and once a choice. */
export const affordsManyRuns = ({ tensors }: Model): boolean =>
  tensors.reduce((sum, { byteLength }) => sum + byteLength, 0) <= LARGEST_BYTES;
