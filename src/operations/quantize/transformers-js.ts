import * as path from 'node:path';
import type { DataFiles } from '../../core/format.js';
import type { OnnxGraph } from '../../core/graph.js';
import { type Finding, finding, MlserError } from '../../errors.js';
import type { QuantizeSettings } from '../../graph/quantize/types.js';

/**
 * What @huggingface/transformers 4.3.1 loads: `onnx/<name><suffix>.onnx` of a model folder for its option `dtype`, and
 * as many files `….onnx_data`, `….onnx_data_1` … as `use_external_data_format` says. What is in the files follows the
 * `quantize_config.json` that its former scripts left beside the models they made.
 */
export interface Variant {
  /** As the client's option has it. */
  readonly dtype: string;
  readonly suffix: string;
  /** Undefined: the model as it is. */
  readonly scheme?: string;
  readonly settings: Partial<QuantizeSettings>;
  /** Channels and ranges may be chosen: 8 bits. */
  readonly ranged?: boolean;
}

export type NamedVariant = Variant & { readonly file: string };

/** Data files of one graph that the client accepts. */
const MOST_CHUNKS = 100;
/** Browsers hold a file in one ArrayBuffer, of 2 GiB at most in some. */
export const CHUNK_BYTES = 2_000_000_000;

export function variantsFor(graph: OnnxGraph): readonly Variant[] {
  const q8 = hasConv(graph) ? ({ weightSign: 'unsigned' } as const) : {};
  const dynamic = { scheme: 'int8-dynamic', ranged: true } as const;
  return [
    { dtype: 'fp32', suffix: '', settings: {} },
    { dtype: 'fp16', suffix: '_fp16', scheme: 'fp16', settings: {} },
    { dtype: 'q8', suffix: '_quantized', ...dynamic, settings: q8 },
    { dtype: 'int8', suffix: '_int8', ...dynamic, settings: {} },
    { dtype: 'uint8', suffix: '_uint8', ...dynamic, settings: { weightSign: 'unsigned' } },
    { dtype: 'q4', suffix: '_q4', scheme: 'int4-weights', settings: { block: 32 } },
    { dtype: 'q4f16', suffix: '_q4f16', scheme: 'int4-weights+fp16', settings: { block: 32 } },
    { dtype: 'bnb4', suffix: '_bnb4', scheme: 'nf4', settings: { block: 64, operators: true } },
  ];
}

const hasConv = ({ ops }: OnnxGraph): boolean => ops.has('Conv');

/** Which integers the default of browsers has, and why. */
export const whySigned = (graph: OnnxGraph, file: string): Finding =>
  hasConv(graph)
    ? finding(
        'info',
        'Q8_UNSIGNED',
        file,
        `${file} has unsigned weights: the model has Conv, and onnxruntime-web before 1.24 has no ConvInteger for signed ones`,
      )
    : finding(
        'info',
        'Q8_SIGNED',
        file,
        `${file} has signed weights: the model has no Conv, MatMulInteger takes both everywhere, and signed ones are faster where processors have 8-bit dot products`,
      );

/** Names that exporters give to the parts of a model; the client knows these and no others. */
const PART = /(^|_)(model|encoder|decoder|embed_tokens)(_|$)/;

/** The name that files begin with: of a part, or `model`, which the client takes where nothing else is said. */
export function stemFor(main: string, folder: string | undefined): string {
  const stem = path.basename(main).replace(/\.[^.]*$/, '');
  const isPart = PART.test(stem) || (folder !== undefined && path.basename(folder) === 'onnx');
  return isPart ? stem : 'model';
}

/** The folder of the graphs in the folder of a model: the client looks for them in `onnx/`. */
export const graphFolder = (folder: string): string =>
  path.basename(path.resolve(folder)) === 'onnx' ? folder : path.join(folder, 'onnx');

/** Names of the data files of a graph. */
export const chunksOf = (file: string, bytes: number): DataFiles => ({
  bytes,
  most: MOST_CHUNKS,
  name(index) {
    if (index >= MOST_CHUNKS)
      throw new MlserError('E_LIMIT', `${file}: more than ${MOST_CHUNKS} data files`, {
        details: { file, limit: MOST_CHUNKS },
        hint: 'transformers.js loads no more: allow larger ones (--shard-size)',
      });
    return `${file}_data${index === 0 ? '' : `_${index}`}`;
  },
});
