import { elementCount } from '../../core/dtype.js';
import type { WorkContext } from '../../core/format.js';
import type { Rides } from '../../core/shared-work.js';
import type { TensorSource } from '../../core/tensor.js';
import { type Finding, finding, MlserError } from '../../errors.js';
import { type Pattern, patterned } from '../../kernels/prune/pattern.js';
import { type Selected, selectSmallest } from '../../kernels/prune/select.js';
import { below } from '../../kernels/prune/threshold.js';
import { zeroed } from '../../kernels/prune/zero.js';
import { countZeros } from '../../kernels/prune/zeros.js';
import type { Candidate } from './choose.js';
import type { Compensation, Importance, PruneMethod, PruneScope } from './names.js';

export interface MethodOptions {
  readonly method: PruneMethod;
  /** magnitude: the share of elements that become zero, 0 to 1 (default 0.5); of channels (0.3) or blocks (0.1) that go. */
  readonly sparsity?: number;
  /** magnitude: tensors are ranked together (default: small and sensitive ones are spared), or each alone. */
  readonly scope?: PruneScope;
  /** threshold: what is smaller than this becomes zero. */
  readonly threshold?: number;
  /** n:m: default 2 of 4. */
  readonly pattern?: Pattern;
  /** low-rank: singular values that are kept, … */
  readonly rank?: number;
  /** … or as many as have this share of the sum of their squares (default 0.95). */
  readonly energy?: number;
  /** Another sparsity (magnitude) or energy (low-rank) for each of these weights, by the first of their names. */
  readonly levels?: ReadonlyMap<string, number>;
  /** channels: what makes one important (default: activation with samples, else l1). */
  readonly importance?: Importance;
  /** channels: how what is left makes up for what goes (default: weights with samples, else bias). */
  readonly compensate?: Compensation;
  /** channels: so many, or a multiple of it, stay (default 8; with samples as the runtime likes it). */
  readonly multipleOf?: number;
  /** channels, with samples: false leaves out of account what the runtime saves, which takes several tries. */
  readonly speed?: boolean;
  /** channels, layers: npz with samples of the inputs. */
  readonly calibration?: string;
  /** layers: those that go, by number. */
  readonly layers?: readonly number[];
}

/** Methods that put zeros in the place of elements. */
type ZeroMethod = Exclude<PruneMethod, 'low-rank' | 'channels' | 'layers'>;
type ZeroOptions = MethodOptions & { readonly method: ZeroMethod };

export const putsZeros = <T extends MethodOptions>(options: T): options is T & ZeroOptions =>
  !['low-rank', 'channels', 'layers'].includes(options.method);

/** What becomes of the weights, in order. */
export interface Pruned {
  readonly tensors: readonly TensorSource[];
  /** Elements of each that are zero then. They may have to be counted: with `rides` where others read them too. */
  zeros(rides?: Rides): Promise<readonly number[]>;
}

/** Zeros in place of some elements of every candidate. */
export async function prunedTensors(
  candidates: readonly Candidate[],
  options: ZeroOptions,
  context: WorkContext,
): Promise<Pruned> {
  const sources = candidates.map(({ tensor }) => tensor);
  if (options.method === 'magnitude') {
    const selected = await smallestOf(sources, options, context);
    const tensors = sources.flatMap((tensor, i) => (selected[i] ? [zeroed(tensor, selected[i].rule)] : []));
    return { tensors, zeros: async () => selected.map(({ zeros }) => zeros) };
  }
  const tensors = options.method === 'threshold' ? smallOf(sources, options) : byPattern(candidates, options);
  return { tensors, zeros: (rides) => countZeros(tensors, context, rides) };
}

/** Options that the method does not look at: said, so that nobody relies on them. */
export function misplaced({ method, ...options }: MethodOptions): readonly Finding[] {
  const own = new Map<keyof typeof options, readonly PruneMethod[]>([
    ['sparsity', ['magnitude', 'channels', 'layers']],
    ['scope', ['magnitude', 'channels']],
    ['threshold', ['threshold']],
    ['pattern', ['n:m']],
    ['rank', ['low-rank']],
    ['energy', ['low-rank']],
    ['importance', ['channels']],
    ['compensate', ['channels']],
    ['multipleOf', ['channels']],
    ['calibration', ['channels', 'layers']],
    ['layers', ['layers']],
  ]);
  return [...own].flatMap(([option, of]) => {
    if (options[option] === undefined || of.includes(method)) return [];
    const flag = option.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
    const message = `--${flag} is for the method ${of.join(' or ')}, not ${method}`;
    return [finding('warning', 'OPTION_IGNORED', option, message)];
  });
}

/** What was asked for, where it is a share of the elements. */
export function askedSparsity(options: ZeroOptions): number | null {
  if (options.levels) return null;
  if (options.method === 'magnitude') return sparsityOf(options);
  if (options.method === 'threshold') return null;
  const { keep, of } = patternOf(options);
  return 1 - keep / of;
}

async function smallestOf(
  tensors: readonly TensorSource[],
  options: MethodOptions,
  context: WorkContext,
): Promise<readonly Selected[]> {
  const { scope, levels } = options;
  const sparsity = sparsityOf(options);
  const groups = scope === 'tensor' || levels ? tensors.map((tensor) => [tensor]) : [tensors];
  const rankings = groups.map((group) => ({
    tensors: group,
    count: roundedCount(
      levels?.get(group[0]?.info.name ?? '') ?? sparsity,
      group.reduce((sum, { info }) => sum + elementCount(info.shape, info.name), 0),
    ),
  }));
  return (await selectSmallest(rankings, context)).flat();
}

/** Elements that a share is, as torch.nn.utils.prune counts: Python's `round`, which takes a half to the even number. */
export function roundedCount(share: number, count: number): number {
  const exact = share * count;
  const below = Math.floor(exact);
  const rest = exact - below;
  return rest > 0.5 || (rest === 0.5 && below % 2 === 1) ? below + 1 : below;
}

function smallOf(tensors: readonly TensorSource[], options: MethodOptions): TensorSource[] {
  const threshold = thresholdOf(options);
  return tensors.map((tensor) => zeroed(tensor, below(tensor, threshold)));
}

function byPattern(candidates: readonly Candidate[], options: MethodOptions): TensorSource[] {
  const pattern = patternOf(options);
  return candidates.map(({ tensor, sums }) => patterned(tensor, sums.axis, pattern));
}

/** @throws E_USAGE for what is no share. */
export function sparsityOf({ sparsity = 0.5 }: Pick<MethodOptions, 'sparsity'>): number {
  if (sparsity >= 0 && sparsity <= 1) return sparsity;
  throw new MlserError('E_USAGE', `a sparsity of ${sparsity} is no share`, {
    details: { sparsity },
    hint: 'give the share of elements that become zero, 0 to 1: --sparsity 0.5',
  });
}

function thresholdOf({ threshold }: MethodOptions): number {
  if (threshold !== undefined && threshold >= 0 && !Number.isNaN(threshold)) return threshold;
  throw new MlserError('E_USAGE', 'the method threshold needs a threshold that is not negative', {
    hint: 'for example --threshold 1e-3',
  });
}

function patternOf({ pattern = { keep: 2, of: 4 } }: MethodOptions): Pattern {
  const { keep, of } = pattern;
  if (Number.isInteger(keep) && Number.isInteger(of) && keep >= 0 && keep < of && of <= MOST_OF)
    return pattern;
  throw new MlserError('E_USAGE', `the pattern ${keep}:${of} leaves nothing to prune`, {
    details: { keep, of },
    hint: `n:m keeps n of m neighbours, n below m, m at most ${MOST_OF}: for example 2:4`,
  });
}

/** Groups are searched for every element that goes: fine for short ones. */
const MOST_OF = 1024;

/** `2:4`. E_USAGE */
export function parsePattern(text: string): Pattern {
  const found = /^(\d{1,4}):(\d{1,4})$/.exec(text);
  if (found) return patternOf({ method: 'n:m', pattern: { keep: Number(found[1]), of: Number(found[2]) } });
  throw new MlserError('E_USAGE', `${JSON.stringify(text)} is no pattern`, {
    hint: 'n:m keeps n of m neighbours: for example 2:4',
  });
}
