import type { Model } from '../../core/model.js';
import type { TensorSource } from '../../core/tensor.js';
import { type Finding, finding } from '../../errors.js';
import type { LossFigures } from '../../kernels/quantize/loss.js';
import { GraphEdit } from '../edit.js';
import { convertOpset } from '../opset.js';
import type { Quantized, QuantizedTensor, QuantizeSettings } from './types.js';
import { type Weight, type WeightOp, weightsOf } from './weights.js';

const OPS: ReadonlySet<WeightOp> = new Set(['MatMul', 'Gemm', 'Conv', 'Gather']);

/** The graph, if need be in a newer operator set, which a finding tells. */
export async function openAtLeast(
  model: Model,
  opset: number,
  why: string,
): Promise<{ readonly edit: GraphEdit; readonly findings: readonly Finding[] }> {
  const edit = await GraphEdit.open(model);
  if (edit.opset() >= opset) return { edit, findings: [] };
  const converted = await convertOpset(model, opset);
  return {
    edit: await GraphEdit.open(converted.model),
    findings: [finding('info', 'OPSET_RAISED', 'graph', why), ...converted.findings],
  };
}

export const keptNotFinite = (name: string): Finding =>
  finding('warning', 'KEPT_NOT_FINITE', name, 'it has NaN or infinite values: it stays as it is');

export const keptSmall = (name: string): Finding =>
  finding('info', 'KEPT_SMALL', name, 'with what its codes need it would not get smaller: it stays as it is');

/** A weight as codes: what it counts as then, and how to put it into the graph. */
export interface CodedWeight {
  /** About what will be stored. */
  readonly bytes: number;
  readonly dequantized: TensorSource;
  readonly loss?: LossFigures;
  /** Bytes that are stored in its place. */
  put(): number;
}

/** How weights of a graph become codes. */
export interface WeightCoder {
  /** Undefined: a value is NaN or infinite. */
  code(tensor: TensorSource, weight: Weight): Promise<CodedWeight | undefined>;
  /** What was made ahead goes: called when nothing reads it any more. */
  release?(): void;
}

/** Quantizes every weight by itself. */
export async function codeWeights(
  source: Model,
  settings: QuantizeSettings,
  scheme: {
    readonly id: string;
    readonly dtypeOut: string;
    readonly opset: number;
    readonly ops?: ReadonlySet<WeightOp>;
  },
  coderFor: (edit: GraphEdit, weights: readonly Weight[]) => WeightCoder | Promise<WeightCoder>,
): Promise<Quantized> {
  const why = `${scheme.id} needs operator set ${scheme.opset} (${scheme.dtypeOut} codes)`;
  const { ops = OPS } = scheme;
  const plain = await GraphEdit.open(source);
  if (weightsOf(plain, settings, ops).length === 0) return { model: source, quantized: [], findings: [] };
  const { edit, findings: raised } = await openAtLeast(source, scheme.opset, why);
  const findings = [...raised];
  const quantized: QuantizedTensor[] = [];
  const weights = weightsOf(edit, settings, ops);
  const coder = await coderFor(edit, weights);
  for (const weight of weights) {
    const { name } = weight;
    const tensor = edit.tensor(name);
    const coded = tensor && (await coder.code(tensor, weight));
    if (!coded) findings.push(keptNotFinite(name));
    else if (coded.bytes >= tensor.byteLength) findings.push(keptSmall(name));
    else {
      const bytesOut = coded.put();
      const { dequantized, loss } = coded;
      const facts = { name, scheme: scheme.id, dtypeOut: scheme.dtypeOut, bytesOut, dequantized };
      quantized.push({ ...facts, ...(loss ? { loss } : {}) });
    }
  }
  const { release } = coder;
  return { model: edit.finish(), quantized, findings, ...(release ? { release } : {}) };
}
