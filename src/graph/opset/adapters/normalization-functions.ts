import { LIMITS } from '../../../core/limits.js';
import type { NodeProto } from '../../../formats/onnx/schema.js';
import { type Adapt, type AdaptContext, type Blocked, blocked } from '../adapter.js';
import { floatOf, inputOf, numberOf, outputOf } from '../attributes.js';
import { floatLike } from './scalars.js';

/** Normalizations in the operators they are made of, for versions that do not have them. */

const FLOAT_ID = 1n;
const HALF_IDS = new Map([
  ['f16', 10n],
  ['bf16', 16n],
]);
/** No layer has more: a graph that claims so is broken. */
const MOST_GROUPS = 1 << 20;
const EPSILON = Math.fround(1e-5);

/** The input in the type that is computed in, and how the result gets back. */
interface Stash {
  readonly value: string;
  readonly before: readonly NodeProto[];
  back(value: string): { readonly value: string; readonly nodes: readonly NodeProto[] };
}

/** Half precision is computed in single precision, unless stash_type says otherwise. */
function stash(node: NodeProto, context: AdaptContext): Stash | Blocked {
  const [input = ''] = node.input;
  const type = context.type(input);
  if (type === undefined)
    return blocked(`came with operator set ${context.version}, and the type of its input is not known`);
  const half = HALF_IDS.get(type);
  const kind = numberOf(node, 'stash_type') ?? 1;
  if (half === undefined || kind !== 1)
    return { value: input, before: [], back: (value) => ({ value, nodes: [] }) };
  const wide = context.fresh('wide', 'f32');
  return {
    value: wide,
    before: [context.node({ op: 'Cast', inputs: [input], outputs: [wide], attributes: { to: FLOAT_ID } })],
    back(value) {
      const narrow = context.fresh('narrow', type);
      const cast = context.node({ op: 'Cast', inputs: [value], outputs: [narrow], attributes: { to: half } });
      return { value: narrow, nodes: [cast] };
    },
  };
}

/** The last axes from one on, counted from the end. */
function axesFrom(node: NodeProto, { shape }: AdaptContext): readonly bigint[] | undefined {
  const axis = numberOf(node, 'axis') ?? -1;
  const rank = shape(node.input[0])?.length;
  const first = axis < 0 ? axis : rank === undefined ? undefined : axis - rank;
  if (first === undefined || -first > LIMITS.RANK) return undefined;
  return Array.from({ length: -first }, (_, i) => BigInt(first + i));
}

export const layerNormalization: Adapt = (node, context) => {
  const { fresh, node: make } = context;
  const stashed = stash(node, context);
  if ('blocked' in stashed) return stashed;
  const axes = axesFrom(node, context);
  if (!axes) return blocked('came with operator set 17, and the number of dimensions is not known');
  const epsilon = floatLike(context, stashed.value, [floatOf(node, 'epsilon') ?? EPSILON], 'epsilon');
  if (epsilon === undefined) return blocked('came with operator set 17, and its input is not a float');
  const value = (hint: string): string => fresh(hint, context.type(stashed.value));
  const [mean, deviation] = [outputOf(node, 1) ?? value('mean'), value('deviation')];
  const [square, variance, sum, root, norm] = ['square', 'variance', 'sum', 'root', 'norm'].map(value);
  if (!square || !variance || !sum || !root || !norm) throw new Error('five names were made');
  const inverse = outputOf(node, 2);
  const average = { axes, keepdims: 1n };
  const narrow = stashed.back(norm);
  return [
    ...stashed.before,
    make({ op: 'ReduceMean', inputs: [stashed.value], outputs: [mean], attributes: average }),
    make({ op: 'Sub', inputs: [stashed.value, mean], outputs: [deviation] }),
    make({ op: 'Mul', inputs: [deviation, deviation], outputs: [square] }),
    make({ op: 'ReduceMean', inputs: [square], outputs: [variance], attributes: average }),
    make({ op: 'Add', inputs: [variance, epsilon], outputs: [sum] }),
    make({ op: 'Sqrt', inputs: [sum], outputs: [root] }),
    ...(inverse === undefined ? [] : [make({ op: 'Reciprocal', inputs: [root], outputs: [inverse] })]),
    make({ op: 'Div', inputs: [deviation, root], outputs: [norm] }),
    ...narrow.nodes,
    ...scaleAndShift(node, narrow.value, context),
  ];
};

/** Times the second input, plus the third if there is one. */
function scaleAndShift(
  { input, output }: Pick<NodeProto, 'input' | 'output'>,
  value: string,
  { fresh, type, node: make }: AdaptContext,
): NodeProto[] {
  const [, scale = '', bias] = input;
  const [result = ''] = output;
  if (!bias) return [make({ op: 'Mul', inputs: [value, scale], outputs: [result] })];
  const scaled = fresh('scaled', type(value));
  return [
    make({ op: 'Mul', inputs: [value, scale], outputs: [scaled] }),
    make({ op: 'Add', inputs: [scaled, bias], outputs: [result] }),
  ];
}

/** A group is an instance: its channels are laid side by side and normalized as one. */
export const groupNormalization: Adapt = (node, context) => {
  const { fresh, make: constant, node: make } = context;
  const [input = ''] = node.input;
  const rank = context.shape(input)?.length;
  if (rank === undefined || rank < 2)
    return blocked(
      'a scale per channel came with operator set 21, and the number of dimensions is not known',
    );
  const stashed = stash(node, context);
  if ('blocked' in stashed) return stashed;
  const groups = numberOf(node, 'num_groups') ?? 1;
  if (groups < 1 || groups > MOST_GROUPS) return blocked(`num_groups=${groups} is not a number of groups`);
  const count = Array.from({ length: groups }, () => 1);
  const ones = floatLike(context, stashed.value, count, 'ones', [groups]);
  const zeros = floatLike(
    context,
    stashed.value,
    count.map(() => 0),
    'zeros',
    [groups],
  );
  if (ones === undefined || zeros === undefined) return blocked('its input is not a float');
  const value = (hint: string): string => fresh(hint, context.type(stashed.value));
  const [dims, grouped, normal, whole] = [
    fresh('shape', 'i64'),
    value('grouped'),
    value('normal'),
    value('whole'),
  ];
  const wide = constant('i64', [rank - 1], [-1n, ...Array.from({ length: rank - 2 }, () => 1n)], 'channels');
  const perChannel = [1, 2].map((i) => {
    const made = fresh('channels', context.type(node.input[i]));
    return { made, node: make({ op: 'Reshape', inputs: [inputOf(node, i) ?? '', wide], outputs: [made] }) };
  });
  const epsilon = floatOf(node, 'epsilon') ?? EPSILON;
  const narrow = stashed.back(whole);
  return [
    ...stashed.before,
    make({ op: 'Shape', inputs: [input], outputs: [dims] }),
    make({
      op: 'Reshape',
      inputs: [stashed.value, constant('i64', [3], [0n, BigInt(groups), -1n], 'groups')],
      outputs: [grouped],
    }),
    make({
      op: 'InstanceNormalization',
      inputs: [grouped, ones, zeros],
      outputs: [normal],
      attributes: { epsilon },
    }),
    make({ op: 'Reshape', inputs: [normal, dims], outputs: [whole] }),
    ...narrow.nodes,
    ...perChannel.map((one) => one.node),
    ...scaleAndShift(
      { input: ['', ...perChannel.map((one) => one.made)], output: node.output },
      narrow.value,
      context,
    ),
  ];
};
