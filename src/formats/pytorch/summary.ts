import type { StateNode, TrainingState } from '../../core/training.js';

type Dict = Extract<StateNode, { kind: 'dict' }>;

const EPOCH = ['epoch', 'current_epoch', 'epochs', 'last_epoch'];
const STEP = ['global_step', 'step', 'iteration', 'iter', 'num_updates', 'steps', 'it'];
const LOSS = ['loss', 'train_loss', 'training_loss', 'val_loss', 'best_loss'];
const RATE = ['lr', 'learning_rate'];
const GROUPS = ['param_groups'];

/** The whole tree, and what everybody asks first: step, epoch, loss, learning rate, kind of optimizer. */
export function trainingState(tree: StateNode): TrainingState {
  const epoch = numberAt(tree, EPOCH);
  const step = numberAt(tree, STEP);
  const loss = numberAt(tree, LOSS);
  const group = firstGroup(tree);
  const learningRate = numberAt(group, RATE) ?? numberAt(tree, RATE);
  const optimizer = group && optimizerKind(group);
  return {
    tree,
    ...(step === undefined ? {} : { step }),
    ...(epoch === undefined ? {} : { epoch }),
    ...(loss === undefined ? {} : { loss }),
    ...(learningRate === undefined ? {} : { learningRate }),
    ...(optimizer === undefined ? {} : { optimizer }),
  };
}

function entry(node: StateNode | undefined, name: string): StateNode | undefined {
  if (node?.kind !== 'dict') return undefined;
  return node.entries.find(([key]) => key.kind === 'string' && key.value === name)?.[1];
}

/** The first of these entries that is a finite number. */
function numberAt(node: StateNode | undefined, names: readonly string[]): number | undefined {
  for (const name of names) {
    const value = entry(node, name);
    if (value?.kind === 'int' || value?.kind === 'float') {
      const number = Number(value.value);
      if (Number.isFinite(number)) return number;
    }
  }
  return undefined;
}

/** `param_groups[0]` of the first optimizer: at the top, in an entry, or in a list of optimizers. */
function firstGroup(tree: StateNode): Dict | undefined {
  const places = [tree, ...children(tree)];
  for (const place of [...places, ...places.flatMap(children)])
    for (const name of GROUPS) {
      const groups = entry(place, name);
      const first = groups?.kind === 'list' || groups?.kind === 'tuple' ? groups.items[0] : undefined;
      if (first?.kind === 'dict') return first;
    }
  return undefined;
}

function children(node: StateNode): readonly StateNode[] {
  if (node.kind === 'dict') return node.entries.slice(0, 1000).map(([, value]) => value);
  return node.kind === 'list' || node.kind === 'tuple' ? node.items.slice(0, 1000) : [];
}

/** Settings that only one of torch's optimizers has, the most telling first. */
const KINDS: readonly (readonly [string, readonly string[]])[] = [
  ['NAdam', ['betas', 'momentum_decay']],
  ['SGD', ['momentum', 'dampening', 'nesterov']],
  ['RMSprop', ['alpha', 'centered', 'momentum']],
  ['Adagrad', ['lr_decay', 'initial_accumulator_value']],
  ['Adadelta', ['rho']],
  ['Rprop', ['etas', 'step_sizes']],
  ['ASGD', ['lambd', 't0', 'alpha']],
  ['LBFGS', ['history_size', 'line_search_fn']],
  ['Adafactor', ['beta2_decay']],
  ['Muon', ['ns_steps']],
];

function optimizerKind(group: Dict): string | undefined {
  const has = (name: string): boolean => entry(group, name) !== undefined;
  const kind = KINDS.find(([, names]) => names.every(has))?.[0];
  if (kind !== undefined) return kind;
  if (!has('betas')) return undefined;
  if (!has('amsgrad')) return has('decoupled_weight_decay') ? 'RAdam' : undefined;
  const decoupled = entry(group, 'decoupled_weight_decay');
  return decoupled?.kind === 'bool' && decoupled.value ? 'AdamW' : 'Adam';
}
