import type { GraphScheme } from '../../graph/quantize/types.js';
import type { TensorScheme } from './tensor-scheme.js';

/** A scheme by what it works on. Loaded when it is the one that runs. */
interface SchemeEntry {
  readonly id: string;
  readonly title: string;
  /** For ONNX graphs. */
  readonly graph?: () => Promise<GraphScheme>;
  /** For formats without a graph. */
  readonly tensors?: () => Promise<TensorScheme>;
}

/** The registry: a line per scheme. */
export const SCHEMES: readonly SchemeEntry[] = [
  {
    id: 'int8-weights',
    title: 'weights as 8-bit integers, a scale a channel',
    graph: async () => (await import('../../graph/quantize/int8-weights.js')).int8Weights,
  },
  {
    id: 'int4-weights',
    title: 'weights as 4-bit integers, a scale a block of 32',
    graph: async () => (await import('../../graph/quantize/int4-weights.js')).int4Weights,
  },
  {
    id: 'int2-weights',
    title: 'weights as 2-bit integers, a scale a block of 16',
    graph: async () => (await import('../../graph/quantize/int2-weights.js')).int2Weights,
  },
  {
    id: 'int8-dynamic',
    title: 'int8 weights, activations quantized at run time',
    graph: async () => (await import('../../graph/quantize/dynamic.js')).int8Dynamic,
  },
  {
    id: 'int8-static',
    title: 'weights and activations in 8 bits, ranges from calibration data',
    graph: async () => (await import('../../graph/quantize/static.js')).int8Static,
  },
];

export const schemeById = (id: string): SchemeEntry | undefined => SCHEMES.find((scheme) => scheme.id === id);
