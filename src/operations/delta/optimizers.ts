import { elementCount } from '../../core/dtype.js';
import { type Model, tensorMap } from '../../core/model.js';
import { readTensor, type TensorSource } from '../../core/tensor.js';
import type { StateNode } from '../../core/training.js';
import { decodeElements, isNumeric } from '../../kernels/elements.js';

/** What Adam knows of one parameter, as torch lays it out. */
export interface AdamParameter {
  /** Its number or name in the optimizer. */
  readonly key: string;
  readonly step: number;
  /** Names of the tensors of its moments. */
  readonly first: string;
  readonly second: string;
  readonly group: AdamGroup;
}

export interface AdamGroup {
  readonly lr: number;
  readonly betas: readonly [number, number];
  readonly eps: number;
  readonly weightDecay: number;
  /** AdamW; undefined where the file does not tell. */
  readonly decoupled: boolean | undefined;
}

type Fields = ReadonlyMap<string, StateNode>;

/** Parameters of every optimizer in the training state that has moments, by the name of the first moment. */
export async function adamParameters(model: Model): Promise<Map<string, AdamParameter>> {
  const found = new Map<string, AdamParameter>();
  const tensors = tensorMap(model);
  const open: StateNode[] = model.training ? [model.training.tree] : [];
  for (let node = open.pop(); node; node = open.pop()) {
    if ('items' in node) open.push(...node.items);
    const fields = fieldsOf(node);
    const [state, groups] = [fieldsOf(fields?.get('state')), itemsOf(fields?.get('param_groups'))];
    if (!state || !groups) {
      if (fields) open.push(...fields.values());
      continue;
    }
    for (const group of groups)
      for (const parameter of await parametersOf(state, fieldsOf(group), tensors))
        found.set(parameter.first, parameter);
  }
  return found;
}

async function parametersOf(
  state: Fields,
  fields: Fields | undefined,
  tensors: ReadonlyMap<string, TensorSource>,
): Promise<AdamParameter[]> {
  const number = (node: StateNode | undefined): Promise<number | undefined> => numberOf(node, tensors);
  const [lr, eps, weightDecay] = [
    await number(fields?.get('lr')),
    await number(fields?.get('eps')),
    await number(fields?.get('weight_decay')),
  ];
  const betas = itemsOf(fields?.get('betas')) ?? [];
  const [beta1, beta2] = [await number(betas[0]), await number(betas[1])];
  if (lr === undefined || eps === undefined || beta1 === undefined || beta2 === undefined) return [];
  const flag = fields?.get('decoupled_weight_decay');
  const decoupled = flag?.kind === 'bool' ? flag.value : undefined;
  const group: AdamGroup = { lr, eps, betas: [beta1, beta2], weightDecay: weightDecay ?? 0, decoupled };
  const found: AdamParameter[] = [];
  for (const id of itemsOf(fields?.get('params')) ?? []) {
    const key = keyOf(id);
    const own = key === undefined ? undefined : fieldsOf(state.get(key));
    const [first, second] = [own?.get('exp_avg'), own?.get('exp_avg_sq')];
    const step = await number(own?.get('step'));
    if (key === undefined || step === undefined || first?.kind !== 'tensor' || second?.kind !== 'tensor')
      continue;
    found.push({ key, step, first: first.name, second: second.name, group });
  }
  return found;
}

const keyOf = (node: StateNode): string | undefined =>
  node.kind === 'int' || node.kind === 'string' ? String(node.value) : undefined;

function fieldsOf(node: StateNode | undefined): Fields | undefined {
  if (node?.kind !== 'dict') return undefined;
  const fields = new Map<string, StateNode>();
  for (const [key, value] of node.entries) {
    const name = keyOf(key);
    if (name !== undefined) fields.set(name, value);
  }
  return fields;
}

const itemsOf = (node: StateNode | undefined): readonly StateNode[] | undefined =>
  node?.kind === 'list' || node?.kind === 'tuple' ? node.items : undefined;

/** A number, or a tensor of one. */
async function numberOf(
  node: StateNode | undefined,
  tensors: ReadonlyMap<string, TensorSource>,
): Promise<number | undefined> {
  if (node?.kind === 'int' || node?.kind === 'float') return Number(node.value);
  const tensor = node?.kind === 'tensor' ? tensors.get(node.name) : undefined;
  if (!tensor || !isNumeric(tensor.info.dtype) || elementCount(tensor.info.shape) !== 1) return undefined;
  const value = new Float64Array(1);
  decodeElements(tensor.info.dtype, await readTensor(tensor), 1, value);
  return value[0];
}
