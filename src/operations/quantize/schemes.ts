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
  // a line per scheme, so that two can be added at once
  {
    id: 'fp16',
    title: 'half precision',
    graph: async () => (await import('../../graph/quantize/half.js')).fp16,
  },
  {
    id: 'bf16',
    title: 'bfloat16 weights',
    graph: async () => (await import('../../graph/quantize/half.js')).bf16,
  },
];

export const schemeById = (id: string): SchemeEntry | undefined => SCHEMES.find((scheme) => scheme.id === id);
