import type { NodeProto } from '../../../formats/onnx/schema.js';
import { type Adapt, type AdaptContext, type Adapters, blocked } from '../adapter.js';
import { inputOf, numberOf, without } from '../attributes.js';
import { dropDefaults } from './attributes.js';

/** Until operator set 13 there was one scale for the whole tensor. */
const down13: Adapt = (node, { shape }) => {
  const scale = shape(node.input[1]);
  if (!scale)
    return blocked('whether it has one scale is not known: a scale per channel came with operator set 13');
  return scale.length === 0
    ? [without(node, 'axis')]
    : blocked('a scale per channel came with operator set 13');
};

const drop =
  (defaults: Readonly<Record<string, string>>): Adapt =>
  (node, { version }) => {
    const plain = dropDefaults(node, defaults, version);
    return 'blocked' in plain ? plain : [plain];
  };

/** Saturation is a matter of 8-bit floats, which are not there before. */
const down19: Adapt = (node) => [without(node, 'saturate')];

/** The type of the output goes without saying where there is a zero point; without both it is u8 (number 2). */
function impliedType(node: NodeProto, { version }: AdaptContext): NodeProto | { readonly blocked: string } {
  const named = numberOf(node, 'output_dtype') ?? 0;
  if (inputOf(node, 2) !== undefined || named === 0 || named === 2) return without(node, 'output_dtype');
  return blocked(`output_dtype=${named} without a zero point came with operator set ${version}`);
}

const quantizeDown21: Adapt = (node, context) => {
  const typed = impliedType(node, context);
  if ('blocked' in typed) return typed;
  return drop({ block_size: '0' })(typed, context);
};

export const quantizeAdapters: Adapters = {
  'QuantizeLinear@13': { down: down13 },
  'QuantizeLinear@19': { down: down19 },
  'QuantizeLinear@21': { down: quantizeDown21 },
  'QuantizeLinear@23': { down: drop({ precision: '0' }) },
  'DequantizeLinear@13': { down: down13 },
  'DequantizeLinear@21': { down: drop({ block_size: '0' }) },
  'DequantizeLinear@23': { down: drop({ output_dtype: '0' }) },
};
