import type { GraphScheme, Refinement } from '../../graph/quantize/types.js';
import type { TensorScheme } from './tensor-scheme.js';

/** A scheme by what it works on. Loaded when it is the one that runs. */
interface SchemeEntry {
  readonly id: string;
  readonly title: string;
  /** Refinements (`--refine`) of its graphs. */
  readonly refinements?: readonly Refinement[];
  /** The graph is run to see what its activations are: always, or where there is data. */
  readonly runs?: true;
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
    refinements: ['gptq', 'awq'],
    graph: async () => (await import('../../graph/quantize/int8-weights.js')).int8Weights,
    tensors: async () => (await import('./integer-tensors.js')).integerTensors(8),
  },
  {
    id: 'int4-weights',
    title: 'weights as 4-bit integers, a scale a block of 32',
    refinements: ['gptq', 'awq', 'hqq'],
    graph: async () => (await import('../../graph/quantize/int4-weights.js')).int4Weights,
    tensors: async () => (await import('./integer-tensors.js')).integerTensors(4),
  },
  {
    id: 'int2-weights',
    title: 'weights as 2-bit integers, a scale a block of 16',
    refinements: ['gptq', 'awq', 'hqq'],
    graph: async () => (await import('../../graph/quantize/int2-weights.js')).int2Weights,
    tensors: async () => (await import('./integer-tensors.js')).integerTensors(2),
  },
  {
    id: 'int8-dynamic',
    title: 'int8 weights, activations quantized at run time',
    refinements: ['smooth'],
    graph: async () => (await import('../../graph/quantize/dynamic.js')).int8Dynamic,
  },
  {
    id: 'int8-static',
    title: 'weights and activations in 8 bits, ranges from calibration data',
    runs: true,
    refinements: ['smooth'],
    graph: async () => (await import('../../graph/quantize/static.js')).int8Static,
  },
  {
    id: 'nf4',
    title: 'weights as 4-bit normal floats, a scale for 64',
    graph: async () => (await import('../../graph/quantize/block-floats.js')).nf4Weights,
    tensors: async () => (await import('./coded-tensors.js')).nf4Tensors,
  },
  {
    id: 'mxfp4',
    title: 'weights as E2M1, a power of two for 32',
    graph: async () => (await import('../../graph/quantize/block-floats.js')).mxfp4Weights,
    tensors: async () => (await import('./coded-tensors.js')).mxfp4Tensors,
  },
  {
    id: 'palette-8',
    title: 'weights as codes of 256 values each',
    graph: async () => (await import('../../graph/quantize/palette.js')).palette(8),
    tensors: async () => (await import('./coded-tensors.js')).paletteTensors(8),
  },
  {
    id: 'palette-6',
    title: 'weights as codes of 64 values each',
    graph: async () => (await import('../../graph/quantize/palette.js')).palette(6),
    tensors: async () => (await import('./coded-tensors.js')).paletteTensors(6),
  },
  {
    id: 'palette-4',
    title: 'weights as codes of 16 values each',
    graph: async () => (await import('../../graph/quantize/palette.js')).palette(4),
    tensors: async () => (await import('./coded-tensors.js')).paletteTensors(4),
  },
  {
    id: 'palette-3',
    title: 'weights as codes of 8 values each',
    graph: async () => (await import('../../graph/quantize/palette.js')).palette(3),
    tensors: async () => (await import('./coded-tensors.js')).paletteTensors(3),
  },
  {
    id: 'palette-2',
    title: 'weights as codes of 4 values each',
    graph: async () => (await import('../../graph/quantize/palette.js')).palette(2),
    tensors: async () => (await import('./coded-tensors.js')).paletteTensors(2),
  },
  {
    id: 'fp16',
    title: 'half precision',
    runs: true,
    graph: async () => (await import('../../graph/quantize/half.js')).fp16,
    tensors: async () => (await import('./storage.js')).storedTensors('fp16', 'f16'),
  },
  {
    id: 'bf16',
    title: 'bfloat16',
    graph: async () => (await import('../../graph/quantize/half.js')).bf16,
    tensors: async () => (await import('./storage.js')).storedTensors('bf16', 'bf16'),
  },
  {
    id: 'fp8-e4m3',
    title: 'weights as 8-bit floats, more digits',
    graph: async () => (await import('./storage.js')).storedWeights('fp8-e4m3', 'f8_e4m3fn'),
    tensors: async () => (await import('./storage.js')).storedTensors('fp8-e4m3', 'f8_e4m3fn'),
  },
  {
    id: 'fp8-e5m2',
    title: 'weights as 8-bit floats, more range',
    graph: async () => (await import('./storage.js')).storedWeights('fp8-e5m2', 'f8_e5m2'),
    tensors: async () => (await import('./storage.js')).storedTensors('fp8-e5m2', 'f8_e5m2'),
  },
];

export const schemeById = (id: string): SchemeEntry | undefined => SCHEMES.find((scheme) => scheme.id === id);
