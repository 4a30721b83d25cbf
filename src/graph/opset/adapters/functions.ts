import { isDType } from '../../../core/dtype.js';
import { onnxTypeOf } from '../../../formats/onnx/dtypes.js';
import { type Adapt, type AdaptContext, type Adapters, blocked } from '../adapter.js';
import { floatOf, textOf } from '../attributes.js';
import { layerNormalization } from './normalization-functions.js';
import { floatLike } from './scalars.js';

/** Operators that stand for a few older ones (docs/Operators.md gives them as functions). */

const unknownType = ({ version }: AdaptContext) =>
  blocked(`came with operator set ${version}, and the type of its input is not known`);

/** x · ½ · (1 + erf(x / √2)), or with a tanh in place of erf. */
const gelu: Adapt = (node, context) => {
  const { fresh, type, node: make } = context;
  const [x = ''] = node.input;
  const tanh = textOf(node, 'approximate') === 'tanh';
  const numbers = tanh ? [0.5, 1, Math.sqrt(2 / Math.PI), 0.044715] : [0.5, 1, Math.SQRT2];
  const made = numbers.map((number) => floatLike(context, x, [number], 'number'));
  const [half, one, factor, cubic] = made;
  if (half === undefined || one === undefined || factor === undefined) return unknownType(context);
  const value = (): string => fresh('gelu', type(x));
  const [inner, bent, sum, scaled] = [value(), value(), value(), value()];
  const after = [
    make({ op: tanh ? 'Tanh' : 'Erf', inputs: [inner], outputs: [bent] }),
    make({ op: 'Add', inputs: [bent, one], outputs: [sum] }),
    make({ op: 'Mul', inputs: [x, sum], outputs: [scaled] }),
    make({ op: 'Mul', inputs: [scaled, half], outputs: node.output }),
  ];
  if (!tanh) return [make({ op: 'Div', inputs: [x, factor], outputs: [inner] }), ...after];
  const [square, cube, weighed, curve] = [value(), value(), value(), value()];
  return [
    make({ op: 'Mul', inputs: [x, x], outputs: [square] }),
    make({ op: 'Mul', inputs: [square, x], outputs: [cube] }),
    make({ op: 'Mul', inputs: [cube, cubic ?? ''], outputs: [weighed] }),
    make({ op: 'Add', inputs: [x, weighed], outputs: [curve] }),
    make({ op: 'Mul', inputs: [curve, factor], outputs: [inner] }),
    ...after,
  ];
};

/** Two comparisons, either of which will do. */
const eitherOf =
  (comparison: string): Adapt =>
  (node, { fresh, node: make }) => {
    const [strict, equal] = [fresh('strict', 'bool'), fresh('equal', 'bool')];
    return [
      make({ op: comparison, inputs: node.input, outputs: [strict] }),
      make({ op: 'Equal', inputs: node.input, outputs: [equal] }),
      make({ op: 'Or', inputs: [strict, equal], outputs: node.output }),
    ];
  };

const castLike: Adapt = (node, { type, node: make, version }) => {
  const name = type(node.input[1]);
  const to = name !== undefined && isDType(name) ? onnxTypeOf(name) : undefined;
  if (!to) return blocked(`came with operator set ${version}, and the type that it casts to is not known`);
  const inputs = node.input.slice(0, 1);
  return [make({ op: 'Cast', inputs, outputs: node.output, attributes: { to: BigInt(to.id) } })];
};

/** x · sigmoid(alpha · x) */
const swish: Adapt = (node, context) => {
  const { fresh, type, node: make } = context;
  const [x = ''] = node.input;
  const alpha = floatOf(node, 'alpha') ?? 1;
  const gate = fresh('gate', type(x));
  const result = make({ op: 'Mul', inputs: [x, gate], outputs: node.output });
  if (alpha === 1) return [make({ op: 'Sigmoid', inputs: [x], outputs: [gate] }), result];
  const factor = floatLike(context, x, [alpha], 'alpha');
  if (factor === undefined) return unknownType(context);
  const scaled = fresh('scaled', type(x));
  return [
    make({ op: 'Mul', inputs: [x, factor], outputs: [scaled] }),
    make({ op: 'Sigmoid', inputs: [scaled], outputs: [gate] }),
    result,
  ];
};

/** x · max(0, min(1, x / 6 + ½)) */
const hardSwish: Adapt = (node, { fresh, type, node: make }) => {
  const [x = ''] = node.input;
  const gate = fresh('gate', type(x));
  const attributes = { alpha: 1 / 6, beta: 0.5 };
  return [
    make({ op: 'HardSigmoid', inputs: [x], outputs: [gate], attributes }),
    make({ op: 'Mul', inputs: [x, gate], outputs: node.output }),
  ];
};

/** x · tanh(softplus(x)) */
const mish: Adapt = (node, { fresh, type, node: make }) => {
  const [x = ''] = node.input;
  const [soft, gate] = [fresh('soft', type(x)), fresh('gate', type(x))];
  return [
    make({ op: 'Softplus', inputs: [x], outputs: [soft] }),
    make({ op: 'Tanh', inputs: [soft], outputs: [gate] }),
    make({ op: 'Mul', inputs: [x, gate], outputs: node.output }),
  ];
};

export const functionAdapters: Adapters = {
  'Gelu@20': { down: gelu },
  'LayerNormalization@17': { down: layerNormalization },
  'GreaterOrEqual@12': { down: eitherOf('Greater') },
  'LessOrEqual@12': { down: eitherOf('Less') },
  'CastLike@15': { down: castLike },
  'Swish@24': { down: swish },
  'HardSwish@14': { down: hardSwish },
  'Mish@18': { down: mish },
};
