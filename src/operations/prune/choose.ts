import { elementCount } from '../../core/dtype.js';
import type { Model } from '../../core/model.js';
import type { TensorSource } from '../../core/tensor.js';
import { type WeightUse, weightUses } from '../../graph/weight-uses.js';
import { isPrunedType } from '../../kernels/prune/keys.js';
import type { Axis } from '../../kernels/prune/pattern-groups.js';
import { selects, type TensorSelection } from '../selection.js';

export interface PruneSelection extends TensorSelection {
  /** Tensors that stay as they are. */
  readonly keep?: readonly RegExp[];
  /** Only these weights, by the first of their names (trials of `target-accuracy.ts`). */
  readonly only?: (name: string) => boolean;
}

/** A weight that is pruned, once for all the names that it has. */
export interface Candidate {
  readonly tensor: TensorSource;
  readonly names: readonly string[];
  /** The axis that products are summed over, in words and as it lies in memory. */
  readonly sums: { readonly title: string; readonly axis: Axis };
}

/** Where only names tell: tables of rows that are picked, not multiplied, by what the usual frameworks call them. */
const TABLE =
  /embed(?!.*\b(proj|projection|fc|linear|dense)\b)|(^|[._/])(wte|wpe|emb|cls_token|relative_attention_bias)([._/]|$)/i;
/** … biases (and the masks that GPT-2 calls so), and norms over several axes. */
const NO_WEIGHT = /(^|[._/])(masked_)?bias$|(^|[._/])(\w*norm\w*|ln_?\w*|bn\d*)[._/](weight|gamma|scale)$/i;
/** … moments of optimizers, where the file does not say what they are. */
const STATE =
  /(^|[._/])(optim(izer|iser)?s?(_state)?|exp_avg(_sq)?|max_exp_avg_sq|momentum_buffer)([._/]|$)/i;

/**
 * The weights of a model: floats of two and more dimensions. In a graph those that are multiplied (MatMul, Gemm,
 * convolutions, recurrent cells), elsewhere all but what has the role or the name of a bias, a norm, a buffer, a table of
 * embeddings or the state of an optimizer. A table is taken if it is multiplied too. What `include` names is taken
 * whatever it is for, as long as it is a float.
 */
export function candidatesOf(model: Model, selection: PruneSelection): readonly Candidate[] {
  const uses = model.graph ? weightUses(model) : undefined;
  const groups = new Map<string, TensorSource[]>();
  for (const tensor of model.tensors) {
    const head = model.aliases.get(tensor.info.name) ?? tensor.info.name;
    const group = groups.get(head);
    if (group) group.push(tensor);
    else groups.set(head, [tensor]);
  }
  return [...groups.values()].flatMap((group) => candidate(group, uses, selection) ?? []);
}

function candidate(
  group: readonly TensorSource[],
  uses: ReadonlyMap<string, readonly WeightUse[]> | undefined,
  { include, exclude, keep = [], only }: PruneSelection,
): Candidate | undefined {
  const [tensor] = group;
  if (!tensor) return undefined;
  const { dtype, shape, name } = tensor.info;
  const names = group.map(({ info }) => info.name);
  if (!isPrunedType(dtype) || shape.length < 2 || elementCount(shape, name) === 0) return undefined;
  if (only && !only(name)) return undefined;
  if (!names.some((one) => selects({ ...(include ? { include } : {}) }, one))) return undefined;
  if (names.some((one) => exclude?.some((re) => re.test(one)) || keep.some((re) => re.test(one))))
    return undefined;
  const own = names.flatMap((one) => uses?.get(one) ?? []);
  const isWeight = uses
    ? own.some(({ kind }) => kind === 'multiplied')
    : names.some((one) => looksLike(tensor, one));
  if (!isWeight && !include) return undefined;
  const multiplied = own.find(({ kind }) => kind === 'multiplied');
  return { tensor, names, sums: multiplied ? byUse(multiplied, shape) : byShape(shape) };
}

function looksLike({ role, info: { shape } }: TensorSource, name: string): boolean {
  if (role === 'optimizer' || role === 'buffer' || STATE.test(name) || NO_WEIGHT.test(name)) return false;
  // Patches of images are embedded by a convolution.
  return shape.length > 3 || !TABLE.test(name);
}

function byUse({ op, axis, behind }: WeightUse, shape: readonly number[]): Candidate['sums'] {
  if (behind) return flattened(op, axis, shape);
  return {
    title: `axis ${axis} (${op})`,
    axis: { length: shape[axis] ?? 1, stride: product(shape.slice(axis + 1)) },
  };
}

/** As torch has it: outputs first; of convolutions all that is behind them. */
const byShape = (shape: readonly number[]): Candidate['sums'] =>
  shape.length > 2
    ? flattened('outputs first', 1, shape)
    : { title: 'axis 1 (outputs first)', axis: { length: shape[1] ?? 1, stride: 1 } };

const flattened = (why: string, axis: number, shape: readonly number[]): Candidate['sums'] => ({
  title: `axes ${axis} to ${shape.length - 1} (${why})`,
  axis: { length: product(shape.slice(axis)), stride: 1 },
});

const product = (sizes: readonly number[]): number => sizes.reduce((all, size) => all * size, 1);
