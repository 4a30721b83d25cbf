import { type DType, isFloat } from '../../core/dtype.js';
import type { Model } from '../../core/model.js';
import type { TensorSource } from '../../core/tensor.js';
import { type Finding, finding } from '../../errors.js';
import { convertOpset } from '../../graph/opset.js';
import type { GraphScheme, Quantized, QuantizeSettings } from '../../graph/quantize/types.js';
import { isWeight, storeAs } from '../../graph/store-as.js';
import { castTensor } from '../../kernels/cast.js';
import type { TensorScheme } from './tensor-scheme.js';

export type StorageType = 'f16' | 'bf16' | 'f8_e4m3fn' | 'f8_e5m2';

/** Floats that get smaller; 8 bits only for weights of two and more dimensions. */
const takes = (dtype: StorageType, settings: QuantizeSettings) => {
  const small = dtype.startsWith('f8');
  return (tensor: TensorSource): boolean => {
    const { name, dtype: from, shape } = tensor.info;
    const wide = isFloat(from) && ['f64', 'f32', ...(small ? ['f16', 'bf16'] : [])].includes(from);
    return wide && isWeight(tensor) && (!small || shape.length > 1) && settings.selects(name);
  };
};

/** What was stored as another type, with what it counts as. */
function told(id: string, dtype: StorageType, before: Model, after: Model): Quantized['quantized'] {
  const stored = new Set(after.tensors.flatMap(({ info }) => (info.dtype === dtype ? [info.name] : [])));
  return before.tensors
    .filter(({ info }) => stored.has(info.name) && info.dtype !== dtype)
    .map((tensor) => {
      const small = castTensor(tensor, dtype);
      const dequantized = castTensor(small, tensor.info.dtype);
      return { name: tensor.info.name, scheme: id, dtypeOut: dtype, bytesOut: small.byteLength, dequantized };
    });
}

/** Smaller floats in formats that hold tensors only. */
export const storedTensors = (id: string, dtype: StorageType): TensorScheme => ({
  id,
  title: `weights as ${dtype}`,
  async apply(model, settings) {
    const small = takes(dtype, settings);
    const tensors = model.tensors.map((tensor) => (small(tensor) ? castTensor(tensor, dtype) : tensor));
    const after = { ...model, tensors };
    return { model: after, quantized: told(id, dtype, model, after), findings: [] };
  },
});

/** Operator set from which Cast knows 8-bit floats (docs/Changelog.md: Cast-19). */
const CAST_OPSET = 19;

/** Smaller floats in a graph that goes on computing as it did. */
export const storedWeights = (id: string, dtype: StorageType): GraphScheme => ({
  id,
  title: `weights as ${dtype}`,
  async apply(model, settings) {
    const findings: Finding[] = [];
    let source = model;
    if ((model.graph?.opsets.get('') ?? CAST_OPSET) < CAST_OPSET) {
      const converted = await convertOpset(model, CAST_OPSET);
      const why = `${id} needs operator set ${CAST_OPSET} (Cast)`;
      findings.push(finding('info', 'OPSET_RAISED', 'graph', why), ...converted.findings);
      source = converted.model;
    }
    const after = storeAs(source, dtype satisfies DType, takes(dtype, settings));
    return { model: after, quantized: told(id, dtype, source, after), findings };
  },
});
