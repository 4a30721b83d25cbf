import type { Model } from '../../../core/model.js';
import { MlserError } from '../../../errors.js';
import { blockParts } from '../../../graph/blocks/block-names.js';
import { rename } from '../../../transforms/rename.js';
import { checkLayers } from './layer-list.js';

/** The blocks of weights without a graph, by their names. */
export interface NamedBlocks {
  /** What comes before the number: `model.layers.` */
  readonly prefix: string;
  readonly numbers: readonly number[];
}

/** Of several lists of blocks the one with the most bytes. undefined where names have no numbers. */
export function namedBlocks({ tensors }: Model): NamedBlocks | undefined {
  const found = new Map<string, { bytes: number; readonly numbers: Set<number> }>();
  for (const { info, byteLength } of tensors) {
    const parts = blockParts(info.name);
    if (!parts) continue;
    const one = found.get(parts.prefix) ?? { bytes: 0, numbers: new Set<number>() };
    found.set(parts.prefix, one);
    one.bytes += byteLength;
    one.numbers.add(parts.number);
  }
  const [largest] = [...found].sort((a, b) => b[1].bytes - a[1].bytes);
  if (!largest) return undefined;
  const [prefix, { numbers }] = largest;
  return { prefix, numbers: [...numbers].sort((a, b) => a - b) };
}

/** The model without the tensors of some blocks; those behind move up, so that numbers have no gaps. */
export function withoutBlocks(
  model: Model,
  { prefix, numbers }: NamedBlocks,
  gone: readonly number[],
  input: string,
): Model {
  checkLayers(gone, numbers, input);
  if (model.training)
    throw new MlserError('E_UNSUPPORTED', 'blocks of a checkpoint with the state of an optimizer cannot go', {
      details: { input },
      hint: 'take the weights alone: mlser convert checkpoint.pt weights.safetensors --include …',
    });
  const left = numbers.filter((number) => !gone.includes(number));
  const kept = model.tensors.filter(({ info }) => {
    const parts = blockParts(info.name);
    return parts?.prefix !== prefix || !gone.includes(parts.number);
  });
  // Tensors that were tied to one that goes are tied to the next one.
  const names = new Set(kept.map(({ info }) => info.name));
  const heads = new Map<string, string>();
  const aliases = new Map<string, string>();
  for (const { info } of kept) {
    const canonical = model.aliases.get(info.name) ?? info.name;
    const head = heads.get(canonical) ?? (names.has(canonical) ? canonical : info.name);
    heads.set(canonical, head);
    if (head !== info.name) aliases.set(info.name, head);
  }
  const moved = (name: string): string => {
    const parts = blockParts(name);
    if (parts?.prefix !== prefix) return name;
    return `${prefix}${left.indexOf(parts.number)}${parts.rest}`;
  };
  const smaller: Model = { ...model, tensors: kept, aliases };
  return rename({ rename: moved }).apply(smaller);
}
